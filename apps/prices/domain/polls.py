"""What one poll of the price sources was like: how many tokens, how often, how old their prices are.

Pure. The watch of a shard notes each poll (`services/polling.py`); health, desk and admin show the newest one.
"""

from __future__ import annotations

from collections.abc import Iterable
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


def oldest_and_median(times: Iterable[datetime]) -> tuple[datetime | None, datetime | None]:
    """Return the earliest of the times and the middle one (of an even number the earlier of the two).

    >>> day = [datetime(2026, 1, number) for number in (4, 1, 3, 2)]
    >>> oldest, median = oldest_and_median(day)
    >>> oldest.day, median.day, oldest_and_median([])
    (1, 2, (None, None))
    """
    ordered = sorted(times)
    return (ordered[0], ordered[(len(ordered) - 1) // 2]) if ordered else (None, None)
