"""Which token the signal source calls next, and why; how long it waits after each outcome. Seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from apps.sandbox.domain import noise

#: From these moves (percent over the candidate's window) on, a signal is about the move itself.
_BREAKOUT_PERCENT = 6.0
_MOMENTUM_PERCENT = 1.5
_NEW_FOR_DAYS = 30.0
#: A token's chance grows with its rise, up to this many times that of a token that stands still.
_MOST_WEIGHT = 6.0
#: What remains of a token's chance right after it was called.
_REPEAT_SHARE = 0.1

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = {"rate_limited": 60.0, "unauthorized": 15.0, "failed": 10.0, "unreachable": 10.0}


class Outcome(StrEnum):
    """What became of one posted signal."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that may be called: its move over the last half minute (percent) and its age."""

    mint: str
    symbol: str
    change_percent: float
    age_days: float
    liquidity_sol: int
    called_lately: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal, ready to be posted."""

    mint: str
    symbol: str
    signal_type: str
    strength: int
    reason: str


def choose(seed: int, number: int, candidates: Sequence[Candidate]) -> Signal | None:
    """Return signal number `number`, or None when there is nothing to call. Rising tokens are called more often."""
    if not candidates:
        return None
    draw = (seed, "signal", number)
    weights = [_weight(candidate) for candidate in candidates]
    candidate = noise.weighted(candidates, weights, *draw, "token")
    signal_type, reason, urgency = _story(candidate, draw)
    strength = 1 + int(5 * noise.uniform(*draw, "strength") ** (1 - 0.6 * urgency))
    return Signal(candidate.mint, candidate.symbol, signal_type, strength, reason)


def _weight(candidate: Candidate) -> float:
    weight = min(_MOST_WEIGHT, 1 + max(0.0, candidate.change_percent))
    return weight * _REPEAT_SHARE if candidate.called_lately else weight


def _story(candidate: Candidate, draw: tuple[object, ...]) -> tuple[str, str, float]:
    """Return type, reason and urgency (0 to 1) of a call."""
    move = f"{candidate.change_percent:+.1f} % in 30 s"
    if candidate.change_percent >= _BREAKOUT_PERCENT:
        return "Breakout", f"Broke out, {move}", min(1.0, candidate.change_percent / 30)
    if candidate.change_percent >= _MOMENTUM_PERCENT:
        return "Momentum", f"Buyers ahead, {move}", candidate.change_percent / 10
    if candidate.age_days < _NEW_FOR_DAYS and noise.uniform(*draw, "story") < 0.5:
        return "New Listing", f"Listed {candidate.age_days:.0f} days ago, {candidate.liquidity_sol:,} SOL deep", 0.5
    bought = max(1, round(candidate.liquidity_sol * noise.between(0.004, 0.02, *draw, "whale")))
    return "Whale Buy", f"One wallet bought for {bought:,} SOL", noise.uniform(*draw, "urgency")


def outcome_of(status: int) -> Outcome:
    """Return what an HTTP status says about a posted signal."""
    if 200 <= status < 300:
        return Outcome.CREATED
    if status == 409:
        return Outcome.DUPLICATE
    if status in (401, 403):
        return Outcome.UNAUTHORIZED
    if status == 429:
        return Outcome.RATE_LIMITED
    return Outcome.FAILED if status >= 500 else Outcome.REJECTED


def pause_seconds(
    outcome: Outcome, *, failures: int, interval_seconds: float, retry_after_seconds: float | None = None
) -> float:
    """Return how long to wait before the next signal. `failures` counts failed ones in a row, this one included.

    >>> [pause_seconds(Outcome.UNREACHABLE, failures=n, interval_seconds=4) for n in (1, 2, 3, 4, 9)]
    [1.0, 2.0, 4.0, 8.0, 10.0]
    >>> pause_seconds(Outcome.DUPLICATE, failures=0, interval_seconds=4)
    4
    """
    longest = _LONGEST_PAUSE_SECONDS.get(outcome)
    if longest is None:
        return interval_seconds
    pause = min(longest, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))
    if outcome is Outcome.RATE_LIMITED:
        return min(longest, max(pause, interval_seconds, retry_after_seconds or 0.0))
    return pause


def is_failure(outcome: Outcome) -> bool:
    """Say whether an outcome calls for backing off."""
    return outcome in _LONGEST_PAUSE_SECONDS
