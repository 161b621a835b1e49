"""The one function that books sales: every close and every take profit is decided again under lock and booked here.

A chunk of sales is one transaction: locks, decisions, then a handful of set-based writes. If the process dies anywhere,
either all of a chunk stands or none of it, and what does not stand is still due.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox
from apps.core.money import ZERO, lamports_to_sol, to_base_units
from apps.trading import presentation
from apps.trading.domain import adjust_decision, exit_decision, fills, position_changes
from apps.trading.domain.adjust_decision import SaleDecision
from apps.trading.domain.exit_decision import Action, CloseDecision, CloseSituation
from apps.trading.domain.fills import Fill, Quote, UnusableQuote
from apps.trading.domain.take_profit import TakeProfitDecision
from apps.trading.models import Position
from apps.trading.selectors import adjusting
from apps.trading.selectors.adjusting import Adjusting
from apps.trading.services import (
    exit_alarms,
    exit_facts,
    exit_intents,
    exit_locks,
    gate,
    new_closed_trades,
    position_feed,
    swap_rows,
)
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_locks import Claim, HeldPosition, Locked
from apps.trading.services.exit_outcomes import LEASE_LOST, Outcome
from apps.trading.services.gate import Gate
from apps.trading.services.new_closed_trades import NewClosedTrade
from apps.trading.services.quote_texts import QuoteTexts
from apps.trading.services.swap_rows import Swap
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting


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
    switches: Gate
    at: datetime
    sol_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a sale leaves of a position, whole tokens and SOL. The last two are a take profit's, None otherwise.

    `moon_bag_amount` is the bag this very sale sets aside.
    """

    remaining_amount: Decimal
    remaining_cost_sol: Decimal
    proceeds_sol: Decimal
    realized_profit_sol: Decimal
    levels_hit: int | None = None
    moon_bag_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    """A position as it was, and what a sale made of it; `trade` when that ended it."""

    position: HeldPosition
    wallet: LockedWallet
    exit: LeasedExit
    effect: _Effect
    trade: NewClosedTrade | None


@dataclass(slots=True)
class _Chunk:
    """Rows gathered while a chunk is decided, written together."""

    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    changes: list[_Change] = field(default_factory=list)
    done: dict[int, UUID] = field(default_factory=dict)
    booked: dict[int, dict[str, str]] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)
    texts: QuoteTexts = field(default_factory=QuoteTexts)


def book_sales(sales: Sequence[Sale], *, sol_usd: Decimal | None) -> list[Outcome]:
    """Decide and book a chunk of simulated sales in one transaction; return what became of each.

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
        effect = _effect_of_close(position, fill) if decision.allowed else None
    else:
        effect = _effect_of_take_profit(now.adjusting[position.id], fill, decision.profit) if decision.profit else None
    if effect is None:
        return Outcome(sale.exit, decision.action, decision.code)
    return _book(sale, fill, claim.reason, effect, now, chunk)


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


def _effect_of_close(position: HeldPosition, fill: Fill) -> _Effect:
    """Return what a sale of everything leaves: it takes what is left of the cost."""
    net = lamports_to_sol(fill.net_lamports)
    return _Effect(
        remaining_amount=ZERO,
        remaining_cost_sol=ZERO,
        proceeds_sol=position.proceeds_sol + net,
        realized_profit_sol=position.realized_profit_sol + net - position.remaining_cost_sol,
    )


def _effect_of_take_profit(present: Adjusting, fill: Fill, profit: TakeProfitDecision) -> _Effect:
    after = position_changes.took_profit(present.books, fill, profit).books
    return _Effect(
        remaining_amount=after.tokens(after.remaining_units),
        remaining_cost_sol=lamports_to_sol(after.remaining_cost_lamports),
        proceeds_sol=lamports_to_sol(after.proceeds_lamports),
        realized_profit_sol=lamports_to_sol(after.realised_lamports),
        levels_hit=after.levels_hit,
        moon_bag_amount=after.moon_bag_tokens if profit.activates_moon_bag else None,
    )


def _book(sale: Sale, fill: Fill, reason: str, effect: _Effect, now: _Situation, chunk: _Chunk) -> Outcome:
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
    chunk.changes.append(_Change(position, wallet, sale.exit, effect, trade))
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


_CHANGE_POSITIONS = """
UPDATE position p
SET remaining_amount = v.remaining, remaining_cost_sol = v.cost, proceeds_sol = v.proceeds,
    realized_profit_sol = v.realised, generation = p.generation + 1, updated_at = %(at)s,
    closed_at = CASE WHEN v.reason <> '' THEN %(at)s END, close_reason = v.reason,
    take_profit_levels_hit = COALESCE(v.levels, p.take_profit_levels_hit),
    last_take_profit_at = CASE WHEN v.levels IS NULL THEN p.last_take_profit_at ELSE %(at)s END,
    moon_bag_activated = p.moon_bag_activated OR v.bag IS NOT NULL,
    moon_bag_amount = COALESCE(v.bag, p.moon_bag_amount)
