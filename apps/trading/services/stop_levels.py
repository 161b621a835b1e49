"""Writing back peaks and stops the watch has judged: set-based, only ever upwards, never waiting for a booking.

A position that a booking holds is passed over; the watch keeps its level and writes it with the next tick.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox
from apps.trading import presentation
from apps.trading.domain.watch_rules import Level
from apps.trading.models import Position

_TOLD_AT_ONCE = 100

# An older generation's peak belongs to an average that is gone (CONCURRENCY 15).
_STORE = """
WITH level AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(generations)s::int[], %(peaks)s::numeric[], %(percents)s::numeric[],
                         %(prices)s::numeric[]) AS v (id, generation, peak, percent, price)
), held AS (
    SELECT p.id FROM position p JOIN level USING (id)
    WHERE p.closed_at IS NULL AND p.peak_generation = level.generation
    ORDER BY p.id FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE position p
SET peak_price_sol = greatest(p.peak_price_sol, level.peak), stop_percent = greatest(p.stop_percent, level.percent),
    stop_price_sol = greatest(p.stop_price_sol, level.price),
    stop_updated_at = CASE WHEN p.stop_percent IS NULL OR level.percent > p.stop_percent THEN clock_timestamp()
                           ELSE p.stop_updated_at END
FROM held JOIN level USING (id)
WHERE p.id = held.id
RETURNING p.id
"""


def store(levels: Sequence[Level]) -> set[UUID]:
    """Raise peaks and stops in the caller's transaction; return the positions that were written."""
    if not levels:
        return set()
    rows = bulk.fetch_all(
        _STORE,
        {
            "ids": [level.position_id for level in levels],
            "generations": [level.peak_generation for level in levels],
            "peaks": [level.peak_price for level in levels],
            "percents": [level.stop_percent for level in levels],
            "prices": [level.stop_price for level in levels],
        },
    )
    return {row[0] for row in rows}


def store_and_tell(levels: Sequence[Level], *, within_seconds: float) -> set[UUID]:
    """Raise peaks and stops and tell the agents' feeds, in transactions of their own; return what was written.

    Stops when the time is over; what is left is for the next tick. Locks agent states, then positions.
    """
    until = time.monotonic() + within_seconds
    stored: set[UUID] = set()
    ordered = sorted(levels, key=lambda level: level.agent_id)
    for start in range(0, len(ordered), _TOLD_AT_ONCE):
        if time.monotonic() >= until:
            break
        part = ordered[start : start + _TOLD_AT_ONCE]
        with database.atomic():
            locks.lock_states({level.agent_id for level in part})
            written = store(part)
            rows = Position.objects.filter(pk__in=written).select_related("wallet").order_by("agent_id", "pk")
            outbox.append(_updated(row) for row in rows)
        stored |= written
    return stored


def _updated(position: Position) -> outbox.Message:
    payload = {
        "eventType": "position_updated",
        "position": presentation.open_position(position, position.wallet.address),
    }
    return outbox.Message(outbox.agent_stream(position.agent_id), "position_update", payload)
