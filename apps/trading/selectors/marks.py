"""What open positions are valued at (`domain.marks`), for rows in memory and for sums in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from apps.prices import selectors as prices
from apps.prices.domain.points import PricePoint
from apps.trading import presentation
from apps.trading.domain import marks
from apps.trading.domain.marks import Mark
from apps.trading.presentation import PositionFills

#: SQL: when `position p` was last filled.
LAST_FILL_AT = "greatest(p.opened_at, p.last_dca_at, p.last_take_profit_at)"
#: SQL: whether the newest price of its token, `newest (price_sol, at)`, may value `position p`; never null.
IS_MARKED = f"coalesce(newest.at > {LAST_FILL_AT}, false)"
#: SQL: the price `position p` is valued at; a fill's own price is looked up only where no newer one is known.
MARK = f"""
CASE WHEN {IS_MARKED} THEN newest.price_sol
     WHEN p.dca_count = 0 AND p.take_profit_levels_hit = 0 THEN p.purchase_price
     ELSE coalesce((SELECT CASE WHEN t.is_dca THEN t.output_price ELSE t.input_price END FROM transaction t
                    WHERE t.position_id = p.id AND (t.is_dca OR t.is_take_profit)
                    ORDER BY t.transaction_time DESC, t.id DESC LIMIT 1), p.purchase_price) END
"""


def of_positions(positions: Iterable[Any], fills: Mapping[UUID, PositionFills]) -> dict[UUID, Mark]:
    """Return what every position is valued at, by its id; no provider is called."""
    rows = list(positions)
    newest = prices.latest_prices(row.mint for row in rows)
    return {row.id: marks.mark(presentation.last_fill(row, fills[row.id]), _told(newest.get(row.mint))) for row in rows}


def _told(point: PricePoint | None) -> Mark | None:
    return None if point is None else Mark(point.price_sol, point.at, str(point.source))
