"""Candles for charts: what is stored, and the time not stored yet, read from the ticks as it is asked for.

So a chart ends with the newest tick, whenever candles were last made (`services/candles.py`), and a candle of a second
needs no table: it lives as long as the ticks do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.core import bulk
from apps.prices.domain.candles import LARGEST_COUNT, Candle, Interval, Span, begin_of, joined

_NEVER = datetime.min.replace(tzinfo=UTC)
#: Ticks' ids grow with the time they were received, give or take this.
_DISORDER = timedelta(minutes=10)

#: First and last by id: the order in which prices were recorded.
_FROM_TICKS = """
SELECT date_trunc(%(unit)s, received_at, 'UTC') AS at,
       (array_agg(price_sol ORDER BY id))[1], max(price_sol), min(price_sol),
       (array_agg(price_sol ORDER BY id))[count(*)],
       (array_agg(price_usd ORDER BY id) FILTER (WHERE price_usd IS NOT NULL))[1], max(price_usd), min(price_usd),
       (array_agg(price_usd ORDER BY id) FILTER (WHERE price_usd IS NOT NULL))[count(price_usd)],
       count(*)
FROM tick
WHERE mint = %(mint)s AND received_at >= %(start)s AND received_at < %(end)s
  AND id >= (SELECT id FROM tick WHERE received_at >= %(earlier)s ORDER BY received_at LIMIT 1)
  AND id < coalesce(
      (SELECT id FROM tick WHERE received_at >= %(later)s ORDER BY received_at LIMIT 1), 9223372036854775807)
GROUP BY 1 ORDER BY 1
"""
_STORED = """
SELECT opened_at, open_sol, high_sol, low_sol, close_sol, open_usd, high_usd, low_usd, close_usd, ticks FROM candle
WHERE mint = %s AND interval = %s AND opened_at >= %s AND opened_at < %s ORDER BY opened_at
"""
_MADE_UNTIL = """
SELECT (SELECT max(opened_at) FROM candle WHERE interval = '1m') + interval '1 minute',
       (SELECT max(opened_at) FROM candle WHERE interval = '1h') + interval '1 hour'
"""


@dataclass(frozen=True, slots=True)
class CandleRange:
    """The candles of the time from `start` on and before `end`, oldest first; a span without a price has none."""

    start: datetime
    end: datetime
    candles: list[Candle]


def candles(
    mint: str, interval: Interval, *, start: datetime | None, end: datetime, count: int = LARGEST_COUNT
) -> CandleRange:
    """Return a token's candles of the times that `start` and `end` stand in and all between, the last `count` at most.

    `count` is a number of spans, with and without a candle; without `start` it alone says how far to go back.
    """
    until = begin_of(end, interval) + interval.length
    earliest = until - count * interval.length
    begin = earliest if start is None else max(earliest, begin_of(start, interval))
    return CandleRange(begin, until, _READERS[interval](mint, begin, until) if begin < until else [])


def _seconds(mint: str, start: datetime, end: datetime) -> list[Candle]:
    return _from_ticks(mint, "second", start, end)


def _minutes(mint: str, start: datetime, end: datetime) -> list[Candle]:
    made_until, _ = _made_until()
    return _minutes_made_until(made_until, mint, start, end)


def _hours(mint: str, start: datetime, end: datetime) -> list[Candle]:
    minutes_until, hours_until = _made_until()
    stored = _stored(mint, Interval.HOUR, start, min(end, hours_until))
    return stored + joined(_minutes_made_until(minutes_until, mint, max(start, hours_until), end), Interval.HOUR)


_READERS = {Interval.SECOND: _seconds, Interval.MINUTE: _minutes, Interval.HOUR: _hours}


def _minutes_made_until(made_until: datetime, mint: str, start: datetime, end: datetime) -> list[Candle]:
    stored = _stored(mint, Interval.MINUTE, start, min(end, made_until))
    return stored + _from_ticks(mint, "minute", max(start, made_until), end)


def _made_until() -> tuple[datetime, datetime]:
    """Return up to when minutes and hours are stored: what comes after is to be read from what is shorter."""
    ((minutes, hours),) = bulk.fetch_all(_MADE_UNTIL)
    return minutes or _NEVER, hours or _NEVER


def _stored(mint: str, interval: Interval, start: datetime, end: datetime) -> list[Candle]:
    return _read(bulk.fetch_all(_STORED, [mint, interval.value, start, end])) if start < end else []


def _from_ticks(mint: str, unit: str, start: datetime, end: datetime) -> list[Candle]:
    if start >= end:
        return []
    bounds = {"start": start, "end": end, "earlier": start - _DISORDER, "later": end + _DISORDER}
    return _read(bulk.fetch_all(_FROM_TICKS, {"mint": mint, "unit": unit, **bounds}))


def _read(rows: Sequence[tuple[Any, ...]]) -> list[Candle]:
    return [Candle(row[0], Span(*row[1:5]), _usd(row[5:9]), row[9]) for row in rows]


def _usd(prices: Sequence[Decimal | None]) -> Span | None:
    known = [price for price in prices if price is not None]
    return Span(*known) if len(known) == len(prices) else None
