"""The one function that books write-offs: what is left of a position is burned, and it ends with its loss.

A chunk is one transaction under the locks of any sale, and then the evidence's: it may have ended since the intent was
fired. If the process dies anywhere, either all of a chunk stands or none of it, and what does not stand is still due.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox, wake
from apps.core.money import ZERO
from apps.prices import services as prices
from apps.trading import metrics, presentation
from apps.trading.domain import dead_tokens as rules
from apps.trading.domain import exit_decision
from apps.trading.domain.dead_tokens import Evidence
from apps.trading.domain.exit_decision import Action
from apps.trading.models import CloseReason
from apps.trading.selectors import dead_tokens
from apps.trading.services import bisecting, exit_intents, exit_locks, gate, new_closed_trades, position_feed
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_locks import HeldPosition, Locked
from apps.trading.services.exit_outcomes import CHUNK, LEASE_LOST, Outcome
from apps.trading.services.gate import Gate
from apps.trading.services.new_closed_trades import NewClosedTrade
from apps.wallets.models import LedgerReason, TransactionType
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Situation:
    """What holds for the whole chunk, read under lock."""

    locked: Locked
    switches: Gate
    evidence: dict[str, Evidence]
    at: datetime
    sol_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class _Ended:
    """A position as its write-off leaves it."""

    position: HeldPosition
    wallet: LockedWallet
    trade: NewClosedTrade


@dataclass(slots=True)
class _Chunk:
    """Rows gathered while a chunk is decided, written together."""

    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    ended: list[_Ended] = field(default_factory=list)
    done: dict[int, UUID] = field(default_factory=dict)
    booked: dict[int, dict[str, str]] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)


def book_due(*, limit: int = exit_intents.BATCH) -> list[Outcome]:
    """Book the write-offs that are due, at most `limit`, and return what became of each; the others wait their turn.

    May run in several processes at once. Raises what the database raises that passes: leases then bring it back.
    """
    leased = exit_intents.lease_due(limit=limit, write_offs=True)
    if not leased:
        return []
    sol_usd = prices.usable_sol_usd()
    outcomes = [
        outcome
        for start in range(0, len(leased), CHUNK)
        for outcome in bisecting.book(leased[start : start + CHUNK], partial(book, sol_usd=sol_usd), lambda item: item)
    ]
    waiting: dict[str, list[LeasedExit]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.action is Action.WAIT and outcome.code != LEASE_LOST:
            waiting[outcome.code].append(outcome.exit)
    for code, exits in waiting.items():
        exit_intents.give_back(exits, code)
    return outcomes


def book(exits: Sequence[LeasedExit], *, sol_usd: Decimal | None) -> list[Outcome]:
    """Decide and book a chunk of leased write-offs in one transaction; return what became of each.

    Each burns exactly what its position still holds. What is neither booked nor cancelled stays leased: the caller
    gives it back. Locks: desk state (shared), agent states, wallets, positions, intents, evidence.

    Raises:
        Whatever the database raises; nothing is booked then.
        InsufficientBalance: a wallet holds less than its position says; nothing is booked.
    """
    with database.atomic():
        locked = exit_locks.lock(exits)
        evidence = dead_tokens.lock_evidence(item.mint for item in exits)
        ((at,),) = bulk.fetch_all("SELECT clock_timestamp()")
        switches = gate.read({item.agent_id for item in exits})
        now = _Situation(locked, switches, evidence, at, sol_usd)
        chunk = _Chunk()
        outcomes = [_settle(item, now, chunk) for item in exits]
        _write(chunk, at)
    for outcome in outcomes:
        if outcome.booked_at is not None:
            metrics.EXITS_BOOKED.labels(outcome.reason).inc()
    if chunk.ended:
        log.warning(
            "positions_written_off", count=len(chunk.ended), mints=sorted({e.position.mint for e in chunk.ended})
        )
    return outcomes


def _settle(leased: LeasedExit, now: _Situation, chunk: _Chunk) -> Outcome:
    claim = now.locked.claims.get(leased.id)
    if claim is None or claim.reason != CloseReason.WRITE_OFF:
        return Outcome(leased, Action.WAIT, LEASE_LOST)
    position, wallet = now.locked.positions[leased.position_id], now.locked.wallets[leased.wallet_id]
    decision = rules.decide_booking(
        is_open=position.is_open,
        wallet_current=exit_locks.is_current(position, wallet),
        exits_allowed=now.switches.exits_allowed(position.agent_id),
        evidence=now.evidence.get(position.mint),
        now=now.at,
    )
    if decision.action is Action.CANCEL:
        chunk.cancelled[leased.id] = decision.code
    if not decision.allowed:
        return Outcome(leased, decision.action, decision.code)
    return _write_off(leased, position, wallet, now, chunk)


def _write_off(
    leased: LeasedExit, position: HeldPosition, wallet: LockedWallet, now: _Situation, chunk: _Chunk
) -> Outcome:
    """Gather the rows of one write-off: the burn, its ledger line, the closed trade."""
    burn_id = uuid.uuid4()
    chunk.transactions.append(_burn(burn_id, position, wallet, now.at))
    if position.remaining_amount:
        chunk.postings.append(
            Posting(
                wallet.id,
                wallet.epoch,
                position.mint,
                position.symbol,
                position.remaining_amount.copy_negate(),
                LedgerReason.BURN,
                burn_id,
            )
        )
    trade = new_closed_trades.ended(
        position,
        transaction_id=burn_id,
        reason=CloseReason.WRITE_OFF,
        proceeds_sol=position.proceeds_sol,
        at=now.at,
        sol_usd=now.sol_usd,
    )
    chunk.ended.append(_Ended(position, wallet, trade))
    chunk.done[leased.id] = burn_id
    chunk.booked[leased.id] = {
        "burnedTokens": presentation.plain(position.remaining_amount),
        "netSol": "0",
        "feesSol": "0",
        "costSol": presentation.plain(position.remaining_cost_sol),
        "profitSol": presentation.plain(position.remaining_cost_sol.copy_negate()),
        "remainingTokens": "0",
    }
    return Outcome(
        leased,
        Action.BOOK,
        transaction_id=burn_id,
        reason=CloseReason.WRITE_OFF,
        booked_at=now.at,
    )


def _burn(burn_id: UUID, position: HeldPosition, wallet: LockedWallet, at: datetime) -> NewTransaction:
    """Return the burn of what is left: worth nothing, whatever a dollar costs; it has no price and pays no fee."""
    return NewTransaction(
        id=burn_id,
        agent_id=position.agent_id,
        wallet_id=wallet.id,
        epoch=wallet.epoch,
        transaction_type=TransactionType.BURN,
        transaction_time=at,
        position_id=position.id,
        signal_id=position.signal_id,
        value_usd=ZERO,
        input_mint=position.mint,
        input_symbol=position.symbol,
        input_amount=position.remaining_amount,
    )


_CLOSE_POSITIONS = """
UPDATE position p
SET remaining_amount = 0, remaining_cost_sol = 0, realized_profit_sol = p.realized_profit_sol - p.remaining_cost_sol,
    generation = p.generation + 1, closed_at = %(at)s, close_reason = %(reason)s, updated_at = %(at)s
