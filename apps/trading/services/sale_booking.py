"""The one function that books sales: every close and every take profit is decided again under lock and booked here.

A chunk of sales is one transaction: locks, decisions, then a handful of set-based writes. If the process dies anywhere,
either all of a chunk stands or none of it, and what does not stand is still due. A live sale is reserved as an order.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction as database

from apps.core import bulk, outbox
from apps.core.money import to_base_units
from apps.trading.domain import adjust_decision, exit_decision, fills, position_changes
from apps.trading.domain.adjust_decision import SaleDecision
from apps.trading.domain.exit_decision import Action, CloseDecision, CloseSituation
from apps.trading.domain.fills import Fill, Quote, UnusableQuote
from apps.trading.domain.take_profit import TakeProfitDecision
from apps.trading.selectors import adjusting
from apps.trading.selectors.adjusting import Adjusting
from apps.trading.services import (
    exit_alarms,
    exit_facts,
    exit_intents,
    exit_locks,
    gate,
    new_closed_trades,
    sold_positions,
    swap_rows,
)
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_locks import Claim, HeldPosition, Locked
from apps.trading.services.exit_outcomes import LEASE_LOST, Outcome
from apps.trading.services.gate import Gate
from apps.trading.services.live import reserving_exits
from apps.trading.services.live.new_orders import NewOrder
from apps.trading.services.live.reserving_exits import LiveFacts
from apps.trading.services.quote_texts import QuoteTexts
from apps.trading.services.sold_positions import Effect, Sold
from apps.trading.services.swap_rows import Swap
from apps.wallets.services import books
from apps.wallets.services.books import NewTransaction, Posting


@dataclass(frozen=True, slots=True)
class Sale:
    """A leased close or take profit with its part of a quote: `base_units` of its input are this position's."""

    exit: LeasedExit
    quote: Quote
    base_units: int


@dataclass(frozen=True, slots=True)
class _Situation:
    """What holds for the whole chunk, read under lock. `adjusting` has the positions that take profit."""

    locked: Locked
    adjusting: dict[UUID, Adjusting]
    live: LiveFacts
    switches: Gate
    at: datetime
    sol_usd: Decimal | None


@dataclass(slots=True)
class _Chunk:
    """Rows gathered while a chunk is decided, written together."""

    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    sold: list[Sold] = field(default_factory=list)
    raised: list[outbox.Message] = field(default_factory=list)
    reserved: list[NewOrder] = field(default_factory=list)
    done: dict[int, UUID] = field(default_factory=dict)
    booked: dict[int, dict[str, str]] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)
    texts: QuoteTexts = field(default_factory=QuoteTexts)


def book_sales(sales: Sequence[Sale], *, sol_usd: Decimal | None) -> list[Outcome]:
    """Decide and book a chunk of sales in one transaction; return what became of each.

    A close sells exactly what its position still holds, a take profit exactly what was quoted for its levels. What is
    not booked and not cancelled stays leased: the caller gives it back. Locks: desk state (shared), agent states,
    wallets, positions, intents. `sol_usd` None leaves USD empty.

    Raises:
        Whatever the database raises; nothing is booked then.
        InsufficientBalance: a wallet holds less than its position says; nothing is booked.
    """
    exits = [sale.exit for sale in sales]
    with database.atomic():
        locked = exit_locks.lock(exits)
        ((at,),) = bulk.fetch_all("SELECT clock_timestamp()")
        now = _Situation(
            locked=locked,
            adjusting=adjusting.read(item.position_id for item in exits if item.is_adjust),
            live=reserving_exits.read_facts(locked, exits),
            switches=gate.read({item.agent_id for item in exits}),
            at=at,
            sol_usd=sol_usd,
        )
        chunk = _Chunk()
        outcomes = [_settle(sale, now, chunk) for sale in sales]
        _write(chunk, at)
    return outcomes


def _settle(sale: Sale, now: _Situation, chunk: _Chunk) -> Outcome:
    claim = now.locked.claims.get(sale.exit.id)
    if claim is None:
        return Outcome(sale.exit, Action.WAIT, LEASE_LOST)
    position = now.locked.positions[sale.exit.position_id]
    try:
        fill = fills.simulated_sell(sale.quote, token_decimals=position.decimals, share=sale.base_units)
    except UnusableQuote as unusable:
        return Outcome(sale.exit, Action.WAIT, unusable.code)
    decision: CloseDecision | SaleDecision = (
        _decide_take_profit(sale, claim, now) if claim.is_adjust else _decide_close(sale, fill, claim, now)
    )
    if decision.action is Action.CANCEL:
        chunk.cancelled[sale.exit.id] = decision.code
    if isinstance(decision, CloseDecision):
        effect = sold_positions.of_everything(position, fill) if decision.allowed else None
    else:
        effect = _effect_of_take_profit(now.adjusting[position.id], fill, decision.profit) if decision.profit else None
    if effect is None:
        return Outcome(sale.exit, decision.action, decision.code)
    if now.locked.wallets[position.wallet_id].is_live:
        return _reserve(sale, claim, None if isinstance(decision, CloseDecision) else decision.profit, now, chunk)
    return _book(sale, fill, claim.reason, effect, now, chunk)


