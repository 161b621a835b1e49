"""What an operator does about a difference between a live wallet's books and the chain: adopt, ignore, write off.

Adopting books it as a deposit or a withdrawal, so that the books say what the chain says. Tokens become a plain balance
with the cost they are said to have had, never a position: the desk sells nothing it did not buy. Writing off books what
is missing as burned; a position that held exactly that, all of it gone, ends with its loss. Ignoring leaves the books
alone and stands for exactly this amount. Each ends one row, is audited, and does nothing the second time.
"""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.core import bulk, events
from apps.core.errors import Conflict, Invalid
from apps.core.money import MONEY, SOL_MINT, ZERO, quantize_price, quantize_usd
from apps.prices import services as prices
from apps.wallets import errors
from apps.wallets.adapters import positions, under_way
from apps.wallets.events import BalanceCorrecting
from apps.wallets.models import DifferenceStatus, LedgerReason, TransactionType, WalletDifference
from apps.wallets.ports import EndedPosition
from apps.wallets.services import books, difference_rows
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting


def adopt(*, difference: WalletDifference, cost_sol: Decimal | None, actor: User | None) -> WalletDifference:
    """Book a difference as the deposit or withdrawal it is; `cost_sol` is what tokens had cost, None for unknown.

    Locks agent state, then the wallet. Raises:
        Conflict: DIFFERENCE_ENDED, it was ended otherwise; DIFFERENCE_OUTDATED, the books moved since;
        POSITION_OPEN, an open position holds the tokens that are missing. OrdersOpen, WalletReleased.
    """
    return _end(difference, DifferenceStatus.ADOPTED, actor, cost_sol=cost_sol)


def write_off(*, difference: WalletDifference, actor: User | None) -> WalletDifference:
    """Book what is missing on chain as burned: a loss, and no withdrawal.

    Locks and raises as `adopt` does, and Invalid: NOTHING_MISSING, the chain holds more than the books.
    """
    if difference.difference > 0:
        raise Invalid("NOTHING_MISSING", "The chain holds more than the books say: adopt it or ignore it.")
    return _end(difference, DifferenceStatus.WRITTEN_OFF, actor)


def ignore(*, difference: WalletDifference, actor: User | None) -> WalletDifference:
    """Leave the books alone and let the wallet buy while the difference is exactly this amount.

    Locks and raises as `adopt` does.
    """
    return _end(difference, DifferenceStatus.IGNORED, actor)


def _end(
    difference: WalletDifference, status: DifferenceStatus, actor: User | None, *, cost_sol: Decimal | None = None
) -> WalletDifference:
    with database.atomic():
        locks.lock_states([difference.wallet.agent_id])
        wallet = books.lock_wallets([difference.wallet_id])[difference.wallet_id]
        row = WalletDifference.objects.get(pk=difference.pk)
        if row.status == status:
            return row
        if row.status not in (DifferenceStatus.OPEN, DifferenceStatus.SUSPECTED):
            raise Conflict("DIFFERENCE_ENDED", "Somebody ended this difference otherwise, or it went away.")
        if wallet.released:
            raise errors.WalletReleased
        before = row.status
        if status != DifferenceStatus.IGNORED:
            _book(row, wallet, status, cost_sol)
        row.status, row.ended_at, row.cost_sol = status, timezone.now(), cost_sol
        row.save(update_fields=["status", "ended_at", "cost_sol", "transaction"])
        difference_rows.mark(wallet.id, wallet.epoch)
        audit.record(
            actor=actor,
            action=f"wallet.difference_{status}",
            object_type="wallet",
            object_id=wallet.id,
            before={"difference": row.pk, "status": before, "mint": row.mint, "books": row.books_amount},
            after={
                "status": status,
                "chain": row.chain_amount,
                "slot": row.slot,
                "costSol": cost_sol,
                "transaction": row.transaction_id,
            },
        )
    return row


def _book(row: WalletDifference, wallet: LockedWallet, status: DifferenceStatus, cost_sol: Decimal | None) -> None:
    """Post the difference, which must still be what was found; the wallet is locked."""
    if under_way.of([wallet.id]):
        raise errors.OrdersOpen
    rows = bulk.fetch_all("SELECT amount FROM balance WHERE wallet_id = %s AND mint = %s", [wallet.id, row.mint])
    present: Decimal = rows[0][0] if rows else ZERO
    if row.epoch != wallet.epoch or present != row.books_amount:
        raise Conflict("DIFFERENCE_OUTDATED", "The books have moved since: the chain is looked at again shortly.")
    change, identifier = row.difference, uuid.uuid4()
    ended = None
    if status == DifferenceStatus.WRITTEN_OFF and row.chain_amount == 0:
        ended = positions.end(wallet, row.mint, missing=row.books_amount, transaction_id=identifier)
    if change < 0:
        events.publish(BalanceCorrecting(wallet.id, row.mint, row.chain_amount))
    worth = ZERO if status == DifferenceStatus.WRITTEN_OFF else change.copy_abs() if row.mint == SOL_MINT else cost_sol
    _write(identifier, row, wallet, worth, ended)
    row.transaction_id = identifier
    if change > 0:
        reason = LedgerReason.DEPOSIT
    else:
        reason = LedgerReason.BURN if status == DifferenceStatus.WRITTEN_OFF else LedgerReason.WITHDRAWAL
    books.post([Posting(wallet.id, wallet.epoch, row.mint, row.symbol, change, reason, row.transaction_id)])
    bulk.execute("UPDATE wallet SET chain_slot = greatest(chain_slot, %s) WHERE id = %s", [row.slot, wallet.id])


def _write(
    identifier: uuid.UUID,
    row: WalletDifference,
    wallet: LockedWallet,
    worth_sol: Decimal | None,
    ended: EndedPosition | None,
) -> None:
    """Write the transaction of a difference; `worth_sol` is what the tokens count as, None for unknown."""
    change, amount = row.difference, row.difference.copy_abs()
    is_sol = row.mint == SOL_MINT
    price = Decimal(1) if is_sol else None if not worth_sol else quantize_price(MONEY.divide(worth_sol, amount))
    books.insert_transactions(
        [
            NewTransaction(
                id=identifier,
                agent_id=wallet.agent_id,
                wallet_id=wallet.id,
                epoch=wallet.epoch,
                transaction_type=TransactionType.DEPOSIT if change > 0 else TransactionType.BURN,
                transaction_time=timezone.now(),
                position_id=None if ended is None else ended.id,
                signal_id=None if ended is None else ended.signal_id,
                value_usd=_in_usd(worth_sol),
                input_mint=row.mint,
                input_symbol=row.symbol or ("SOL" if is_sol else row.mint[:6]),
                input_amount=amount,
                input_price=price,
                swap_payload={"difference": row.pk, "slot": row.slot},
            )
        ]
    )


def _in_usd(worth_sol: Decimal | None) -> Decimal | None:
    """Return dollars, zero for what is worth nothing whatever a dollar costs, None for what is not known."""
    if not worth_sol:
        return worth_sol
    sol_usd = prices.usable_sol_usd()
    return None if sol_usd is None else quantize_usd(MONEY.multiply(worth_sol, sol_usd))
