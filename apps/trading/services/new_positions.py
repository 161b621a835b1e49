"""Positions about to be written: the rows of a booking, inserted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.agents.domain.trading_config import TradingConfig
from apps.core import bulk
from apps.core.money import ZERO, lamports_to_sol, quantize_price
from apps.trading.domain import stop_loss
from apps.trading.domain.position_changes import Books
from apps.wallets.services.books import LockedWallet


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


def at_buy(
    opened: Books,
    config: TradingConfig | None,
    *,
    id: UUID,
    wallet: LockedWallet,
    mint: str,
    symbol: str,
    signal_id: int | None,
    transaction_id: UUID,
    at: datetime,
    last_tick: int,
) -> NewPosition:
    """Return the position a first buy opens: its average is its peak, its stop the default of the configuration.

    Ticks up to `last_tick` say nothing of its peak. `config` None: the stop is off until it can be read.
    """
    average, bought = opened.average_price, opened.tokens(opened.bought_units)
    invested = lamports_to_sol(opened.invested_lamports)
    stop = stop_loss.StopState() if config is None else stop_loss.at_buy(average, config.stop_loss)
    return NewPosition(
        id=id,
        agent_id=wallet.agent_id,
        wallet_id=wallet.id,
        epoch=wallet.epoch,
        mint=mint,
        symbol=symbol,
        decimals=opened.token_decimals,
        signal_id=signal_id,
        purchase_transaction_id=transaction_id,
        purchase_price=average,
        purchase_amount=bought,
        remaining_amount=bought,
        total_invested_sol=invested,
        remaining_cost_sol=invested,
        stop_percent=stop.stop_percent,
        stop_price_sol=None
        if stop.stop_percent is None
        else quantize_price(stop_loss.level(average, stop.stop_percent)),
        stop_updated_at=None if stop.stop_percent is None else at,
        peak_price_sol=average,
        peak_from_tick=last_tick,
        opened_at=at,
        created_at=at,
        updated_at=at,
    )


_COLUMNS = tuple(NewPosition.__dataclass_fields__)


def insert(positions: Sequence[NewPosition]) -> None:
    """Write the rows, in the caller's transaction, under the locks of their agents and wallets."""
    bulk.insert_rows("position", _COLUMNS, ([getattr(item, name) for name in _COLUMNS] for item in positions))
