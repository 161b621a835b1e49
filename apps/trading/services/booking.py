"""The one function that opens positions: each entry, by signal or by hand, is decided again under lock and booked here.

A chunk of entries is one transaction: locks, decisions, then a handful of set-based writes, verdicts among them. What a
simulated wallet is filled with at once becomes an order of a live one, with its funds, its slot and a pending verdict.
If the process dies anywhere, either all of a chunk stands or none of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.locks import LockedState
from apps.agents.models import TradingMode
from apps.core import database_errors, outbox
from apps.core.errors import SoldeskError
from apps.core.money import lamports_to_sol, sol_to_lamports
from apps.signals.queue import LeasedSignal
from apps.trading import presentation
from apps.trading.domain import eligibility, entry_rules, fills, position_changes
from apps.trading.domain.entry_rules import EntryDecision, EntryRequest
from apps.trading.domain.fills import Fill, UnusableQuote
from apps.trading.models import OrderPurpose
from apps.trading.selectors import live_wallets, under_lock
from apps.trading.selectors.candidates import Candidate
from apps.trading.selectors.live_wallets import LiveWallet
from apps.trading.selectors.under_lock import EntryFacts, Moment
from apps.trading.services import gate, loss_limits, new_positions, position_feed, swap_rows, verdicts
from apps.trading.services.live import new_orders, reserving
from apps.trading.services.live.new_orders import NewOrder
from apps.trading.services.loss_limits import Limits
from apps.trading.services.new_positions import NewPosition
from apps.trading.services.quote_texts import QuoteTexts
from apps.trading.services.quoting import Share
from apps.trading.services.swap_rows import Swap
from apps.trading.services.verdicts import Outcome
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting

CHUNK = 250
EXECUTION_FAILED = "EXECUTION_FAILED"
#: What a constraint means when two bookings met it at once.
_CONSTRAINT_CODES = {
    "position_one_open": entry_rules.POSITION_EXISTS,
    "agent_state_open_positions": entry_rules.MAX_POSITIONS_EXCEEDED,
    "trade_order_one_in_flight": entry_rules.POSITION_EXISTS,
}


@dataclass(frozen=True, slots=True)
class TokenView:
    """What a booking needs to know of the token."""

    mint: str
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class EntryOrder:
    """An agent's wish to buy: its share of a quote, and the draw its size came from.

    `explicit` sizes (by hand) are judged as they are; others are worked out again from the balance under lock.
    """

    candidate: Candidate
    share: Share
    random: Decimal
    explicit: bool = False


@dataclass(slots=True)
class _Chunk:
    """Rows gathered while a chunk is decided, written together."""

    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    positions: list[NewPosition] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    texts: QuoteTexts = field(default_factory=QuoteTexts)
    reserved: list[NewOrder] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Situation:
    """What holds for the whole chunk, read under lock. `refusal` is why nobody may trade the signal any more, if so."""

    token: TokenView
    signal: LeasedSignal | None
    signal_id: int | None
    sol_usd: Decimal | None
    at: datetime
    last_tick: int
    desk_state: str
    states: dict[UUID, LockedState]
    wallets: dict[UUID, LockedWallet]
    facts: dict[UUID, EntryFacts]
    limits: Limits
    refusal: str | None
    live: dict[tuple[UUID, str], LiveWallet]
    actor_id: UUID | None


def book_entries(
    *,
    token: TokenView,
    orders: Sequence[EntryOrder],
    sol_usd: Decimal | None,
    signal: LeasedSignal | None = None,
    max_age_seconds: int | None = None,
    by_hand_signal: int | None = None,
    actor: User | None = None,
) -> list[Outcome]:
    """Decide and book a chunk of entries in one transaction; return what became of each order.

    With a `signal`, an order whose pair already has a verdict is left out of the answer.
    Without one the buy is by hand: `actor` is written to the audit log, `by_hand_signal` only names the signal.
    Locks: desk (shared), agent states, wallets. Publishes position and execution messages on commit.

    Raises:
        Whatever the database raises; nothing is booked then.
        VerdictTaken: a pair was decided meanwhile. InsufficientBalance: the books refused although the rules allowed.
    """
    agent_ids = sorted(order.candidate.agent_id for order in orders)
    wallet_ids = [order.candidate.wallet_id for order in orders if order.candidate.wallet_id is not None]
    with database.atomic():
        gate.lock_desk()
        states = locks.lock_states(agent_ids)
        wallets = books.lock_wallets(wallet_ids)
        moment, facts = under_lock.entry_facts(
            [(order.candidate.agent_id, order.candidate.wallet_id) for order in orders],
            mint=token.mint,
            signal_id=None if signal is None else signal.id,
        )
        orders = [order for order in orders if not facts[order.candidate.agent_id].decided]
        situation = _Situation(
            token=token,
            signal=signal,
            signal_id=by_hand_signal if signal is None else signal.id,
            sol_usd=sol_usd,
            at=moment.at,
            last_tick=moment.last_tick,
            desk_state=moment.desk_state,
            states=states,
            wallets=wallets,
            facts=facts,
            limits=loss_limits.read(agent_ids),
            refusal=_signal_refusal(signal, moment, max_age_seconds),
            live=live_wallets.read((item.id, token.mint) for item in wallets.values() if item.is_live),
            actor_id=None if actor is None else actor.pk,
        )
        chunk = _Chunk()
        outcomes = [_decide(order, situation, chunk) for order in orders]
        _write(chunk, outcomes, signal, situation.limits)
        if signal is None:
            _audit(outcomes, token, actor)
    return outcomes


def _audit(outcomes: Sequence[Outcome], token: TokenView, actor: User | None) -> None:
    for outcome in outcomes:
        if outcome.order_id is not None:
            audit.record(
                actor=actor,
                action="order.reserved_by_hand",
                object_type="order",
                object_id=str(outcome.order_id),
                before=None,
                after={"mint": token.mint, **(outcome.inputs or {})},
            )
        elif outcome.fill is not None:
            audit.record(
                actor=actor,
                action="position.bought_by_hand",
                object_type="position",
                object_id=str(outcome.position_id),
                before=None,
                after={"mint": token.mint, "sol": presentation.plain(outcome.fill.debit_sol)},
            )


def _signal_refusal(signal: LeasedSignal | None, moment: Moment, max_age_seconds: int | None) -> str | None:
    if signal is None:
        return None
    if moment.signal_deleted:
        return eligibility.SIGNAL_DELETED
    if max_age_seconds is not None and (moment.at - signal.created_at).total_seconds() > max_age_seconds:
        return eligibility.SIGNAL_EXPIRED
    return None


def _decide(order: EntryOrder, now: _Situation, chunk: _Chunk) -> Outcome:
    candidate = order.candidate
    state = now.states.get(candidate.agent_id)
    wallet = None if candidate.wallet_id is None else now.wallets.get(candidate.wallet_id)
    refusal = _refusal(candidate, state, wallet, now)
    if refusal is not None:
        return Outcome.skipped(candidate.agent_id, [refusal])
    assert state is not None and wallet is not None  # noqa: S101 - `_refusal` has answered both
    facts = now.facts[candidate.agent_id]
    barred = now.limits.refusal(candidate.agent_id, facts.trading_mode)
    if barred is not None:
        return Outcome.skipped(candidate.agent_id, [barred.code], dict(barred.inputs))
    balance = facts.balance_sol
    live = now.live.get((wallet.id, now.token.mint))
    decision = entry_rules.decide(
        EntryRequest(
            config=candidate.config,
            balance_sol=balance,
            size_sol=lamports_to_sol(order.share.lamports) if order.explicit else None,
            random=order.random,
            agent_mode=facts.trading_mode,
            wallet_type=wallet.wallet_type,
            wallet_loaded=live is not None and live.loaded,
            has_position=facts.has_position or (live is not None and live.buying),
            open_positions=state.open_positions,
            max_open_positions=state.max_open_positions,
        )
    )
    inputs = _inputs(order, decision, now)
    if not decision.allowed or decision.size_sol is None:
        return Outcome.skipped(candidate.agent_id, [decision.cause or decision.code], inputs)
    lamports = min(sol_to_lamports(decision.size_sol), order.share.lamports)
    if live is not None:
        return _reserve(order, wallet, lamports, balance, inputs, now, chunk)
    try:
        fill = fills.simulated_buy(order.share.quote, token_decimals=now.token.decimals, share=lamports)
    except UnusableQuote as unusable:
        return Outcome.failed(candidate.agent_id, unusable.code, inputs)
    if balance is None or fill.debit_sol > balance:
        return Outcome.skipped(candidate.agent_id, [entry_rules.INSUFFICIENT_BALANCE], inputs)
    barred = now.limits.refusal(candidate.agent_id, facts.trading_mode, spending_sol=fill.debit_sol)
    if barred is not None:
        return Outcome.skipped(candidate.agent_id, [barred.code], inputs | barred.inputs)
    now.limits.spend(candidate.agent_id, facts.trading_mode, fill.debit_sol)
    return _open(order, wallet, fill, inputs, now, chunk)


def _refusal(
    candidate: Candidate, state: LockedState | None, wallet: LockedWallet | None, now: _Situation
) -> str | None:
    facts = now.facts[candidate.agent_id]
    if now.refusal is not None:
        return now.refusal
    return gate.buy_refusal(
        desk_state=now.desk_state,
        own_state=facts.own_state,
        archived=state is None or facts.archived,
        wallet=wallet,
        epoch=candidate.epoch,
        paused=now.signal is not None and not facts.automated,
    )


def _inputs(order: EntryOrder, decision: EntryDecision, now: _Situation) -> dict[str, Any]:
    quote = order.share.quote
    return {
        "balanceSol": None if decision.balance_sol is None else presentation.plain(decision.balance_sol),
        "sizeSol": None if decision.size_sol is None else presentation.plain(decision.size_sol),
        "category": decision.category,
        "draw": str(order.random) if decision.randomized else None,
        "quotedLamports": quote.in_amount,
        "priceImpact": str(quote.price_impact),
        "solUsd": None if now.sol_usd is None else str(now.sol_usd),
        "stopPercent": _first_stop_percent(order),
        **_more_of_live(order),
    }


def _more_of_live(order: EntryOrder) -> dict[str, Any]:
    """What a live order is judged by again when it is built: the impact it may have, the price it was decided at."""
    candidate, quote = order.candidate, order.share.quote
    if candidate.trading_mode != TradingMode.LIVE or candidate.config is None:
        return {}
    limit = candidate.config.purchase_limits.max_price_impact_fraction
    return {
        "maxPriceImpact": None if limit is None else str(limit),
        "quotedTokens": quote.out_amount,
    }


def _first_stop_percent(order: EntryOrder) -> str | None:
    """The stop the position would begin with: the position's own column moves on, its story needs the first."""
    config = order.candidate.config
    return None if config is None or not config.stop_loss.enabled else str(config.stop_loss.default_percent)


