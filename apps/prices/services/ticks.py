"""Recording prices: one insert for all, one Redis round trip for the newest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction

from apps.core import bulk
from apps.prices.adapters import jupiter_prices, newest
from apps.prices.domain.points import PricePoint

_INSERT = """
INSERT INTO tick (mint, price_sol, price_usd, source, provider_at, received_at)
SELECT mint, price_sol, price_usd, source, provider_at, received_at
FROM unnest(%s::text[], %s::numeric[], %s::numeric[], %s::text[], %s::text[]::timestamptz[], %s::text[]::timestamptz[])
     WITH ORDINALITY AS point(mint, price_sol, price_usd, source, provider_at, received_at, place)
ORDER BY place
RETURNING mint, id
"""


def record_ticks(points: Iterable[PricePoint]) -> dict[str, int]:
    """Store `points` and make them the newest; return the tick id of each mint (its last one).

    Record what is trusted: a stored tick may raise a position's peak and is what the next price is compared with.
    Inside a caller's transaction the newest prices change when it commits.
    """
    rows = list(points)
    if not rows:
        return {}
    ids = bulk.fetch_all(_INSERT, _columns(rows))
    transaction.on_commit(lambda: newest.remember(rows, block=jupiter_prices.newest_block()))
    by_mint: dict[str, int] = {}
    for mint, number in ids:
        by_mint[mint] = max(number, by_mint.get(mint, 0))
    return by_mint


def _columns(rows: Sequence[PricePoint]) -> list[list[object]]:
    """Return the points by column; prices of one answer share their times, which are written once."""
    text = {moment: moment.isoformat() for row in rows for moment in (row.provider_at, row.received_at) if moment}
    return [
        [row.mint for row in rows],
        [row.price_sol for row in rows],
        [row.price_usd for row in rows],
        [str(row.source) for row in rows],
        [row.provider_at and text[row.provider_at] for row in rows],
        [text[row.received_at] for row in rows],
    ]
