"""Positions that end: their closed trades, worked out from all they cost and all they brought, and written together."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.core import bulk
from apps.core.money import quantize_percent, quantize_price, quantize_sol, quantize_usd
from apps.trading.domain import pnl
from apps.trading.services.exit_locks import HeldPosition


@dataclass(frozen=True, slots=True)
class NewClosedTrade:
    """A row of `closed_trade` to be written: the columns of the model, without its cost of construction."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    position_id: UUID
    mint: str
    symbol: str
    amount: Decimal
    purchase_price: Decimal
    sale_price: Decimal
    change_percent: Decimal
    profit_sol: Decimal
    profit_usd: Decimal | None
    purchase_time: datetime
    sale_time: datetime
    purchase_transaction_id: UUID
    sale_transaction_id: UUID
    signal_id: int | None
    close_reason: str
    created_at: datetime
    origin: str = "engine"


_COLUMNS = tuple(NewClosedTrade.__dataclass_fields__)


def ended(
    position: HeldPosition,
    *,
    transaction_id: UUID,
    reason: str,
    proceeds_sol: Decimal,
    at: datetime,
    sol_usd: Decimal | None,
) -> NewClosedTrade:
    """Return the trade of a position as it ended: profit is all SOL received minus all SOL ever paid, fees in both."""
    result = pnl.ended(
        invested_sol=position.total_invested_sol,
        received_sol=proceeds_sol,
        bought_tokens=position.purchase_amount,
        sol_usd=sol_usd,
    )
    return NewClosedTrade(
        id=uuid.uuid4(),
        agent_id=position.agent_id,
        wallet_id=position.wallet_id,
        epoch=position.epoch,
        position_id=position.id,
        mint=position.mint,
        symbol=position.symbol,
        amount=position.purchase_amount,
        purchase_price=position.purchase_price,
        sale_price=quantize_price(result.sale_price_sol),
        change_percent=quantize_percent(result.change_percent),
        profit_sol=quantize_sol(result.profit_sol),
        profit_usd=None if result.profit_usd is None else quantize_usd(result.profit_usd),
        purchase_time=position.opened_at,
        sale_time=at,
        purchase_transaction_id=position.purchase_transaction_id,
        sale_transaction_id=transaction_id,
        signal_id=position.signal_id,
        close_reason=reason,
        created_at=at,
    )


def insert(trades: Iterable[NewClosedTrade]) -> None:
    """Write the rows, in the caller's transaction."""
    bulk.insert_rows("closed_trade", _COLUMNS, ([getattr(item, name) for name in _COLUMNS] for item in trades))