def _reserve(sale: Sale, claim: Claim, profit: TakeProfitDecision | None, now: _Situation, chunk: _Chunk) -> Outcome:
    """Gather the order of a live sale: the quote has decided that it is right, the chain will say what it brings."""
    obstacle = now.live.obstacle(sale.exit)
    if obstacle is not None:
        return obstacle
    position = now.locked.positions[sale.exit.position_id]
    chunk.reserved.append(
        reserving_exits.sale(
            sale.exit,
            claim,
            position,
            now.locked.wallets[position.wallet_id],
            now.live,
            base_units=sale.base_units,
            price_impact=sale.quote.price_impact,
            progress=None if profit is None else _progress(now.adjusting[position.id], profit),
        )
    )
    return Outcome(sale.exit, Action.BOOK, reason=claim.reason)


def _progress(present: Adjusting, profit: TakeProfitDecision) -> dict[str, object]:
    bag = position_changes.bag_to_set_aside(present.books, profit)
    return {"levels": len(profit.levels), "moonBagUnits": None if bag is None else str(bag)}


def _decide_close(sale: Sale, fill: Fill, claim: Claim, now: _Situation) -> CloseDecision:
    position = now.locked.positions[sale.exit.position_id]
    stop = position.stop_price_sol if claim.stop_price_sol is None else claim.stop_price_sol
    return exit_decision.decide(
        CloseSituation(
            reason=claim.reason,
            fired_generation=claim.generation,
            averaged_generation=position.peak_generation,
            is_open=position.is_open,
            wallet_current=_is_current(position, now),
            exits_allowed=now.switches.exits_allowed(position.agent_id),
            remaining_base_units=to_base_units(position.remaining_amount, position.decimals),
            quoted_base_units=sale.base_units,
            needs_confirmation=claim.needs_confirmation,
            stop_price_sol=stop,
            market_price_sol=exit_decision.market_price(fill.price_sol, fill.price_impact),
        )
    )


def _decide_take_profit(sale: Sale, claim: Claim, now: _Situation) -> SaleDecision:
    position, present = now.locked.positions[sale.exit.position_id], now.adjusting[sale.exit.position_id]
    return adjust_decision.decide_sale(
        exit_locks.standing(
            sale.exit, claim, position, wallet_current=_is_current(position, now), config=present.config, at=now.at
        ),
        present.books,
        trigger_price=claim.trigger_price_sol,
        market_price=adjust_decision.market_price(sale.quote, position.decimals),
        quoted_units=sale.base_units,
        exits_allowed=now.switches.exits_allowed(position.agent_id),
    )


def _is_current(position: HeldPosition, now: _Situation) -> bool:
    return exit_locks.is_current(position, now.locked.wallets[position.wallet_id])


def _effect_of_take_profit(present: Adjusting, fill: Fill, profit: TakeProfitDecision) -> Effect:
    after = position_changes.took_profit(present.books, fill, profit).books
    return sold_positions.of_books(after, took_profit=True, set_bag_aside=profit.activates_moon_bag)


def _book(sale: Sale, fill: Fill, reason: str, effect: Effect, now: _Situation, chunk: _Chunk) -> Outcome:
    """Gather the rows of one sale: transaction, ledger lines, what becomes of the position, the trade it may end."""
    position = now.locked.positions[sale.exit.position_id]
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
        quoted=chunk.texts.of(sale.quote),
        at=now.at,
        sol_usd=now.sol_usd,
    )
    tokens = position.remaining_amount - effect.remaining_amount
    chunk.transactions.append(swap_rows.sale(swap, tokens, is_take_profit=effect.levels_hit is not None))
    chunk.postings.extend(swap_rows.sale_lines(swap, tokens))
    trade = None
    if not effect.remaining_amount:
        trade = new_closed_trades.ended(
            position,
            transaction_id=swap.id,
            reason=reason,
            proceeds_sol=effect.proceeds_sol,
            at=now.at,
            sol_usd=now.sol_usd,
        )
    chunk.sold.append(Sold(position, wallet, effect, trade))
    if exit_alarms.was_raised(sale.exit):
        chunk.raised.append(exit_alarms.recovered(sale.exit, position.user_id, position.symbol))
    chunk.done[sale.exit.id] = swap.id
    chunk.booked[sale.exit.id] = exit_facts.of_sale(
        fill,
        tokens=tokens,
        cost_sol=position.remaining_cost_sol - effect.remaining_cost_sol,
        average_price_sol=position.purchase_price,
        remaining_tokens=effect.remaining_amount,
        levels_hit=effect.levels_hit,
        moon_bag_tokens=effect.moon_bag_amount,
    )
    return Outcome(sale.exit, Action.BOOK, transaction_id=swap.id, reason=reason, booked_at=now.at)


def _write(chunk: _Chunk, at: datetime) -> None:
    exit_intents.cancel(chunk.cancelled)
    reserving_exits.write(chunk.reserved)
    if not chunk.sold:
        return
    books.insert_transactions(chunk.transactions)
    books.post(chunk.postings)
    sold_positions.write(chunk.sold, at)
    exit_intents.finish(chunk.done, chunk.booked)
    ended = [item.position.id for item in chunk.sold if item.trade is not None]
    if ended:
        exit_intents.cancel_open(ended, exit_decision.POSITION_CLOSED)
    outbox.append([*sold_positions.messages(chunk.sold), *chunk.raised])
