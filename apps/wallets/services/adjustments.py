"""Balances of simulation wallets set by hand: the difference is posted as an adjustment, and the books still add up."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents.models import Agent
from apps.core import events
from apps.core.errors import Conflict, NotFound
from apps.core.money import ZERO
from apps.wallets.events import BalanceCorrecting
from apps.wallets.models import Balance, LedgerReason, Wallet
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, Posting


def enter_balance(
    *, agent: Agent, wallet: Wallet, mint: str, symbol: str, amount: Decimal, actor: User | None
) -> Balance:
    """Enter what a wallet holds of a token it held nothing of, in whole tokens.

    Locks agent state, then the wallet. Raises:
        Conflict: BALANCE_EXISTS. Invalid: LIVE_WALLET. WalletReleased: unassigned meanwhile.
    """
    with transaction.atomic():
        locked = books.lock_simulation_wallet(agent_id=agent.pk, wallet_id=wallet.pk)
        if Balance.objects.filter(wallet=wallet, mint=mint).exclude(amount=0, held=0).exists():
            raise Conflict("BALANCE_EXISTS", "The wallet has a balance of this token: change that one.")
        balance, _ = Balance.objects.update_or_create(wallet=wallet, mint=mint, defaults={"symbol": symbol})
        _set(locked, balance, amount, actor)
    return Balance.objects.select_related("wallet").get(pk=balance.pk)


def correct_balance(
    *, balance: Balance, actor: User | None, amount: Decimal | None = None, symbol: str | None = None
) -> Balance:
    """Set a balance to `amount` whole tokens, rename its token, or both.

    Locks agent state, then the wallet. Raises:
        Invalid: LIVE_WALLET. Conflict: POSITION_OPEN. NotFound: BALANCE_NOT_FOUND, removed meanwhile.
    """
    with transaction.atomic():
        locked = _lock(balance)
        row = _reread(balance)
        if symbol is not None:
            _rename(row, symbol, actor)
        if amount is not None:
            _set(locked, row, amount, actor)
    return _reread(balance)


def remove_balance(*, balance: Balance, actor: User | None) -> None:
    """Post a balance out and remove its row.

    Locks agent state, then the wallet. Raises:
        Invalid: LIVE_WALLET. Conflict: POSITION_OPEN, BALANCE_HELD. NotFound: BALANCE_NOT_FOUND, removed meanwhile.
    """
    with transaction.atomic():
        locked = _lock(balance)
        row = _reread(balance)
        if row.held != 0:
            raise Conflict("BALANCE_HELD", "Part of this balance is reserved for an order under way.")
        _set(locked, row, ZERO, actor)
        row.delete()


def _lock(balance: Balance) -> LockedWallet:
    return books.lock_simulation_wallet(agent_id=balance.wallet.agent_id, wallet_id=balance.wallet_id)


def _reread(balance: Balance) -> Balance:
    row = Balance.objects.select_related("wallet").filter(pk=balance.pk).first()
    if row is None:
        raise NotFound("BALANCE_NOT_FOUND", "There is no such balance.")
    return row


def _rename(balance: Balance, symbol: str, actor: User | None) -> None:
    """Write another symbol beside the mint; the wallet is locked."""
    before = balance.symbol
    if symbol == before:
        return
    balance.symbol = symbol
    balance.save(update_fields=["symbol", "updated_at"])
    audit.record(
        actor=actor,
        action="balance.renamed",
        object_type="wallet",
        object_id=balance.wallet_id,
        before={"mint": balance.mint, "symbol": before},
        after={"mint": balance.mint, "symbol": symbol},
    )


def _set(wallet: LockedWallet, balance: Balance, amount: Decimal, actor: User | None) -> None:
    """Post the difference to `amount`; the wallet is locked."""
    delta = amount - balance.amount
    if delta == 0:
        return
    events.publish(BalanceCorrecting(wallet.id, balance.mint, amount))
    books.post([Posting(wallet.id, wallet.epoch, balance.mint, balance.symbol, delta, LedgerReason.ADJUSTMENT, None)])
    audit.record(
        actor=actor,
        action="balance.adjusted",
        object_type="wallet",
        object_id=wallet.id,
        before={"mint": balance.mint, "amount": balance.amount},
        after={"mint": balance.mint, "amount": amount},
    )