def _reserve(
    order: EntryOrder,
    wallet: LockedWallet,
    lamports: int,
    balance_sol: Decimal | None,
    inputs: dict[str, Any],
    now: _Situation,
    chunk: _Chunk,
) -> Outcome:
    """Gather the order of a live wallet: what it may cost at most is put aside until it has ended."""
    agent_id = order.candidate.agent_id
    bound = reserving.bound_sol(lamports)
    if balance_sol is None or bound > balance_sol:
        return Outcome.skipped(agent_id, [entry_rules.INSUFFICIENT_BALANCE], inputs)
    barred = now.limits.refusal(agent_id, TradingMode.LIVE, spending_sol=bound)
    if barred is not None:
        return Outcome.skipped(agent_id, [barred.code], inputs | barred.inputs)
    now.limits.spend(agent_id, TradingMode.LIVE, bound)
    by_signal = now.signal is not None
    reserved = reserving.buy(
        purpose=OrderPurpose.ENTRY if by_signal else OrderPurpose.MANUAL,
        wallet=wallet,
        mint=now.token.mint,
        symbol=now.token.symbol,
        decimals=now.token.decimals,
        lamports=lamports,
        price_impact=order.share.quote.price_impact,
        inputs=inputs,
        signal_id=now.signal_id,
        requested_by_id=now.actor_id,
    )
    chunk.reserved.append(reserved)
    return Outcome.pending(agent_id, reserved.id, inputs)


