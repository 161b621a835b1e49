"""Writing back what the watch has seen: peaks, lows and stops, set-based, only ever outwards, never waiting.

Takes what has waited longest, for as long as it is given; a position that a booking holds is passed over and comes
again. A stop that rose is told to its agent and kept as part of the position's story.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox
from apps.trading.book.book import PositionBook
from apps.trading.book.exact import Rise
from apps.trading.book.tokens import TokenSlot
from apps.trading.models import Position
from apps.trading.services import position_feed

_STORED_AT_ONCE = 1_000
_TOLD_AT_ONCE = 100

# An older generation's peak belongs to an average that is gone (CONCURRENCY 15).
_STORE = """
WITH rise AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(generations)s::int[], %(peaks)s::numeric[], %(lows)s::numeric[],
                         %(percents)s::numeric[], %(prices)s::numeric[])
        AS v (id, generation, peak, low, percent, price)
), held AS (
    SELECT p.id FROM position p JOIN rise USING (id)
    WHERE p.closed_at IS NULL AND p.peak_generation = rise.generation
    ORDER BY p.id FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE position p
SET peak_price_sol = greatest(p.peak_price_sol, rise.peak), stop_percent = greatest(p.stop_percent, rise.percent),
    lowest_price_sol = least(p.lowest_price_sol, rise.low), stop_price_sol = greatest(p.stop_price_sol, rise.price),
    stop_updated_at = CASE WHEN rise.percent > coalesce(p.stop_percent, '-Infinity') THEN clock_timestamp()
                           ELSE p.stop_updated_at END
FROM held JOIN rise USING (id)
WHERE p.id = held.id
RETURNING p.id
"""
_KEEP_MOVES = """
INSERT INTO stop_move (position_id, peak_price_sol, stop_percent, stop_price_sol, source, price_at)
SELECT p.id, p.peak_price_sol, p.stop_percent, p.stop_price_sol, v.source, v.at
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS v (id, source, at) JOIN position p ON p.id = v.id
"""
_PROGRESS = """
INSERT INTO watch_progress (shards, shard, tick_id, updated_at) VALUES (%s, %s, %s, clock_timestamp())
ON CONFLICT (shards, shard) DO UPDATE SET tick_id = EXCLUDED.tick_id, updated_at = EXCLUDED.updated_at
"""


def write_back(book: PositionBook, *, within_seconds: float) -> int:
    """Store rises until none is left or the time is over, in transactions of their own; return how many were stored.

    Locks, where a stop has moved, agent states, then positions. What is left waits in memory, and in the ticks.
    """
    until = time.monotonic() + within_seconds
    stored = 0
    for slot in book.tokens.pending():
        if time.monotonic() >= until:
            break
        stored += _write_token(book, slot, until)
        book.settled(slot)
    return stored


def _write_token(book: PositionBook, slot: TokenSlot, until: float) -> int:
    rows = book.unsaved(slot)
    stored = 0
    for start in range(0, len(rows), _STORED_AT_ONCE):
        if time.monotonic() >= until:
            break
        rises = book.rises(rows[start : start + _STORED_AT_ONCE])
        quiet = [rise for rise in rises if not rise.stop_moved]
        written = store(quiet)
        moved = sorted((rise for rise in rises if rise.stop_moved), key=lambda rise: rise.agent_id)
        for first in range(0, len(moved), _TOLD_AT_ONCE):
            if first and time.monotonic() >= until:
                break
            written |= store_and_tell(moved[first : first + _TOLD_AT_ONCE])
        book.saved([rise for rise in rises if rise.position_id in written])
        stored += len(written)
    return stored


def store(rises: Sequence[Rise]) -> set[UUID]:
    """Store peaks, lows and stops; return the positions that were written."""
    if not rises:
        return set()
    rows = bulk.fetch_all(
        _STORE,
        {
            "ids": [rise.position_id for rise in rises],
            "generations": [rise.peak_generation for rise in rises],
            "peaks": [rise.peak_price for rise in rises],
            "lows": [rise.lowest_price for rise in rises],
            "percents": [rise.stop_percent for rise in rises],
            "prices": [rise.stop_price for rise in rises],
        },
    )
    return {row[0] for row in rows}


def store_and_tell(rises: Sequence[Rise]) -> set[UUID]:
    """Store rises whose stop has moved, keep the moves and tell the agents' feeds; return what was written.

    An agent that a booking holds is passed over, as its positions would be.
    """
    with database.atomic():
        free = locks.lock_free_states({rise.agent_id for rise in rises})
        written = store([rise for rise in rises if rise.agent_id in free])
        _keep_moves([rise for rise in rises if rise.position_id in written])
        rows = Position.objects.filter(pk__in=written).select_related("wallet").order_by("agent_id", "pk")
        outbox.append(position_feed.updated((row, row.wallet.address) for row in rows))
    return written


def keep_progress(shards: int, shard: int, tick_id: int) -> None:
    """Say up to which tick everything is written back, in the caller's transaction."""
    bulk.execute(_PROGRESS, [shards, shard, tick_id])


def _keep_moves(rises: Sequence[Rise]) -> None:
    bulk.execute(
        _KEEP_MOVES,
        [
            [rise.position_id for rise in rises],
            ["" if rise.point is None else str(rise.point.source) for rise in rises],
            [None if rise.point is None else rise.point.at for rise in rises],
        ],
    )
