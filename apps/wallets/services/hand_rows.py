"""Movements of simulation wallets entered, corrected and taken back by hand: transactions with their ledger entries.

What a row did is taken back by entries that post the opposite; the ledger itself is never touched. No balance falls
below zero, nor below what an open position holds (`BalanceCorrecting`): then nothing at all changes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import DataError
from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents.models import Agent
from apps.core import bulk, events, formatting
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.money import SOL_MINT, ZERO, quantize_amount
from apps.wallets.domain import balance_effects
from apps.wallets.domain.balance_effects import Leg
from apps.wallets.events import BalanceCorrecting
from apps.wallets.models import LedgerReason, Origin, Transaction, TransactionType, Wallet
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, Posting


@dataclass(frozen=True, slots=True)
class HandRow:
    """What a person says of a movement; amounts in whole tokens, prices in SOL per token, fees in SOL."""

    transaction_type: str
    transaction_time: datetime
    input_mint: str
    input_symbol: str
    input_amount: Decimal
    input_price: Decimal | None = None
    output_mint: str | None = None
    output_symbol: str | None = None
    output_amount: Decimal | None = None
    output_price: Decimal | None = None
    value_usd: Decimal | None = None
    fees_sol: Decimal | None = None
    slippage_percent: Decimal | None = None
    price_impact: Decimal | None = None
    is_dca: bool = False
    signal_id: int | None = None
    destination_address: str | None = None
    routes: Any = None

    @classmethod
    def of(cls, row: Transaction) -> HandRow:
        """Return what a stored row says."""
        return cls(**values_of(row))


_NAMES = tuple(field.name for field in fields(HandRow))


def values_of(row: Transaction | HandRow) -> dict[str, Any]:
    """Return what a row says, by the names of `HandRow`."""
    return {name: getattr(row, name) for name in _NAMES}


_Effects = dict[str, Decimal]


def enter(*, agent: Agent, wallet: Wallet, row: HandRow, actor: User | None) -> Transaction:
    """Record a deposit, swap or burn in a simulation wallet of the agent and move its balances.

    Locks agent state, then the wallet. Raises:
        Invalid: INVALID_AMOUNT, SAME_TOKEN, LIVE_WALLET, FIGURE_TOO_LARGE. InsufficientBalance. WalletReleased.
        Conflict: POSITION_OPEN.
    """
    booked, effects = _booked(row)
    identifier = uuid.uuid4()
    with writing():
        locked = books.lock_simulation_wallet(agent_id=agent.pk, wallet_id=wallet.pk)
        books.insert_transactions(
            [
                books.NewTransaction(
                    id=identifier,
                    agent_id=agent.pk,
                    wallet_id=wallet.pk,
                    epoch=locked.epoch,
                    origin=Origin.HAND,
                    **{**values_of(booked), "transaction_type": TransactionType(booked.transaction_type)},
                )
            ]
        )
        _move(locked, _postings(locked, identifier, booked, effects))
        audit.record(
            actor=actor,
            action=_ENTERED[booked.transaction_type],
            object_type="wallet",
            object_id=str(wallet.pk),
            after={"transaction": identifier, "mint": booked.input_mint}
            | told({"amount": booked.input_amount})
            | ({} if len(effects) == 1 else told({"into": booked.output_mint, "received": booked.output_amount})),
        )
    return _read(identifier)


def correct(*, row: Transaction, changes: Mapping[str, Any], actor: User | None, reason: str = "") -> Transaction:
    """Replace what a row entered by hand says: its entries are posted back and the new ones added, in one transaction.

    `changes` are fields of `HandRow`. Locks agent state, then the wallet. Raises:
        Conflict: IMMUTABLE_RECORD, POSITION_OPEN. NotFound: TRANSACTION_NOT_FOUND, taken back meanwhile.
        Invalid, InsufficientBalance, WalletReleased: as in `enter`.
    """
    with writing():
        locked, stored = _lock(row)
        before = HandRow.of(stored)
        after, effects = _booked(replace(before, **changes))
        if after == before:
            return stored
        postings = _postings(locked, stored.pk, after, effects)
        undone = _undone(locked, stored)
        if _sums(postings) != {posting.mint: -posting.delta for posting in undone}:
            _move(locked, [*undone, *postings])
        changed = [name for name in _NAMES if getattr(before, name) != getattr(after, name)]
        Transaction.objects.filter(pk=stored.pk).update(
            **{name: getattr(after, name) for name in changed}, updated_at=timezone.now()
        )
        audit.record(
            actor=actor,
            action="transaction.corrected",
            object_type="transaction",
            object_id=stored.pk,
            before=told({name: getattr(before, name) for name in changed}),
            after=told({name: getattr(after, name) for name in changed} | _why(reason)),
        )
    return _read(stored.pk)


def take_back(*, row: Transaction, actor: User | None, reason: str = "") -> None:
    """Post a row entered by hand back and mark it deleted: hidden from then on, kept for the audit.

    Locks agent state, then the wallet. Raises:
        Conflict: IMMUTABLE_RECORD, POSITION_OPEN. NotFound: TRANSACTION_NOT_FOUND, taken back meanwhile.
        InsufficientBalance: what it brought in is spent. Invalid: LIVE_WALLET. WalletReleased.
    """
    with writing():
        locked, stored = _lock(row)
        _move(locked, _undone(locked, stored))
        now = timezone.now()
        Transaction.objects.filter(pk=stored.pk).update(deleted_at=now, updated_at=now)
        audit.record(
            actor=actor,
            action="transaction.deleted",
            object_type="transaction",
            object_id=stored.pk,
            before=told(values_of(stored)),
            after=_why(reason) or None,
        )


def told(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for the audit log: every digit of a figure that means something, and no more."""
    return {name: formatting.exact(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def require_by_hand(row: Transaction) -> None:
    """Refuse what the engine wrote.

    Raises:
        Conflict: IMMUTABLE_RECORD.
    """
    if row.origin != Origin.HAND:
        raise Conflict("IMMUTABLE_RECORD", "The engine wrote this transaction: it cannot be changed.")


_ENTERED: Mapping[str, str] = {
    TransactionType.DEPOSIT: "wallet.deposited",
    TransactionType.SWAP: "wallet.swapped",
    TransactionType.BURN: "wallet.burned",
}


@contextmanager
def writing() -> Iterator[None]:
    """Hold one transaction in which a figure beyond its column is the caller's mistake.

    Raises:
        Invalid: FIGURE_TOO_LARGE.
    """
    try:
        with database.atomic():
            yield
    except DataError as error:
        raise Invalid(
            "FIGURE_TOO_LARGE", "A figure, or the balance it leads to, is larger than the books hold"
        ) from error


def _booked(row: HandRow) -> tuple[HandRow, _Effects]:
    """Return the row as it is booked, SOL to the lamport, and what it does to each balance."""
    given = Leg(row.input_mint, row.input_amount)
    taken = None
    if row.transaction_type == TransactionType.SWAP:
        if row.output_mint is None or row.output_amount is None:
            raise balance_effects.BalanceRefused(balance_effects.INVALID_INPUT)
        if row.output_mint == row.input_mint:
            raise Invalid("SAME_TOKEN", "A swap needs two different tokens")
        taken = Leg(row.output_mint, row.output_amount)
    effects = balance_effects.effects(row.transaction_type.upper(), given, taken)
    if any(change == 0 or quantize_amount(change) != change for change in effects.values()):
        raise Invalid("INVALID_AMOUNT", "Amounts must be positive and have at most 18 decimal places")
    booked = replace(row, input_amount=abs(effects[row.input_mint]))
    if taken is not None:
        booked = replace(booked, output_amount=effects[taken.mint])
    if row.input_price is None and row.input_mint == SOL_MINT:
        booked = replace(booked, input_price=Decimal(1))
    return booked, effects


def _postings(wallet: LockedWallet, identifier: uuid.UUID, row: HandRow, effects: _Effects) -> list[Posting]:
    reason = LedgerReason(row.transaction_type)
    symbols = {row.output_mint: row.output_symbol, row.input_mint: row.input_symbol}
    return [
        Posting(wallet.id, wallet.epoch, mint, symbols.get(mint) or "", delta, reason, identifier)
        for mint, delta in effects.items()
    ]


def _undone(wallet: LockedWallet, row: Transaction) -> list[Posting]:
    """Return the entries that take back all the row has done until now."""
    symbols = {row.output_mint: row.output_symbol, row.input_mint: row.input_symbol}
    sums = bulk.fetch_all(
        "SELECT mint, sum(delta) FROM ledger_entry WHERE transaction_id = %s"
        " GROUP BY mint HAVING sum(delta) <> 0 ORDER BY mint",
        [row.pk],
    )
    return [
        Posting(
            wallet.id,
            wallet.epoch,
            mint,
            symbols.get(mint) or "",
            total.copy_negate(),
            LedgerReason.CORRECTION,
            row.pk,
        )
        for mint, total in sums
    ]


def _move(wallet: LockedWallet, postings: Sequence[Posting]) -> None:
    """Post, and let whoever needs one of the shrunk balances refuse; the wallet is locked."""
    books.post(postings)
    shrunk = sorted(mint for mint, delta in _sums(postings).items() if delta < 0)
    left = dict(
        bulk.fetch_all("SELECT mint, amount FROM balance WHERE wallet_id = %s AND mint = ANY(%s)", [wallet.id, shrunk])
    )
    for mint in shrunk:
        events.publish(BalanceCorrecting(wallet.id, mint, left[mint]))


def _sums(postings: Sequence[Posting]) -> _Effects:
    sums: _Effects = {}
    for posting in postings:
        sums[posting.mint] = sums.get(posting.mint, ZERO) + posting.delta
    return sums


def _lock(row: Transaction) -> tuple[LockedWallet, Transaction]:
    """Lock the row's wallet and read the row again: it must be of the present epoch, by hand and not taken back."""
    require_by_hand(row)
    locked = books.lock_simulation_wallet(agent_id=row.agent_id, wallet_id=row.wallet_id)
    stored = Transaction.objects.select_related("wallet").filter(pk=row.pk, epoch=locked.epoch, deleted_at=None).first()
    if stored is None:
        raise NotFound("TRANSACTION_NOT_FOUND", "There is no such transaction.")
    return locked, stored


def _read(identifier: uuid.UUID) -> Transaction:
    return Transaction.objects.select_related("wallet").get(pk=identifier)


def _why(reason: str) -> dict[str, str]:
    return {"reason": reason} if reason else {}