def _open(
    order: EntryOrder, wallet: LockedWallet, fill: Fill, inputs: dict[str, Any], now: _Situation, chunk: _Chunk
) -> Outcome:
    """Gather the rows of one position: transaction, ledger lines, position, message."""
    token, agent_id = now.token, order.candidate.agent_id
    transaction_id, position_id = uuid.uuid4(), uuid.uuid4()
    swap = Swap(
        id=transaction_id,
        agent_id=agent_id,
        wallet=wallet,
        position_id=position_id,
        signal_id=now.signal_id,
        mint=token.mint,
        symbol=token.symbol,
        fill=fill,
        quoted=chunk.texts.of(order.share.quote),
        at=now.at,
        sol_usd=now.sol_usd,
    )
    chunk.transactions.append(swap_rows.buy(swap))
    chunk.postings.extend(swap_rows.buy_lines(swap))
    chunk.addresses.append(wallet.address)
    chunk.positions.append(
        new_positions.at_buy(
            position_changes.opened(fill),
            order.candidate.config,
            id=position_id,
            wallet=wallet,
            mint=token.mint,
            symbol=token.symbol,
            signal_id=now.signal_id,
            transaction_id=transaction_id,
            at=now.at,
            last_tick=now.last_tick,
        )
    )
    return Outcome.executed(agent_id, transaction_id, position_id, inputs, fill)


