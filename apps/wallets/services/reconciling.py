"""Live wallets against the chain, each minute and after each trade: what nobody explains stops a wallet's buys.

The chain is asked outside any transaction; what it said counts only if under the wallet's lock the books stand where
they stood before, and no order is under way. A difference that two nodes tell alike (or the only node) is OPEN and
stops buys. One node's word against another's, or without it, is SUSPECTED: it stops nothing, and people are told when
it does not pass. Only nodes that agree with the books end either. Sales never ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox, wake
from apps.core.api import wire
from apps.core.money import SOL_MINT, sol_to_lamports
from apps.wallets.adapters import chain, under_way
from apps.wallets.domain import reconciliation
from apps.wallets.domain.reconciliation import Holdings, Judgement
from apps.wallets.models import DifferenceStatus, WalletDifference
from apps.wallets.ports import ChainBalance
from apps.wallets.services import books, chain_deposits, difference_rows
from apps.wallets.services.books import LockedWallet

log = structlog.get_logger(__name__)

TASK = "wallets.reconcile_wallet"
#: Looks in a row, about a minute apart, after which people are told of what only one node says.
LOOKS_BEFORE_TOLD = 3
NOT_RECONCILED, DISPUTED, RECONCILED = "WALLET_NOT_RECONCILED", "WALLET_DISPUTED", "WALLET_RECONCILED"
_UNEXPLAINED = (DifferenceStatus.OPEN, DifferenceStatus.SUSPECTED)
_MESSAGES = {
    NOT_RECONCILED: "The chain holds another amount than the books say; the wallet buys nothing until it is explained.",
    DISPUTED: "One node says that the wallet holds another amount than the books and the other nodes say.",
    RECONCILED: "Books and chain agree again; the wallet may buy.",
}


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a wallet's books stood before the chain was asked."""

    wallet_id: UUID
    agent_id: UUID
    user_id: Any
    address: str
    epoch: int
    chain_slot: int
    last_entry: int
    amounts: Mapping[str, Decimal]
    symbols: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs in one wallet; `answered` says that enough nodes did."""

    stand: Stand
    differing: tuple[Judgement, ...]
    answered: bool


def look_soon(wallet_ids: Iterable[UUID]) -> None:
    """Have live wallets looked at once the present transaction has committed, as after each trade; never raises."""
    for wallet_id in set(wallet_ids):
        wake.wake_on_commit(TASK, str(wallet_id))


def look(wallet_ids: Iterable[UUID] | None = None) -> dict[UUID, int]:
    """Compare live wallets with the chain and write down what differs; return unexplained differences by wallet.

    All of them, or those given. A wallet with orders under way, or whose books move meanwhile, is missing: it is looked
    at again. Not to be called inside a transaction: it asks the outside.
    """
    _end_those_of_former_epochs()
    asked = chain.holdings()
    stands = {} if asked is None else read_stands(wallet_ids)
    if asked is None or not stands:
        return {}
    told = asked.holdings({stand.address: stand.chain_slot for stand in stands.values()})
    found: dict[UUID, int] = {}
    for stand in stands.values():
        count = _write_down(stand, told.get(stand.address, ()), asked.nodes)
        if count is not None:
            found[stand.wallet_id] = count
    return found


def compare(wallet_ids: Iterable[UUID] | None = None) -> list[Comparison]:
    """Compare live wallets with the chain without writing anything down; for the audit. Empty without nodes.

    What only one node of several says is left out, and so is what an operator told to ignore.
    """
    asked = chain.holdings()
    stands = {} if asked is None else read_stands(wallet_ids)
    if asked is None or not stands:
        return []
    told = asked.holdings({stand.address: stand.chain_slot for stand in stands.values()})
    return [_compared(stand, told.get(stand.address, ()), asked.nodes) for stand in stands.values()]


def _compared(stand: Stand, told: Sequence[Holdings], nodes: int) -> Comparison:
    differing = tuple(
        judgement
        for judgement in reconciliation.judge(stand.amounts, told, nodes=nodes)
        if judgement.agreed and judgement.differs and not _is_ignored(stand.wallet_id, stand.epoch, judgement)
    )
    return Comparison(stand, differing, answered=len(told) >= min(2, nodes))


_STANDS = """
SELECT w.id, w.agent_id, a.user_id, w.address, w.epoch, w.chain_slot,
       COALESCE((SELECT max(l.id + 0) FROM ledger_entry l WHERE l.wallet_id = w.id AND l.epoch = w.epoch), 0)
