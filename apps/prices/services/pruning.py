"""Deleting old ticks and candles, in slices of time: each a range of an index and a transaction of its own.

How old is old is said in one place, with everything else that is kept for a time: `apps.trading.services.retention`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from apps.core import bulk
from apps.prices.domain.candles import Interval

_AT_ONCE = 20_000
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

# The last tick of each token that has no newer one: a walk from token to token through the index, not over all ticks.
_LAST_ONES = """
WITH RECURSIVE token AS (
    (SELECT mint FROM tick ORDER BY mint LIMIT 1)
    UNION ALL
    SELECT (SELECT tick.mint FROM tick WHERE tick.mint > token.mint ORDER BY tick.mint LIMIT 1)
    FROM token WHERE token.mint IS NOT NULL
)
SELECT last.id FROM token
CROSS JOIN LATERAL (SELECT id, received_at FROM tick WHERE tick.mint = token.mint ORDER BY id DESC LIMIT 1) AS last
WHERE last.received_at < %s
"""
_TICKS_CUT = "SELECT received_at FROM tick WHERE received_at >= %s AND received_at < %s ORDER BY 1 OFFSET %s LIMIT 1"
_DELETE_TICKS = """
DELETE FROM tick WHERE received_at >= %s AND received_at < %s AND id <> ALL(%s::bigint[])
AND id < coalesce(%s, 9223372036854775807)
"""
_CANDLES_CUT = """
SELECT opened_at FROM candle WHERE interval = %s AND opened_at >= %s AND opened_at < %s ORDER BY 1 OFFSET %s LIMIT 1
"""
_DELETE_CANDLES = "DELETE FROM candle WHERE interval = %s AND opened_at >= %s AND opened_at < %s"


def prune_ticks(older_than: datetime, *, spare_from: int | None = None) -> int:
    """Delete ticks received before `older_than`, but never a token's last one; return how many went.

    Ticks from the id `spare_from` on stay, however old: somebody has not read them yet.
    """
    last_ones = [number for (number,) in bulk.fetch_all(_LAST_ONES, [older_than])]
    return sum(
        bulk.execute(_DELETE_TICKS, [begin, end, last_ones, spare_from])
        for begin, end in _slices(_TICKS_CUT, (), older_than)
    )


def prune_candles(interval: Interval, older_than: datetime) -> int:
    """Delete candles of `interval` that began before `older_than`; return how many went."""
    return sum(
        bulk.execute(_DELETE_CANDLES, [interval.value, begin, end])
        for begin, end in _slices(_CANDLES_CUT, (interval.value,), older_than)
    )


def _slices(cut: str, parameters: Sequence[Any], older_than: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the time before `older_than` in parts of about so many rows as are deleted at once."""
    begin = _ALWAYS
    while begin < older_than:
        rows = bulk.fetch_all(cut, [*parameters, begin, older_than, _AT_ONCE])
        end = rows[0][0] if rows and rows[0][0] > begin else older_than
        yield begin, end
        begin = end