FROM unnest(%(ids)s::uuid[], %(remaining)s::numeric[], %(costs)s::numeric[], %(proceeds)s::numeric[],
            %(realised)s::numeric[], %(reasons)s::text[], %(levels)s::int[], %(bags)s::numeric[])
    AS v (id, remaining, cost, proceeds, realised, reason, levels, bag)
WHERE p.id = v.id
"""


def _write(chunk: _Chunk, at: datetime) -> None:
    exit_intents.cancel(chunk.cancelled)
    if not chunk.changes:
        return
    books.insert_transactions(chunk.transactions)
    books.post(chunk.postings)
    bulk.execute(
        _CHANGE_POSITIONS,
        {
            "at": at,
            "ids": [item.position.id for item in chunk.changes],
            "remaining": [item.effect.remaining_amount for item in chunk.changes],
            "costs": [item.effect.remaining_cost_sol for item in chunk.changes],
            "proceeds": [item.effect.proceeds_sol for item in chunk.changes],
            "realised": [item.effect.realized_profit_sol for item in chunk.changes],
            "reasons": ["" if item.trade is None else item.trade.close_reason for item in chunk.changes],
            "levels": [item.effect.levels_hit for item in chunk.changes],
            "bags": [item.effect.moon_bag_amount for item in chunk.changes],
        },
    )
    ended = [item for item in chunk.changes if item.trade is not None]
    if ended:
        new_closed_trades.insert(item.trade for item in ended if item.trade is not None)
        locks.count_positions(_slots_freed(ended))
    exit_intents.finish(chunk.done, chunk.booked)
    if ended:
        exit_intents.cancel_open([item.position.id for item in ended], exit_decision.POSITION_CLOSED)
    outbox.append([*_updates(chunk), *_ends(ended), *_recoveries(chunk)])


def _slots_freed(ended: Sequence[_Change]) -> dict[UUID, int]:
    freed: dict[UUID, int] = {}
    for item in ended:
        freed[item.position.agent_id] = freed.get(item.position.agent_id, 0) - 1
    return freed


def _updates(chunk: _Chunk) -> list[outbox.Message]:
    """Tell of the positions that were sold in part, as they stand now."""
    addresses = {item.position.id: item.wallet.address for item in chunk.changes if item.trade is None}
    if not addresses:
        return []
    rows = Position.objects.filter(pk__in=addresses).order_by("agent_id", "pk")
    return position_feed.updated((row, addresses[row.pk]) for row in rows)


def _ends(ended: Sequence[_Change]) -> list[outbox.Message]:
    """Tell of the positions that are gone, and of their trades."""
    messages = []
    for item in ended:
        position = item.position
        messages.append(position_feed.closed(position.agent_id, position.id))
        trade = {
            "agentId": str(position.agent_id),
            "trade": presentation.closed_trade(item.trade, item.wallet.address),
        }
        messages.append(outbox.Message(outbox.user_stream(position.user_id), "trade_closed", trade))
    return messages


def _recoveries(chunk: _Chunk) -> list[outbox.Message]:
    """Tell of the closes people were told had failed."""
    return [
        exit_alarms.recovered(item.exit, item.position.user_id, item.position.symbol)
        for item in chunk.changes
        if exit_alarms.was_raised(item.exit)
    ]
