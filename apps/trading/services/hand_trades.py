"""Closed trades entered, corrected and taken back by hand: figures a person vouches for, no balance moves with them.

They count in performance like those of the engine and are told from them by their origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import Agent
from apps.core.errors import Conflict, Invalid, NotFound
from apps.trading.models import ClosedTrade
from apps.wallets.errors import WalletReleased
from apps.wallets.models import Origin, Transaction, Wallet
from apps.wallets.services import books
from apps.wallets.services.hand_rows import told, writing


@dataclass(frozen=True, slots=True)
class HandTrade:
    """What a person says of a closed trade; whole tokens, prices in SOL per token, percent on the 0-100 scale."""

    mint: str
    symbol: str
    amount: Decimal
    purchase_price: Decimal
    sale_price: Decimal
    change_percent: Decimal
    profit_usd: Decimal
    profit_sol: Decimal
    purchase_time: datetime
    sale_time: datetime
    purchase_transaction_id: UUID | None = None
    sale_transaction_id: UUID | None = None
    signal_id: int | None = None
    close_reason: str | None = None


_NAMES = tuple(field.name for field in fields(HandTrade))


def enter(*, agent: Agent, wallet: Wallet | None, trade: HandTrade, actor: User | None) -> ClosedTrade:
    """Record a closed trade of an agent, in one of its wallets or in none.

    Locks agent state, then the wallet. Raises:
        Invalid: INVALID_SALE_TIME, TRANSACTION_OF_ANOTHER_AGENT, FIGURE_TOO_LARGE. NotFound: TRANSACTION_NOT_FOUND.
        WalletReleased: unassigned meanwhile.
    """
    with writing():
        epoch = _lock(agent.pk, None if wallet is None else wallet.pk)
        _check(agent, trade, _LINKS)
        row = ClosedTrade.objects.create(
            agent=agent, wallet=wallet, epoch=epoch, origin=Origin.HAND, **values_of(trade)
        )
        audit.record(
            actor=actor,
            action="trade.entered",
            object_type="closed_trade",
            object_id=row.pk,
            after=told({**values_of(trade), "agent": agent.pk, "wallet": None if wallet is None else wallet.address}),
        )
    return _read(row.pk)


def correct(*, row: ClosedTrade, changes: Mapping[str, Any], actor: User | None, reason: str = "") -> ClosedTrade:
    """Replace what a trade entered by hand says; `changes` are fields of `HandTrade`.

    Locks agent state, then the wallet. Raises:
        Conflict: IMMUTABLE_RECORD. NotFound: SWAP_NOT_FOUND, taken back meanwhile, or TRANSACTION_NOT_FOUND.
        Invalid, WalletReleased: as in `enter`.
    """
    with writing():
        stored = _locked(row)
        before = HandTrade(**values_of(stored))
        after = replace(before, **changes)
        changed = [name for name in _NAMES if getattr(before, name) != getattr(after, name)]
        if not changed:
            return stored
        _check(stored.agent, after, [name for name in _LINKS if name in changed])
        ClosedTrade.objects.filter(pk=stored.pk).update(**{name: getattr(after, name) for name in changed})
        audit.record(
            actor=actor,
            action="trade.corrected",
            object_type="closed_trade",
            object_id=stored.pk,
            before=told({name: getattr(before, name) for name in changed}),
            after=told({name: getattr(after, name) for name in changed}) | ({"reason": reason} if reason else {}),
        )
    return _read(stored.pk)


def take_back(*, row: ClosedTrade, actor: User | None, reason: str = "") -> None:
    """Mark a trade entered by hand as deleted: hidden and counted no more.

    Locks agent state, then the wallet. Raises:
        Conflict: IMMUTABLE_RECORD. NotFound: SWAP_NOT_FOUND, taken back meanwhile. WalletReleased.
    """
    with writing():
        stored = _locked(row)
        ClosedTrade.objects.filter(pk=stored.pk).update(deleted_at=timezone.now())
        audit.record(
            actor=actor,
            action="trade.deleted",
            object_type="closed_trade",
            object_id=stored.pk,
            before=told(values_of(stored)),
            after={"reason": reason} if reason else None,
        )


def require_by_hand(row: ClosedTrade) -> None:
    """Refuse what the engine wrote.

    Raises:
        Conflict: IMMUTABLE_RECORD.
    """
    if row.origin != Origin.HAND:
        raise Conflict("IMMUTABLE_RECORD", "The engine wrote this trade: it cannot be changed.")


def values_of(row: ClosedTrade | HandTrade) -> dict[str, Any]:
    """Return what a trade says, by the names of `HandTrade`."""
    return {name: getattr(row, name) for name in _NAMES}


_LINKS = ("purchase_transaction_id", "sale_transaction_id")


def _check(agent: Agent, trade: HandTrade, links: Sequence[str]) -> None:
    """Check the times of a trade, and the transactions that the fields `links` name."""
    if trade.sale_time < trade.purchase_time:
        raise Invalid("INVALID_SALE_TIME", "saleTime must not be before purchaseTime", extra={"field": "saleTime"})
    wanted = {getattr(trade, name) for name in links} - {None}
    found = dict(
        Transaction.objects.filter(pk__in=wanted, agent__user_id=agent.user_id, deleted_at=None).values_list(
            "pk", "agent_id"
        )
    )
    if wanted - set(found):
        raise NotFound("TRANSACTION_NOT_FOUND", "There is no such transaction.")
    if any(owner != agent.pk for owner in found.values()):
        raise Invalid("TRANSACTION_OF_ANOTHER_AGENT", "The transaction belongs to another agent.")


def _lock(agent_id: UUID, wallet_id: UUID | None) -> int:
    """Lock the agent's state and the wallet, if any, and return the epoch the trade belongs to."""
    locks.lock_states([agent_id])
    if wallet_id is None:
        return 0
    wallet = books.lock_wallets([wallet_id])[wallet_id]
    if wallet.released:
        raise WalletReleased
    return wallet.epoch


def _locked(row: ClosedTrade) -> ClosedTrade:
    """Lock what the row belongs to and read it again: it must be by hand, of the present epoch and not taken back."""
    require_by_hand(row)
    epoch = _lock(row.agent_id, row.wallet_id)
    stored = ClosedTrade.objects.select_related("agent", "wallet").filter(pk=row.pk, epoch=epoch, deleted_at=None)
    found = stored.first()
    if found is None:
        raise NotFound("SWAP_NOT_FOUND", "There is no such closed trade.")
    return found


def _read(trade_id: UUID) -> ClosedTrade:
    return ClosedTrade.objects.select_related("wallet").get(pk=trade_id)
