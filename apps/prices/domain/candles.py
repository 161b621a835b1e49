"""What a candle is, how long one lasts, and how short ones become a longer one.

Pure. A candle says what a price did in a span of time: where it began, how far it went, where it ended. A span without
a price has no candle; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

#: More than this many are never asked for at once.
LARGEST_COUNT = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Interval(StrEnum):
    """How long a candle lasts. Minutes and hours are stored, seconds are read from the ticks."""

    SECOND = "1s"
    MINUTE = "1m"
    HOUR = "1h"

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self]


_LENGTHS = {
    Interval.SECOND: timedelta(seconds=1),
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class Span:
    """The first, highest, lowest and last price of a time, per whole token."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class Candle:
    """One token's prices from `at` on: in SOL, and in dollars where any of its `ticks` had a dollar price."""

    at: datetime
    sol: Span
    usd: Span | None
    ticks: int


def begin_of(moment: datetime, interval: Interval) -> datetime:
    """Return when the candle that holds `moment` begins; all of them stand on whole UTC times.

    >>> begin_of(datetime(2026, 1, 2, 3, 4, 59, 999999, tzinfo=UTC), Interval.MINUTE)
    datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
    """
    return moment - (moment - _EPOCH) % interval.length


def joined(candles: Iterable[Candle], interval: Interval) -> list[Candle]:
    """Return the candles of `interval` that shorter ones, in order of time, make up.

    >>> def flat(second: int, price: int) -> Candle:
    ...     at = datetime(2026, 1, 1, second=second, tzinfo=UTC)
    ...     return Candle(at, Span(*[Decimal(price)] * 4), None, 1)
    >>> [minute] = joined([flat(1, 5), flat(2, 9), flat(3, 7)], Interval.MINUTE)
    >>> [int(price) for price in (minute.sol.open, minute.sol.high, minute.sol.low, minute.sol.close)], minute.ticks
    ([5, 9, 5, 7], 3)
    """
    longer: list[Candle] = []
    for candle in candles:
        at = begin_of(candle.at, interval)
        if longer and longer[-1].at == at:
            longer[-1] = _followed(longer[-1], candle)
        else:
            longer.append(replace(candle, at=at))
    return longer


def _followed(first: Candle, second: Candle) -> Candle:
    usd = first.usd or second.usd
    if first.usd is not None and second.usd is not None:
        usd = _stretched(first.usd, second.usd)
    return Candle(first.at, _stretched(first.sol, second.sol), usd, first.ticks + second.ticks)


def _stretched(first: Span, second: Span) -> Span:
    return Span(first.open, max(first.high, second.high), min(first.low, second.low), second.close)
