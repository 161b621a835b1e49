"""The one function that adds to positions: each DCA passes the gate every buy passes, is decided again and booked here.

A chunk of DCAs is one transaction, as a chunk of entries or sales is. A DCA starts the position over for the watch: new
average, the fill as its peak, the default stop; a stop that fired before it falls (`exit_decision`).
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction as database

from apps.agents.domain.trading_config import TradingConfig
from apps.agents.models import TradingMode
from apps.core import outbox
from apps.core.money import ZERO
from apps.trading.domain import adjust_decision, entry_rules, fills, position_changes
from apps.trading.domain.adjust_decision import PurchaseDecision
from apps.trading.domain.exit_decision import Action
from apps.trading.domain.fills import Fill, Quote, UnusableQuote
from apps.trading.models import OrderPurpose
from apps.trading.selectors import adjusting
from apps.trading.selectors.adjusting import Adjusting
from apps.trading.services import (
    added_positions,
    exit_facts,
    exit_intents,
    exit_locks,
    gate,
    loss_limits,
    swap_rows,
)
from apps.trading.services.added_positions import Added
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_locks import Claim, Locked
from apps.trading.services.exit_outcomes import LEASE_LOST, Outcome
from apps.trading.services.live import reserving, reserving_exits
from apps.trading.services.live.new_orders import NewOrder
from apps.trading.services.live.reserving_exits import LiveFacts
from apps.trading.services.loss_limits import Limits
from apps.trading.services.quote_texts import QuoteTexts
from apps.trading.services.swap_rows import Swap
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting


@dataclass(frozen=True, slots=True)
class Purchase:
    """A leased DCA with its part of a quote: it spends at most `lamports` of the quote's input."""

    exit: LeasedExit
    quote: Quote
    lamports: int


@dataclass(frozen=True, slots=True)
class _Situation:
    """What holds for the whole chunk, read under lock."""

    locked: Locked
    adjusting: dict[UUID, Adjusting]
    limits: Limits
    live: LiveFacts
    at: datetime
    sol_usd: Decimal | None


