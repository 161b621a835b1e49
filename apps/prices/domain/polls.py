"""What one poll of the price sources was like: how many tokens, how often, how old their prices are.

Pure. The watch of a shard notes each poll (`services/polling.py`); health, desk and admin show the newest one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Poll:
    """The newest poll of one shard.

    `interval_seconds` is how often the plan lets this many tokens be polled, `took_seconds` what the sources needed.
    `oldest_at` and `median_at` are when the oldest and the middle one of the tokens' newest trusted prices were true;
    None while no token has one. `missing` tokens have no price in this poll, `unpriced` ones never had one.
    """

    shard: int
    tokens: int
    trusted: int
    doubted: int
    missing: int
    unpriced: int
    interval_seconds: float
    took_seconds: float
    source: str
    plan: str
    polled_at: datetime
    oldest_at: datetime | None
    median_at: datetime | None

    def age_seconds(self, now: datetime) -> float:
        """Return how long ago it was."""
        return max(0.0, (now - self.polled_at).total_seconds())

    def oldest_seconds(self, now: datetime) -> float | None:
        """Return the age of the oldest price, None without any."""
        return None if self.oldest_at is None else max(0.0, (now - self.oldest_at).total_seconds())

    def median_seconds(self, now: datetime) -> float | None:
        """Return the age of the middle one of the prices, None without any."""
        return None if self.median_at is None else max(0.0, (now - self.median_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Polling:
    """How all shards that hold tokens poll: sums, and of intervals, times and ages the worst.

    `polled_at` is when the shard that polled longest ago did; None, as `oldest_at`, while nobody holds a token.
    """

    tokens: int
    trusted: int
    doubted: int
    missing: int
    unpriced: int
    interval_seconds: float
    took_seconds: float
    source: str
    plan: str
    polled_at: datetime | None
    oldest_at: datetime | None


def together(polls: Sequence[Poll]) -> Polling | None:
    """Return the polls of all shards as one, None without any."""
    if not polls:
        return None
    holding = [poll for poll in polls if poll.tokens]
    newest = max(polls, key=lambda poll: poll.polled_at)
    return Polling(
        tokens=sum(poll.tokens for poll in holding),
        trusted=sum(poll.trusted for poll in holding),
        doubted=sum(poll.doubted for poll in holding),
        missing=sum(poll.missing for poll in holding),
        unpriced=sum(poll.unpriced for poll in holding),
        interval_seconds=max((poll.interval_seconds for poll in holding), default=newest.interval_seconds),
        took_seconds=max((poll.took_seconds for poll in holding), default=0.0),
        source=newest.source,
        plan=newest.plan,
        polled_at=min((poll.polled_at for poll in holding), default=None),
        oldest_at=min((poll.oldest_at for poll in holding if poll.oldest_at is not None), default=None),
    )


def oldest_and_median(times: Iterable[datetime]) -> tuple[datetime | None, datetime | None]:
    """Return the earliest of the times and the middle one (of an even number the earlier of the two).

    >>> day = [datetime(2026, 1, number) for number in (4, 1, 3, 2)]
    >>> oldest, median = oldest_and_median(day)
    >>> oldest.day, median.day, oldest_and_median([])
    (1, 2, (None, None))
    """
    ordered = sorted(times)
    return (ordered[0], ordered[(len(ordered) - 1) // 2]) if ordered else (None, None)
