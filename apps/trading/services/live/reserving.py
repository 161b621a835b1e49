"""Where a live trade begins: an order with its funds put aside, in the transaction that would book a simulated one.

Called under the locks of agents, wallets and positions by `booking`, `dca_booking` and `sale_booking`, after the same
decisions. Nothing here talks to the outside; what was reserved is driven by the orders process.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

from django.conf import settings

from apps.core.money import SOL_MINT, from_base_units, lamports_to_sol
from apps.trading.models import OrderPurpose, OrderSide
from apps.trading.services.live import new_orders
from apps.trading.services.live.new_orders import NewOrder
from apps.wallets.services.books import LockedWallet

#: Lamports a buy may lock as rent: the token's account, extensions of its program included.
RENT_ROOM_LAMPORTS = 3_000_000


def bound_sol(lamports: int) -> Decimal:
    """Return what a buy of `lamports` puts aside: itself, all the fees any attempt may pay, the rent of an account."""
    return lamports_to_sol(lamports + settings.LIVE_MAX_FEE_LAMPORTS + RENT_ROOM_LAMPORTS)


class Wish(TypedDict):
    """What buys and sales tell of themselves alike."""

    purpose: OrderPurpose
    mint: str
    symbol: str
    decimals: int
    price_impact: Decimal | None
    inputs: dict[str, Any]
    requested_by_id: NotRequired[UUID | None]


def buy(
    *,
    wallet: LockedWallet,
    lamports: int,
    signal_id: int | None = None,
    intent_id: int | None = None,
    position_id: UUID | None = None,
    attempt: int = 1,
    **wish: Unpack[Wish],
) -> NewOrder:
    """Return the order of a buy that spends `lamports`; what opens a position holds its slot from now on."""
    return NewOrder(
        **_of(wallet, OrderSide.BUY, attempt),
        **wish,
        in_base_units=lamports,
        held_mint=SOL_MINT,
        held_amount=bound_sol(lamports),
        slot_held=position_id is None,
        signal_id=signal_id,
        intent_id=intent_id,
        position_id=position_id,
    )


def sale(
    *,
    wallet: LockedWallet,
    base_units: int,
    intent_id: int,
    position_id: UUID,
    attempt: int,
    **wish: Unpack[Wish],
) -> NewOrder:
    """Return the order of a sale of `base_units` of a position; its fees come off what it brings in."""
    return NewOrder(
        **_of(wallet, OrderSide.SELL, attempt),
        **wish,
        in_base_units=base_units,
        held_mint=wish["mint"],
        held_amount=from_base_units(base_units, wish["decimals"]),
        intent_id=intent_id,
        position_id=position_id,
    )


def _of(wallet: LockedWallet, side: OrderSide, attempt: int) -> dict[str, Any]:
    """Return whose order it is, and the slippage and fee that its attempt may go to."""
    rung = new_orders.terms(side, attempt)
    return {
        "id": uuid.uuid4(),
        "agent_id": wallet.agent_id,
        "wallet_id": wallet.id,
        "epoch": wallet.epoch,
        "side": side,
        "attempt": attempt,
        "slippage_bps": rung.slippage_bps,
        "fee_cap_lamports": rung.fee_cap_lamports,
    }
