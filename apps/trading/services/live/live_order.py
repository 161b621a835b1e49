"""One live order as the orders process holds it in memory: the columns its steps need.

The row is the record. A copy is dropped, never trusted, as soon as its lease is not surely this process's any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts import sealing
from apps.core.money import SOL_MINT
from apps.trading.domain import landed_swap
from apps.trading.models import OrderPurpose, OrderSide


@dataclass(slots=True, eq=False)
class LiveOrder:
    """A claimed order. `lease_until` is this process's claim: a step counts only while the row has this very value."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    wallet: str
    side: str
    purpose: str
    mint: str
    decimals: int
    status: str
    code: str
    attempt: int
    in_base_units: int
    minimum_out_base_units: int | None
    slippage_bps: int
    fee_cap_lamports: int
    inputs: Any
    route: str
    request_id: str
    signature: str | None
    sealed_transaction: bytes | None = field(repr=False)
    blockhash: str
    last_valid_block_height: int | None
    sends: int
    landed_slot: int | None
    fill: dict[str, Any] | None
    created_at: datetime
    age_seconds: float
    lease_until: datetime
    #: What it is for: a buy on a signal has no position until it is booked.
    signal_id: int | None
    position_id: UUID | None
    #: This process sent it first; else somebody before it may have, long ago.
    is_ours: bool = False
    #: Who was to land it said no, last of all this: why it expired, most likely.
    refusal: str = ""
    #: When a node first showed it on the chain, by this process's clock.
    shown_at: float | None = None

    @property
    def is_buy(self) -> bool:
        return self.side == OrderSide.BUY

    @property
    def is_reclaim(self) -> bool:
        return self.purpose == OrderPurpose.RECLAIM

    @property
    def input_mint(self) -> str:
        return SOL_MINT if self.is_buy else self.mint

    @property
    def output_mint(self) -> str:
        return self.mint if self.is_buy else SOL_MINT

    def signed_bytes(self) -> bytes:
        """Return what was signed, opened.

        Raises:
            Unreadable: SECRET_KEY is not the one it was sealed under.
        """
        assert self.sealed_transaction is not None  # noqa: S101 - a constraint of the table
        return sealing.unseal(bytes(self.sealed_transaction).decode(), bound_to=_owner(self.id))

    def read(self, document: dict[str, Any]) -> landed_swap.LandedSwap:
        """Return what a transaction of this order did to its wallet.

        Raises:
            UnreadableSwap: it is not the swap that was ordered.
        """
        return landed_swap.read_swap(
            document, wallet=self.wallet, mint=self.mint, side=self.side, reclaim=self.is_reclaim
        )

    def was_booked_as(self, fill: landed_swap.LandedSwap) -> bool:
        """Whether what was booked moved the same as `fill`; its slot may have changed on a fork."""
        booked = self.fill or {}
        return all(booked.get(name) == value for name, value in fill.as_document().items() if name in _MOVED)


_MOVED = frozenset(("error", "wallet_lamports_delta", "wallet_token_delta"))


def seal(order_id: UUID, transaction: bytes) -> bytes:
    """Return signed bytes as the row keeps them."""
    return sealing.seal(transaction, bound_to=_owner(order_id)).encode()


def _owner(order_id: UUID) -> str:
    return f"order:{order_id}"