def _write(chunk: _Chunk, outcomes: Sequence[Outcome], signal: LeasedSignal | None, limits: Limits) -> None:
    positions = chunk.positions
    numbered: dict[UUID, int] = {}
    if positions:
        books.insert_transactions(chunk.transactions)
        new_positions.insert(positions)
        books.post(chunk.postings)
        numbered = locks.count_positions({position.agent_id: 1 for position in positions}, messages=1)
    if chunk.reserved:
        locks.count_positions({order.agent_id: 1 for order in chunk.reserved})
        new_orders.write(chunk.reserved)
    if signal is not None:
        verdicts.claim_all(signal.id, outcomes)
    outbox.append(
        [*_messages(chunk, outcomes, signal), *loss_limits.alerts(limits)],
        taken={outbox.agent_stream(agent_id): last for agent_id, last in numbered.items()},
    )


def _messages(chunk: _Chunk, outcomes: Sequence[Outcome], signal: LeasedSignal | None) -> list[outbox.Message]:
    messages = [
        position_feed.created(position, address)
        for position, address in zip(chunk.positions, chunk.addresses, strict=True)
    ]
    if signal is not None and outcomes:
        messages.append(verdicts.message(signal, outcomes))
    return messages


def error_code(error: Exception) -> str | None:
    """Return the verdict's code when the error belongs to the rows, None when it passes (connection, deadlock, …)."""
    if isinstance(error, SoldeskError):
        return error.code
    if not isinstance(error, DatabaseError) or not database_errors.is_data_error(error):
        return None
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
    return _CONSTRAINT_CODES.get(constraint, EXECUTION_FAILED)