WHERE p.id = ANY(%(ids)s)
"""
_EVIDENCE_SERVED = """
UPDATE dead_token d SET cleared_at = %(at)s, cleared_code = 'written_off'
WHERE d.mint = ANY(%(mints)s) AND d.cleared_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM position p WHERE p.mint = d.mint AND p.closed_at IS NULL)
"""
# The token lives: a close that was taken over goes on as what it was, and is due at once.
_RESUME = """
UPDATE exit_intent i
SET reason = i.details #>> '{insteadOf,reason}', status = 'due', lease_until = NULL, due_at = clock_timestamp(),
    needs_confirmation = (i.details #>> '{insteadOf,needsConfirmation}')::bool, attempts = 0, last_error = %s,
    requested_by_id = (i.details #>> '{insteadOf,requestedBy}')::uuid, details = i.details - 'insteadOf' - 'evidence'
WHERE i.id = ANY(%s) AND i.details -> 'insteadOf' IS NOT NULL
RETURNING i.id
"""


def _write(chunk: _Chunk, at: datetime) -> None:
    _cancel(chunk.cancelled)
    if not chunk.ended:
        return
    position_ids = [item.position.id for item in chunk.ended]
    books.insert_transactions(chunk.transactions)
    books.post(chunk.postings)
    bulk.execute(_CLOSE_POSITIONS, {"at": at, "reason": str(CloseReason.WRITE_OFF), "ids": position_ids})
    new_closed_trades.insert(item.trade for item in chunk.ended)
    locks.count_positions(_slots_freed(chunk))
    exit_intents.finish(chunk.done, chunk.booked)
    exit_intents.cancel_open(position_ids, exit_decision.POSITION_CLOSED)
    bulk.execute(_EVIDENCE_SERVED, {"at": at, "mints": sorted({item.position.mint for item in chunk.ended})})
    outbox.append(_messages(chunk))


def _cancel(cancelled: dict[int, str]) -> None:
    lives = [intent_id for intent_id, code in cancelled.items() if code == rules.TOKEN_LIVES]
    resumed = {row[0] for row in bulk.fetch_all(_RESUME, [rules.TOKEN_LIVES, lives])} if lives else set()
    exit_intents.cancel({intent_id: code for intent_id, code in cancelled.items() if intent_id not in resumed})
    if resumed:
        wake.wake_on_commit(exit_intents.TASK)


def _slots_freed(chunk: _Chunk) -> dict[UUID, int]:
    freed: dict[UUID, int] = {}
    for item in chunk.ended:
        freed[item.position.agent_id] = freed.get(item.position.agent_id, 0) - 1
    return freed


def _messages(chunk: _Chunk) -> list[outbox.Message]:
    messages = []
    for item in chunk.ended:
        position = item.position
        messages.append(position_feed.closed(position.agent_id, position.id))
        trade = {
            "agentId": str(position.agent_id),
            "trade": presentation.closed_trade(item.trade, item.wallet.address),
        }
        messages.append(outbox.Message(outbox.user_stream(position.user_id), "trade_closed", trade))
    return messages
