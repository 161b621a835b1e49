"""What can happen to a token's price: a scenario is a plan of moves, tick by tick, worked out when it starts.

Moves are pure functions of the plan and the tick's number in it; noise comes in by name (`noise.py`), never by state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log, pi, sin, sqrt

from apps.sandbox.domain import noise

#: The SOL side a rug leaves in the pool, as a share of what it held.
_RUG_SOL_LEFT = 0.01
#: How long, in minutes, the walk takes to forget a distance from its anchor.
_REVERSION_MINUTES = 25.0
#: The pull does not grow beyond this distance (as a log return): a crashed token must not be a sure thing.
_STRONGEST_PULL = 1.0
_PERCENT = 100.0


class ScenarioName(StrEnum):
    """Moves and states a person can start; charts have names of their own (`ready_made.py`)."""

    CALM = "calm"
    STILL = "still"
    PUMP = "pump"
    CRASH = "crash"
    RUG = "rug"
    GAP = "gap"


#: What each does, in words for the page.
MOVES = {
    ScenarioName.CALM: "Walks about its price; a rugged pool gets its depth back.",
    ScenarioName.STILL: "Stands still.",
    ScenarioName.PUMP: "Climbs 60 to 160 % within seconds.",
    ScenarioName.CRASH: "Falls 60 to 80 % within seconds.",
    ScenarioName.GAP: "Falls 50 to 70 % at once.",
    ScenarioName.RUG: "Its owners take the liquidity and sell: what is held is worth next to nothing.",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Limits of a scenario's size: how far the price goes (percent of the start) and how long it takes (seconds)."""

    least_percent: float
    most_percent: float
    default_low_percent: float
    default_high_percent: float
    default_seconds: float


SPANS = {
    ScenarioName.PUMP: Span(1.0, 10_000.0, 60.0, 160.0, 18.0),
    ScenarioName.CRASH: Span(1.0, 99.0, 60.0, 80.0, 6.0),
    ScenarioName.GAP: Span(1.0, 99.0, 50.0, 70.0, 0.0),
    ScenarioName.RUG: Span(50.0, 99.9, 96.0, 98.0, 2.0),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario as it will play out: the whole log move, over how many ticks, and the liquidity left at its end."""

    name: ScenarioName
    ticks: int
    log_move: float
    liquidity_kept: float = 1.0

    def progress(self, tick: int) -> float:
        """Return the share of the move done after `tick` ticks: crashes start fast, pumps start and end gently."""
        done = min(tick / self.ticks, 1.0)
        if self.name is ScenarioName.PUMP:
            return done * done * (3 - 2 * done)
        return 1 - (1 - done) ** 2

    def log_return(self, tick: int) -> float:
        """Return the log return of the plan's tick number `tick` (from 1); they add up to `log_move`."""
        return self.log_move * (self.progress(tick) - self.progress(tick - 1))

    def liquidity_factor(self, tick: int) -> float:
        """Return what both reserves are scaled by at tick number `tick`: owners leave first, at once."""
        return self.liquidity_kept if tick == 1 else 1.0


def make_plan(
    name: ScenarioName, *, tick_ms: int, change_percent: float | None, seconds: float | None, draw: tuple[object, ...]
) -> Plan | None:
    """Return the plan of a scenario, or None for calm and still, which are states and not moves.

    `change_percent` is how far the price goes (a rise for pump, a fall for the others); None draws it from the seed.
    """
    span = SPANS.get(name)
    if span is None:
        return None
    if change_percent is None:
        change_percent = noise.between(span.default_low_percent, span.default_high_percent, *draw, "change")
    share = change_percent / _PERCENT
    log_move = log(1 + share) if name is ScenarioName.PUMP else log(1 - share)
    duration = span.default_seconds if seconds is None else seconds
    ticks = 1 if name is ScenarioName.GAP else max(1, round(duration * 1000 / tick_ms))
    kept = 1.0
    if name is ScenarioName.RUG:
        # The dump takes the square root of the price's fall from the SOL side; leaving liquidity takes the rest.
        kept = min(1.0, _RUG_SOL_LEFT / sqrt(1 - share))
    return Plan(name, ticks, log_move, kept)


def calm_return(
    *, volatility_percent: float, tick_ms: int, tick: int, distance: float, draw: tuple[object, ...]
) -> float:
    """Return one tick's log return of a walking price.

    `distance` is log(price / anchor): the walk leans back towards its anchor and swings in slow tides of a few minutes,
    so that prices trend long enough to make profits and turn often enough to make losses.
    """
    minutes = tick_ms / 60_000
    volatility = volatility_percent / _PERCENT
    shock = volatility * sqrt(minutes) * noise.gauss(*draw, tick)
    period_minutes = noise.between(2.5, 6.0, *draw, "period")
    phase = noise.uniform(*draw, "phase")
    tide = 0.8 * volatility * sin(2 * pi * (tick * minutes / period_minutes + phase)) * minutes
    pull = max(-_STRONGEST_PULL, min(_STRONGEST_PULL, distance)) * minutes / _REVERSION_MINUTES
    return shock + tide - pull


def jitter(*, volatility_percent: float, tick_ms: int, tick: int, draw: tuple[object, ...]) -> float:
    """Return the small noise on top of a scenario's move, so that its line is not a ruler's."""
    return 0.3 * (volatility_percent / _PERCENT) * sqrt(tick_ms / 60_000) * noise.gauss(*draw, tick)


def fall_percent(log_move: float) -> float:
    """Return a log move as a percentage of the start (negative for a fall).

    >>> round(fall_percent(log(0.3)))
    -70
    """
    return (exp(log_move) - 1) * _PERCENT
