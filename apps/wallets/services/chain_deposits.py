"""What came to or left a live wallet on chain without the desk: found by asking, booked so that books and chain agree.

The chain is asked outside any transaction. What it said counts only if the books are the same under the wallet's lock
as they were before it was asked, so that a fill or another caller in between is never counted a second time; else it
is asked again. While an order is under way the two cannot be compared, and an answer older than what the books already
reflect is refused.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import TradingMode
from apps.core import bulk
from apps.core.money import MONEY, SOL_MINT, ZERO, lamports_to_sol, quantize_usd
from apps.prices import services as prices
from apps.wallets import errors
from apps.wallets.adapters import chain, under_way
from apps.wallets.models import LedgerReason, TransactionType, Wallet
from apps.wallets.ports import ChainBalance
from apps.wallets.services import books, difference_rows
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting

#: A difference up to this is booked like any other, and not called a deposit or a withdrawal.
DUST_SOL = Decimal("0.00001")
#: How often the chain is asked while the books change under the question.
_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class DepositCheck:
    """What a check found, in SOL: the books before, the chain, the difference that was booked, if any, and as what."""

    before_sol: Decimal
    on_chain_sol: Decimal
    change_sol: Decimal
    transaction_id: UUID | None

    @property
    def deposited_sol(self) -> Decimal | None:
        return self.change_sol if self.change_sol > DUST_SOL else None

    @property
    def withdrawn_sol(self) -> Decimal | None:
        return -self.change_sol if -self.change_sol > DUST_SOL else None


@dataclass(frozen=True, slots=True)
class _Books:
    """Where a wallet's books of SOL stand: every posting raises `last_entry`, and what is booked from the chain
    `chain_slot`.
    """

    epoch: int
    last_entry: int
    chain_slot: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What the chain said, and where the books stood before it was asked."""

    balance: ChainBalance
    books: _Books


def check_deposits(*, wallet: Wallet, actor: User | None) -> DepositCheck:
    """Compare a live wallet's SOL with the chain and book the difference, in or out; return what was found.

    Not to be called inside a transaction: it asks the outside. Locks agent state, then the wallet.

    Raises:
        NotALiveWallet, WalletReleased, OrdersOpen, WalletBusy (the books kept changing).
        ChainNotConfigured, ChainUnavailable: the chain was not asked or did not answer; nothing was booked.
    """
    for _ in range(_QUESTIONS):
        seen = observe(wallet)
        with database.atomic():
            locks.lock_states([wallet.agent_id])
            locked = books.lock_wallets([wallet.pk])[wallet.pk]
            if locked.released:
                raise errors.WalletReleased
            if is_current(wallet.pk, seen):
                return _book(locked, seen.balance, actor)
    raise errors.WalletBusy


def observe(wallet: Wallet) -> Observation:
    """Ask the chain what a live wallet holds.

    Raises:
        NotALiveWallet, ChainNotConfigured, ChainUnavailable.
    """
    if wallet.wallet_type != TradingMode.LIVE:
        raise errors.NotALiveWallet
    asked = chain.balances()
    stand = _books_of(wallet.pk)
    told = asked.balance(wallet.address, min_slot=stand.chain_slot)
    if told.slot < stand.chain_slot or told.lamports < 0:
        raise errors.ChainUnavailable("The node that answered is behind what the books know: try again shortly")
    return Observation(told, stand)


def is_current(wallet_id: UUID, seen: Observation) -> bool:
    """Tell, under the wallet's lock, whether the books still stand where they stood before the chain was asked.

    Raises:
        OrdersOpen: an order is under way, so that the chain may be ahead of the books or behind them.
    """
    if under_way.of([wallet_id]):
        raise errors.OrdersOpen
    stand = _books_of(wallet_id)
    moved = (stand.epoch, stand.last_entry) != (seen.books.epoch, seen.books.last_entry)
    return not moved and seen.balance.slot >= stand.chain_slot


def open_epoch(*, wallet: LockedWallet, told: ChainBalance, actor: User | None) -> None:
    """Open a locked live wallet's new and empty epoch with what the chain holds, in the caller's transaction."""
    _book(wallet, told, actor)


def _book(wallet: LockedWallet, told: ChainBalance, actor: User | None) -> DepositCheck:
    rows = bulk.fetch_all("SELECT amount FROM balance WHERE wallet_id = %s AND mint = %s", [wallet.id, SOL_MINT])
    before: Decimal = rows[0][0] if rows else ZERO
    on_chain = lamports_to_sol(told.lamports)
    change = MONEY.subtract(on_chain, before)
    identifier = None
    if change != 0:
        identifier = _post(wallet, change, told)
        audit.record(
            actor=actor,
            action="wallet.deposit_seen" if change > 0 else "wallet.withdrawal_seen",
            object_type="wallet",
            object_id=wallet.id,
            before={"sol": before},
            after={"sol": on_chain, "slot": told.slot, "transaction": identifier},
        )
    if difference_rows.end(wallet.id, wallet.epoch, SOL_MINT):
        difference_rows.mark(wallet.id, wallet.epoch)
    bulk.execute("UPDATE wallet SET chain_slot = %s WHERE id = %s", [told.slot, wallet.id])
    return DepositCheck(before, on_chain, change, identifier)


def _post(wallet: LockedWallet, change: Decimal, told: ChainBalance) -> UUID:
    """Write the transaction and post it. The dialect has no word for a withdrawal: it is a burn with a reason."""
    came_in = change > 0
    identifier, amount = uuid.uuid4(), change.copy_abs()
    sol_usd = prices.usable_sol_usd()
    books.insert_transactions(
        [
            NewTransaction(
                id=identifier,
                agent_id=wallet.agent_id,
                wallet_id=wallet.id,
                epoch=wallet.epoch,
                transaction_type=TransactionType.DEPOSIT if came_in else TransactionType.BURN,
                transaction_time=timezone.now(),
                value_usd=None if sol_usd is None else quantize_usd(MONEY.multiply(amount, sol_usd)),
                input_mint=SOL_MINT,
                input_symbol="SOL",
                input_amount=amount,
                input_price=Decimal(1),
                swap_payload={"lamports": told.lamports, "slot": told.slot},
            )
        ]
    )
    reason = LedgerReason.DEPOSIT if came_in else LedgerReason.WITHDRAWAL
    books.post([Posting(wallet.id, wallet.epoch, SOL_MINT, "SOL", change, reason, identifier)])
    return identifier


# Entries of a wallet are numbered in the order of booking, under its lock. `id + 0`: by the index of wallets, not
# backwards through everybody's entries.
_STAND = """
SELECT w.epoch, COALESCE((SELECT max(l.id + 0) FROM ledger_entry l
                          WHERE l.wallet_id = w.id AND l.epoch = w.epoch AND l.mint = %s), 0), w.chain_slot
FROM wallet w WHERE w.id = %s
"""


def _books_of(wallet_id: UUID) -> _Books:
    ((epoch, last_entry, chain_slot),) = bulk.fetch_all(_STAND, [SOL_MINT, wallet_id])
    return _Books(epoch, last_entry, chain_slot)
