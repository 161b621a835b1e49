"""Positions about to be written: the rows of a booking, inserted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.core import bulk
from apps.core.money import ZERO


@dataclass(frozen=True, slots=True)
class NewPosition:
    """A row of `position` to be written: the columns of the model, without its cost of construction."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    mint: str
    symbol: str
    decimals: int
    signal_id: int | None
    purchase_transaction_id: UUID
    purchase_price: Decimal
    purchase_amount: Decimal
    remaining_amount: Decimal
    total_invested_sol: Decimal
    remaining_cost_sol: Decimal
    stop_percent: Decimal | None
    stop_price_sol: Decimal | None
    stop_updated_at: datetime | None
    peak_price_sol: Decimal
    peak_from_tick: int
    opened_at: datetime
    created_at: datetime
    updated_at: datetime
    realized_profit_sol: Decimal = ZERO
    proceeds_sol: Decimal = ZERO
    generation: int = 1
    peak_generation: int = 1
    lowest_price_sol: Decimal | None = None
    dca_count: int = 0
    last_dca_at: datetime | None = None
    take_profit_levels_hit: int = 0
    take_profit_start_level: int = 0
    take_profit_total_levels: int | None = None
    last_take_profit_at: datetime | None = None
    moon_bag_activated: bool = False
    moon_bag_amount: Decimal | None = None
    closed_at: datetime | None = None
    close_reason: str = ""


_COLUMNS = tuple(NewPosition.__dataclass_fields__)


def insert(positions: Sequence[NewPosition]) -> None:
    """Write the rows, in the caller's transaction, under the locks of their agents and wallets."""
    bulk.insert_rows("position", _COLUMNS, ([getattr(item, name) for name in _COLUMNS] for item in positions))
