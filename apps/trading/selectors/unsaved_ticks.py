"""Prices the watch has recorded and may not have written back to its positions yet: what their peaks do not know.

The book itself takes them up in `book.replay`; this is for those who show positions and keep no book.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal

from django.conf import settings

from apps.core import bulk

# Where no watch of the present shards has said how far it is, nothing is waiting in one.
_AFTER_PROGRESS = """
SELECT mint, id, price_sol FROM tick
WHERE mint = ANY(%(mints)s) AND id > (SELECT min(tick_id) FROM watch_progress WHERE shards = %(shards)s)
"""


def by_mint(mints: Collection[str]) -> dict[str, list[tuple[int, Decimal]]]:
    """Return the numbers and prices (SOL per token) of each token's ticks that positions may not know of."""
    found: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    for mint, number, price in bulk.fetch_all(_AFTER_PROGRESS, {"mints": list(mints), "shards": settings.PRICE_SHARDS}):
        found[mint].append((number, price))
    return found