FROM wallet w JOIN agent a ON a.id = w.agent_id
WHERE w.wallet_type = 'live' AND w.released_at IS NULL AND (%s::uuid[] IS NULL OR w.id = ANY(%s::uuid[]))
ORDER BY w.id
"""


def read_stands(wallet_ids: Iterable[UUID] | None = None) -> dict[UUID, Stand]:
    """Return where the books of live wallets stand, of those without orders under way."""
    wanted = None if wallet_ids is None else list(wallet_ids)
    rows = bulk.fetch_all(_STANDS, [wanted, wanted])
    busy = under_way.of(row[0] for row in rows)
    amounts: dict[UUID, dict[str, Decimal]] = {row[0]: {} for row in rows if row[0] not in busy}
    symbols: dict[UUID, dict[str, str]] = {wallet_id: {} for wallet_id in amounts}
    for wallet_id, mint, symbol, amount in bulk.fetch_all(
        "SELECT wallet_id, mint, symbol, amount + held FROM balance WHERE wallet_id = ANY(%s)", [list(amounts)]
    ):
        amounts[wallet_id][mint], symbols[wallet_id][mint] = amount, symbol
    return {
        wallet_id: Stand(wallet_id, agent, user, address, epoch, slot, last, amounts[wallet_id], symbols[wallet_id])
        for wallet_id, agent, user, address, epoch, slot, last in rows
        if wallet_id in amounts
    }


def _write_down(stand: Stand, told: Sequence[Holdings], nodes: int) -> int | None:
    """Write down what the nodes said of one wallet; None if it could not be judged. Locks agent state, then wallet."""
    judgements = reconciliation.judge(stand.amounts, told, nodes=nodes, also=_written_of(stand))
    if not told:
        log.info("wallet_not_compared", wallet=str(stand.wallet_id), reason="no_node_answered")
        return None
    with database.atomic():
        locks.lock_states([stand.agent_id])
        locked = books.lock_wallets([stand.wallet_id])[stand.wallet_id]
        if locked.released or read_stands([stand.wallet_id]).get(stand.wallet_id) != stand:
            return None
        if stand.last_entry == 0:
            judgements = _open_books(locked, judgements)
        messages = [message for each in judgements for message in _note(stand, each)]
        messages += _mark(stand, locked)
        outbox.append(messages)
        return WalletDifference.objects.filter(
            wallet_id=stand.wallet_id, epoch=stand.epoch, status__in=_UNEXPLAINED
        ).count()


def _written_of(stand: Stand) -> list[str]:
    """Return the mints of what is unexplained or ignored: where the tokens have left again, it is over."""
    standing = (*_UNEXPLAINED, DifferenceStatus.IGNORED)
    rows = WalletDifference.objects.filter(wallet_id=stand.wallet_id, epoch=stand.epoch, status__in=standing)
    return list(rows.values_list("mint", flat=True))


def _open_books(wallet: LockedWallet, judgements: list[Judgement]) -> list[Judgement]:
    """Open books in which nothing was ever written with the SOL the wallet came with: that needs no explanation."""
    sol = next((each for each in judgements if each.mint == SOL_MINT and each.agreed and each.differs), None)
    if sol is None:
        return judgements
    chain_deposits.open_epoch(wallet=wallet, told=ChainBalance(sol_to_lamports(sol.chain), sol.slot), actor=None)
    return [each for each in judgements if each is not sol]


def _note(stand: Stand, told: Judgement) -> list[outbox.Message]:
    """Write one mint's judgement down; return what people are to be told."""
    row = WalletDifference.objects.filter(
        wallet_id=stand.wallet_id, epoch=stand.epoch, mint=told.mint, status__in=_UNEXPLAINED
    ).first()
    if not told.differs:
        if told.agreed:
            difference_rows.end(stand.wallet_id, stand.epoch, told.mint, ignored_too=True)
        return []
    if _is_ignored(stand.wallet_id, stand.epoch, told):
        if told.agreed:
            difference_rows.end(stand.wallet_id, stand.epoch, told.mint)
        return []
    status = DifferenceStatus.OPEN if told.agreed else DifferenceStatus.SUSPECTED
    if row is None:
        row = WalletDifference(wallet_id=stand.wallet_id, epoch=stand.epoch, mint=told.mint, looks=0, status=status)
        row.symbol = stand.symbols.get(told.mint, "")
    if told.agreed and row.status != status:
        row.status, row.told_at = status, None  # what was told as one node's word is told again as a fact
    if not told.agreed and row.status == DifferenceStatus.OPEN:
        return []  # what nodes agreed on stays until they agree on something else
    row.books_amount, row.chain_amount, row.slot = told.books, told.chain, told.slot
    row.nodes, row.looks = ", ".join(told.nodes)[:500], row.looks + 1
    ((row.last_seen_at,),) = bulk.fetch_all("SELECT clock_timestamp()")
    tell = row.told_at is None and (told.agreed or row.looks >= LOOKS_BEFORE_TOLD)
    if tell:
        row.told_at = row.last_seen_at
    row.save()
    return [_alert(NOT_RECONCILED if told.agreed else DISPUTED, stand, row)] if tell else []


def _is_ignored(wallet_id: UUID, epoch: int, told: Judgement) -> bool:
    """Tell whether an operator said to ignore exactly this difference."""
    last = WalletDifference.objects.filter(
        wallet_id=wallet_id, epoch=epoch, mint=told.mint, status=DifferenceStatus.IGNORED
    ).first()
    return last is not None and last.difference == told.chain - told.books


def _end_those_of_former_epochs() -> None:
    """End what was unexplained of books that are closed, or of wallets that were given back."""
    bulk.execute(
        "UPDATE wallet_difference d SET status = 'gone', ended_at = clock_timestamp() FROM wallet w"
        " WHERE w.id = d.wallet_id AND d.status IN ('open', 'suspected')"
        " AND (d.epoch <> w.epoch OR w.released_at IS NOT NULL)"
    )


def _mark(stand: Stand, before: LockedWallet) -> list[outbox.Message]:
    reconciled = difference_rows.mark(stand.wallet_id, stand.epoch)
    if reconciled and not before.reconciled:
        return [_alert(RECONCILED, stand, None)]
    return []


def _alert(code: str, stand: Stand, row: WalletDifference | None) -> outbox.Message:
    payload: dict[str, Any] = {
        "code": code,
        "message": _MESSAGES[code],
        "agentId": str(stand.agent_id),
        "walletAddress": stand.address,
    }
    if row is not None:
        payload |= {
            "mint": row.mint,
            "symbol": row.symbol,
            "booksAmount": wire.decimal_text(row.books_amount),
            "chainAmount": wire.decimal_text(row.chain_amount),
            "nodes": row.nodes,
        }
    log.warning("wallet_difference", code=code, wallet=str(stand.wallet_id), mint=payload.get("mint"))
    return outbox.Message(outbox.user_stream(stand.user_id), "alert", payload)
