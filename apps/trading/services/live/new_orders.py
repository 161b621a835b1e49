"""Orders about to be written: rows of `trade_order` in their first state, with the funds they put aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from psycopg.types.json import Jsonb

from apps.core import bulk
from apps.core.money import ZERO
from apps.trading.domain import exit_ladder, order_machine
from apps.trading.domain.exit_ladder import Caps, Rung
from apps.trading.models import OrderPurpose, OrderSide
from apps.wallets.services import books
from apps.wallets.services.books import Hold

#: Who waits for orders listens to this (`NOTIFY` reaches them on commit).
CHANNEL = "trade_orders"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A row of `trade_order` to be written: the columns of the model that a reserved order has."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    side: OrderSide
    purpose: OrderPurpose
    mint: str
    symbol: str
    decimals: int
    in_base_units: int
    slippage_bps: int
    fee_cap_lamports: int
    held_mint: str
    held_amount: Decimal = ZERO
    slot_held: bool = False
    signal_id: int | None = None
    intent_id: int | None = None
    position_id: UUID | None = None
    requested_by_id: UUID | None = None
    attempt: int = 1
    price_impact: Decimal | None = None
    inputs: dict[str, Any] | None = None
    status: str = order_machine.RESERVED
    code: str = ""
    detail: str = ""
    route: str = ""
    request_id: str = ""
    blockhash: str = ""
    sends: int = 0


_COLUMNS = tuple(NewOrder.__dataclass_fields__)


def terms(side: OrderSide, attempt: int = 1) -> Rung:
    """Return what an attempt may give up, within the desk's caps."""
    return exit_ladder.rung(side, attempt, Caps(settings.LIVE_MAX_SLIPPAGE_BPS, settings.LIVE_MAX_FEE_LAMPORTS))


def write(orders: Sequence[NewOrder]) -> None:
    """Write orders and put their funds aside, in the caller's transaction, under the locks of agents and wallets.

    Raises:
        InsufficientBalance: less is free than an order puts aside.
    """
    if not orders:
        return
    books.hold(together((order.wallet_id, order.held_mint, order.held_amount) for order in orders))
    insert(orders)


def together(holds: Iterable[tuple[UUID, str, Decimal]]) -> list[Hold]:
    """Return holds (wallet, mint, whole tokens) with those of one balance added up."""
    sums: dict[tuple[UUID, str], Decimal] = defaultdict(lambda: ZERO)
    for wallet_id, mint, amount in holds:
        sums[wallet_id, mint] += amount
    return [Hold(wallet_id, mint, amount) for (wallet_id, mint), amount in sums.items()]


def insert(orders: Sequence[NewOrder]) -> None:
    """Write orders whose funds are put aside already, and wake who drives them once this has committed."""
    bulk.insert_rows("trade_order", _COLUMNS, map(_row, orders))
    wake()


def wake() -> None:
    """Tell the orders process, once the caller's transaction has committed."""
    bulk.execute(f"NOTIFY {CHANNEL}")


def _row(order: NewOrder) -> list[Any]:
    values = []
    for column in _COLUMNS:
        value = getattr(order, column)
        if column == "inputs" and value is not None:
            value = Jsonb(value)
        elif column in ("side", "purpose"):
            value = str(value)
        values.append(value)
    return values
