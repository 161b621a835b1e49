"""The fills of open positions after the first: take-profit sales and DCA buys, one query for many positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.core import bulk
from apps.trading.presentation import NO_FILLS, PositionFills
from apps.trading.selectors import undone_fills

_FILLS = f"""
SELECT t.position_id, t.id, t.is_dca, CASE WHEN t.is_dca THEN t.output_price ELSE t.input_price END, t.transaction_time
FROM transaction t
WHERE t.position_id = ANY(%s) AND (t.is_dca OR t.is_take_profit) AND t.id NOT IN ({undone_fills.IDS})
ORDER BY t.transaction_time, t.id
"""


def of_positions(positions: Iterable[Any]) -> dict[UUID, PositionFills]:
    """Return the fills of every position given, by its id; a position with neither DCA nor take profit costs nothing.

    `positions` have the attributes of the model; their counters decide which are looked up. Inside a booking's
    transaction, after its transactions were written, the answer has the new fill.
    """
    rows = list(positions)
    found: dict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
    wanted = [row.id for row in rows if row.dca_count or row.take_profit_levels_hit]
    if wanted:
        for position_id, *fill in bulk.fetch_all(_FILLS, [wanted]):
            found[position_id].append(tuple(fill))
    return {row.id: _gathered(found[row.id]) if row.id in found else NO_FILLS for row in rows}


def _gathered(fills: list[tuple[Any, ...]]) -> PositionFills:
    *_, (_, _, last_price, last_at) = fills
    return PositionFills(
        dca_transaction_ids=tuple(fill_id for fill_id, is_dca, _, _ in fills if is_dca),
        take_profit_transaction_ids=tuple(fill_id for fill_id, is_dca, _, _ in fills if not is_dca),
        last_price_sol=last_price,
        last_at=last_at,
    )
