"""What open positions are valued at (`domain.marks`), for rows in memory and for sums in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.core import bulk
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

_SCOPE = """
p.closed_at IS NULL AND (%(user)s::uuid IS NULL OR a.user_id = %(user)s)
AND (%(agent)s::uuid IS NULL OR p.agent_id = %(agent)s)
"""
_HELD_MINTS = f"SELECT DISTINCT p.mint FROM position p JOIN agent a ON a.id = p.agent_id WHERE {_SCOPE}"
# Everybody's: one look into the index of open positions per token, however many hold it.
_ALL_MINTS = """
WITH RECURSIVE held (mint) AS (
    (SELECT mint FROM position WHERE closed_at IS NULL ORDER BY mint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.mint FROM position p WHERE p.closed_at IS NULL AND p.mint > held.mint ORDER BY p.mint LIMIT 1)
    FROM held WHERE held.mint IS NOT NULL
)
SELECT mint FROM held WHERE mint IS NOT NULL
"""
_HELD = f"""
SELECT w.wallet_type, p.mint, max(p.symbol), count(*),
       count(*) FILTER (WHERE NOT {IS_MARKED} AND {LAST_FILL_AT} < now() - interval '10 seconds'),
       sum(p.remaining_amount * {MARK}), sum(p.remaining_cost_sol), min(p.opened_at)
FROM position p JOIN agent a ON a.id = p.agent_id JOIN wallet w ON w.id = p.wallet_id
LEFT JOIN unnest(%(mints)s::text[], %(prices)s::numeric[], %(times)s::timestamptz[]) AS newest (mint, price_sol, at)
       ON newest.mint = p.mint
WHERE {_SCOPE}
GROUP BY w.wallet_type, p.mint
"""


@dataclass(frozen=True, slots=True)
class HeldWorth:
    """All open positions in one token in wallets of one mode, valued at their marks; SOL.

    `unpriced` of them are valued at a last fill of more than ten seconds ago: no price was told since. `newest` is the
    token's newest price, however old.
    """

    mode: str
    mint: str
    symbol: str
    positions: int
    unpriced: int
    value_sol: Decimal
    cost_sol: Decimal
    held_since: datetime
    newest: PricePoint | None


def worth_by_token(*, user_id: UUID | None = None, agent_id: UUID | None = None) -> list[HeldWorth]:
    """Return what is held by mode and token, of everybody, a user or an agent, in two queries however much it is."""
    scope = {"user": user_id, "agent": agent_id}
    mints = bulk.fetch_all(_ALL_MINTS if user_id is None and agent_id is None else _HELD_MINTS, scope)
    newest = prices.latest_prices(row[0] for row in mints)
    points = list(newest.values())
    told = {
        "mints": [point.mint for point in points],
        "prices": [point.price_sol for point in points],
        "times": [point.at for point in points],
    }
    return [HeldWorth(*[*row, newest.get(row[1])]) for row in bulk.fetch_all(_HELD, {**scope, **told})]


def of_positions(positions: Iterable[Any], fills: Mapping[UUID, PositionFills]) -> dict[UUID, Mark]:
    """Return what every position is valued at, by its id; no provider is called."""
    rows = list(positions)
    newest = prices.latest_prices(row.mint for row in rows)
    return {row.id: marks.mark(presentation.last_fill(row, fills[row.id]), _told(newest.get(row.mint))) for row in rows}


def _told(point: PricePoint | None) -> Mark | None:
    return None if point is None else Mark(point.price_sol, point.at, str(point.source))
