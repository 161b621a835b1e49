"""What a take profit or a DCA looks at, in one query for many positions: read before the quote and again under lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.agents.domain.trading_config import TradingConfig
from apps.core import bulk
from apps.core.money import SOL_MINT, sol_to_lamports, to_base_units
from apps.trading.domain.position_changes import Books
from apps.trading.selectors.configs import read_config


@dataclass(frozen=True, slots=True)
class Adjusting:
    """A position about to change, with its agent as it stands. `config` None: it no longer validates.

    `balance_sol` is the wallet's free SOL, None when it never had any. `at` is the database's clock, `last_tick` the
    newest tick there is.
    """

    position_id: UUID
    books: Books
    config: TradingConfig | None
    last_dca_at: datetime | None
    archived: bool
    paused: bool
    other_mode: bool
    desk_state: str
    own_state: str
    balance_sol: Decimal | None
    at: datetime
    last_tick: int

    @property
    def seconds_since_dca(self) -> Decimal | None:
        """Seconds since the last DCA, None before the first one."""
        if self.last_dca_at is None:
            return None
        past = self.at - self.last_dca_at
        return Decimal(past.days * 86_400 + past.seconds) + Decimal(past.microseconds).scaleb(-6)


_READ = """
SELECT p.id, p.decimals, p.purchase_amount, p.remaining_amount, p.total_invested_sol, p.remaining_cost_sol,
       p.purchase_price, p.realized_profit_sol, p.proceeds_sol, p.dca_count, p.take_profit_levels_hit,
       p.take_profit_start_level, p.take_profit_total_levels, p.moon_bag_activated, p.moon_bag_amount,
       a.trading_config::text, p.last_dca_at, a.archived_at IS NOT NULL,
       NOT CASE a.trading_mode WHEN 'live' THEN a.automated_trading_live ELSE a.automated_trading_simulation END,
       a.trading_mode <> w.wallet_type, COALESCE((SELECT state FROM trading_state WHERE agent_id IS NULL), 'active'),
       COALESCE(t.state, 'active'), b.amount, clock_timestamp(), COALESCE((SELECT max(id) FROM tick), 0)
FROM position p
JOIN agent a ON a.id = p.agent_id
JOIN wallet w ON w.id = p.wallet_id
LEFT JOIN trading_state t ON t.agent_id = p.agent_id
LEFT JOIN balance b ON b.wallet_id = p.wallet_id AND b.mint = %s
WHERE p.id = ANY(%s)
"""


def read(position_ids: Iterable[UUID]) -> dict[UUID, Adjusting]:
    """Return positions about to change, by id; none given costs nothing."""
    wanted = list(position_ids)
    if not wanted:
        return {}
    rows = bulk.fetch_all(_READ, [SOL_MINT, wanted])
    return {row[0]: Adjusting(row[0], _books(row[1:15]), read_config(row[15]), *row[16:]) for row in rows}


def _books(row: Sequence[Any]) -> Books:
    decimals, bought, remaining, invested, cost, average, realised, proceeds, *progress = row
    dca_count, levels_hit, batch_start, total_levels, bag_active, bag = progress
    return Books(
        decimals,
        to_base_units(bought, decimals),
        to_base_units(remaining, decimals),
        sol_to_lamports(invested),
        sol_to_lamports(cost),
        average,
        sol_to_lamports(realised),
        sol_to_lamports(proceeds),
        dca_count,
        levels_hit,
        batch_start,
        total_levels,
        bag_active,
        None if bag is None else to_base_units(bag, decimals),
    )