@dataclass(slots=True)
class _Chunk:
    """Rows gathered while a chunk is decided, written together. `spent` is what its wallets have spent in it so far."""

    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    added: list[Added] = field(default_factory=list)
    done: dict[int, UUID] = field(default_factory=dict)
    booked: dict[int, dict[str, str]] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)
    spent: dict[UUID, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    texts: QuoteTexts = field(default_factory=QuoteTexts)
    reserved: list[NewOrder] = field(default_factory=list)


def book_purchases(purchases: Sequence[Purchase], *, sol_usd: Decimal | None) -> list[Outcome]:
    """Decide and book a chunk of DCAs in one transaction; return what became of each.

    What is not booked and not cancelled stays leased: the caller gives it back. Locks: desk state (shared), agent
    states, wallets, positions, intents. `sol_usd` None leaves USD empty.

    Raises:
        Whatever the database raises; nothing is booked then.
        InsufficientBalance: the books refused although the rules allowed.
    """
    exits = [purchase.exit for purchase in purchases]
    with database.atomic():
        locked = exit_locks.lock(exits)
        present = adjusting.read(item.position_id for item in exits)
        at = next(iter(present.values())).at
        limits = loss_limits.read({item.agent_id for item in exits})
        now = _Situation(locked, present, limits, reserving_exits.read_facts(locked, exits), at, sol_usd)
        chunk = _Chunk()
        outcomes = [_settle(purchase, now, chunk) for purchase in purchases]
        _write(chunk, at, now.limits)
    return outcomes


def _settle(purchase: Purchase, now: _Situation, chunk: _Chunk) -> Outcome:
    leased = purchase.exit
    claim = now.locked.claims.get(leased.id)
    if claim is None:
        return Outcome(leased, Action.WAIT, LEASE_LOST)
    decision = _decide(purchase, claim, now, chunk)
    config = now.adjusting[leased.position_id].config
    if decision.action is not Action.BOOK or config is None:
        return _cancelled(leased, decision.code, chunk)
    if now.locked.wallets[leased.wallet_id].is_live:
        return _reserve(purchase, decision.lamports, now, chunk)
    try:
        fill = fills.simulated_buy(
            purchase.quote, token_decimals=now.locked.positions[leased.position_id].decimals, share=decision.lamports
        )
    except UnusableQuote as unusable:
        return Outcome(leased, Action.WAIT, unusable.code)
    if fill.debit_sol > (_free_sol(leased, now, chunk) or ZERO):
        return _cancelled(leased, entry_rules.INSUFFICIENT_BALANCE, chunk)
    mode = now.locked.wallets[leased.wallet_id].wallet_type
    barred = now.limits.refusal(leased.agent_id, mode, spending_sol=fill.debit_sol)
    if barred is not None:
        return _cancelled(leased, barred.code, chunk)
    now.limits.spend(leased.agent_id, mode, fill.debit_sol)
    return _add(purchase, claim.reason, fill, config, now, chunk)


def _reserve(purchase: Purchase, lamports: int, now: _Situation, chunk: _Chunk) -> Outcome:
    """Gather the order of a live DCA: what it may cost at most is put aside until it has ended."""
    leased, quote = purchase.exit, purchase.quote
    obstacle = now.live.obstacle(leased, buys=True)
    if obstacle is not None:
        return obstacle
    bound = reserving.bound_sol(lamports)
    if bound > (_free_sol(leased, now, chunk) or ZERO):
        return _cancelled(leased, entry_rules.INSUFFICIENT_BALANCE, chunk)
    barred = now.limits.refusal(leased.agent_id, TradingMode.LIVE, spending_sol=bound)
    if barred is not None:
        return _cancelled(leased, barred.code, chunk)
    now.limits.spend(leased.agent_id, TradingMode.LIVE, bound)
    chunk.spent[leased.wallet_id] += bound
    position, config = now.locked.positions[leased.position_id], now.adjusting[leased.position_id].config
    limit = None if config is None else config.purchase_limits.max_price_impact_fraction
    chunk.reserved.append(
        reserving.buy(
            purpose=OrderPurpose.DCA,
            wallet=now.locked.wallets[position.wallet_id],
            mint=position.mint,
            symbol=position.symbol,
            decimals=position.decimals,
            lamports=lamports,
            price_impact=quote.price_impact,
            inputs={
                "reason": leased.reason,
                "generation": position.generation,
                "quotedLamports": quote.in_amount,
                "quotedTokens": quote.out_amount,
                "maxPriceImpact": None if limit is None else str(limit),
            },
            intent_id=leased.id,
            position_id=position.id,
            signal_id=position.signal_id,
            attempt=now.live.next_attempt(leased.id),
        )
    )
    return Outcome(leased, Action.BOOK, reason=leased.reason)


def _cancelled(leased: LeasedExit, code: str, chunk: _Chunk) -> Outcome:
    chunk.cancelled[leased.id] = code
    return Outcome(leased, Action.CANCEL, code)


def _free_sol(leased: LeasedExit, now: _Situation, chunk: _Chunk) -> Decimal | None:
    """Return what the wallet may still spend: other DCAs of this chunk may be its own."""
    balance = now.adjusting[leased.position_id].balance_sol
    return None if balance is None else balance - chunk.spent[leased.wallet_id]


def _decide(purchase: Purchase, claim: Claim, now: _Situation, chunk: _Chunk) -> PurchaseDecision:
    leased = purchase.exit
    position, present = now.locked.positions[leased.position_id], now.adjusting[leased.position_id]
    wallet = now.locked.wallets[position.wallet_id]
    return adjust_decision.decide_purchase(
        exit_locks.standing(
            leased,
            claim,
            position,
            wallet_current=exit_locks.is_current(position, wallet),
            config=present.config,
            at=now.at,
        ),
        present.books,
        market_price=adjust_decision.market_price(purchase.quote, position.decimals),
        quoted_lamports=purchase.lamports,
        seconds_since_last=present.seconds_since_dca,
        balance_sol=_free_sol(leased, now, chunk),
        gate_refusal=gate_refusal(present, wallet, position.epoch),
    )


def gate_refusal(present: Adjusting, wallet: LockedWallet | None, epoch: int) -> str | None:
    """Return why the gate lets this agent add to nothing, or None. An agent adds in its own mode's wallet only."""
    refusal = gate.buy_refusal(
        desk_state=present.desk_state,
        own_state=present.own_state,
        archived=present.archived,
        wallet=wallet,
        epoch=epoch,
        paused=present.paused,
    )
    if refusal is None and present.other_mode:
        return entry_rules.TRADING_MODE_MISMATCH
    return None if refusal is None else refusal.upper()


def _add(purchase: Purchase, reason: str, fill: Fill, config: TradingConfig, now: _Situation, chunk: _Chunk) -> Outcome:
    """Gather the rows of one DCA: transaction, ledger lines, what it makes of the position."""
    leased = purchase.exit
    position, present = now.locked.positions[leased.position_id], now.adjusting[leased.position_id]
    wallet = now.locked.wallets[position.wallet_id]
    swap = Swap(
        id=uuid.uuid4(),
        agent_id=position.agent_id,
        wallet=wallet,
        position_id=position.id,
        signal_id=position.signal_id,
        mint=position.mint,
        symbol=position.symbol,
        fill=fill,
        quoted=chunk.texts.of(purchase.quote),
        at=now.at,
        sol_usd=now.sol_usd,
    )
    chunk.transactions.append(swap_rows.buy(swap, is_dca=True))
    chunk.postings.extend(swap_rows.buy_lines(swap))
    chunk.spent[wallet.id] += fill.debit_sol
    after = position_changes.added(present.books, fill, config.take_profit)
    added = added_positions.restarted(position.id, wallet, after, fill, config, present.last_tick)
    chunk.added.append(added)
    chunk.done[leased.id] = swap.id
    chunk.booked[leased.id] = exit_facts.of_purchase(
        fill,
        average_price_sol=after.average_price,
        remaining_tokens=after.tokens(after.remaining_units),
        dca_number=after.dca_count,
        stop_percent=added.stop_percent,
        stop_price_sol=added.stop_price_sol,
    )
    return Outcome(leased, Action.BOOK, transaction_id=swap.id, reason=reason, booked_at=now.at)


def _write(chunk: _Chunk, at: datetime, limits: Limits) -> None:
    exit_intents.cancel(chunk.cancelled)
    reserving_exits.write(chunk.reserved)
    added = chunk.added
    if not added:
        outbox.append(loss_limits.alerts(limits))
        return
    books.insert_transactions(chunk.transactions)
    books.post(chunk.postings)
    added_positions.write(added, at)
    exit_intents.finish(chunk.done, chunk.booked)
    outbox.append([*added_positions.messages(added), *loss_limits.alerts(limits)])
