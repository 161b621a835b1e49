"""What the end of an order means for what wanted it: verdicts, further attempts, exits, slots, positions left empty."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings

from apps.core import bulk, outbox
from apps.core.money import ZERO
from apps.trading import metrics
from apps.trading.domain import (
    eligibility,
    entry_rules,
    exit_decision,
    exit_ladder,
    loss_limits,
    order_machine,
    price_impact,
    token_safety,
)
from apps.trading.models import CloseReason, OrderPurpose, OrderSide, Verdict
from apps.trading.services import exit_alarms, exit_lots, gate, new_closed_trades, sold_positions, verdicts
from apps.trading.services.live import reserving
from apps.trading.services.live.landed_rows import Booked
from apps.trading.services.live.new_orders import NewOrder
from apps.trading.services.live.order_rows import Ended, LockedOrder, Situation
from apps.trading.services.sold_positions import Effect, Sold
from apps.trading.services.verdicts import Outcome

POSITION_CLOSED = exit_decision.POSITION_CLOSED
WALLET_RESET = exit_decision.WALLET_RESET
SLIPPAGE_EXCEEDED = "SLIPPAGE_EXCEEDED"
NOT_SENT_IN_TIME = "NOT_SENT_IN_TIME"
#: The signer signs no other bytes for an order: its first ones died unsent with the process that had them signed.
SIGNED_ELSEWHERE = "ORDER_SIGNED"
FAILED_ON_CHAIN = "FAILED_ON_CHAIN"
PARTLY_SOLD = "PARTLY_SOLD"
BUY_UNRESOLVED = exit_lots.BUY_UNRESOLVED
#: What the swap program says when less would come out than was promised.
_SLIPPAGE_ERROR = 6001
MAX_ENTRY_ATTEMPTS = 3
#: What may be otherwise at the next attempt.
_PASSING = frozenset((SLIPPAGE_EXCEEDED, NOT_SENT_IN_TIME, SIGNED_ELSEWHERE))
#: A position that is sold out waits so long before it is looked at again whether its last buy has ended.
_BUY_PAUSE_SECONDS = 1.0
#: What we said ourselves before anything was signed: a refusal, no failure.
_REFUSALS = frozenset(
    (
        *eligibility.REASONS,
        *entry_rules.MESSAGES,
        *gate.MESSAGES,
        *loss_limits.MESSAGES,
        *token_safety.MESSAGES,
        WALLET_RESET,
        price_impact.PRICE_IMPACT_TOO_HIGH,
    )
)


@dataclass(slots=True)
class Chunk:
    """What the ends of a chunk of orders come to, gathered and written together."""

    ended: list[Ended] = field(default_factory=list)
    released: list[tuple[UUID, str, Decimal]] = field(default_factory=list)
    counts: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    slots: list[tuple[UUID, int]] = field(default_factory=list)
    again: list[NewOrder] = field(default_factory=list)
    done: dict[int, UUID] = field(default_factory=dict)
    due_again: dict[int, tuple[str, float]] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)
    closed: list[UUID] = field(default_factory=list)
    unbought: list[LockedOrder] = field(default_factory=list)
    verdicts: list[tuple[int, Outcome]] = field(default_factory=list)
    alerts: list[outbox.Message] = field(default_factory=list)
    _judged: list[tuple[LockedOrder, Outcome]] = field(default_factory=list)
    _exits: list[tuple[LockedOrder, str]] = field(default_factory=list)

    def give_back(self, order: LockedOrder) -> None:
        """Give back what the order had put aside."""
        if order.held_amount:
            self.released.append((order.wallet_id, order.held_mint, order.held_amount))

    def judge(self, order: LockedOrder, outcome: Outcome) -> None:
        """Give the order's pair its verdict."""
        if order.signal_id is not None and order.purpose == OrderPurpose.ENTRY:
            self.verdicts.append((order.signal_id, outcome))
            self._judged.append((order, outcome))

    def exited(self, order: LockedOrder, code: str = "") -> None:
        """Count an exit's attempt: without a code it was filled."""
        self._exits.append((order, code))

    def messages(self) -> list[outbox.Message]:
        """Tell owners of verdicts, and of exits that keep failing or have come through."""
        by_signal: dict[tuple[UUID, int], list[Outcome]] = defaultdict(list)
        for order, outcome in self._judged:
            assert order.signal_id is not None  # noqa: S101 - `judge` saw to it
            by_signal[order.user_id, order.signal_id].append(outcome)
        told = [verdicts.told(user, signal, outcomes) for (user, signal), outcomes in by_signal.items()]
        return [*told, *self.alerts]

    def measure(self) -> None:
        """Count what stands now that the chunk has committed."""
        now = datetime.now(UTC)
        for order, outcome in self._judged:
            verdicts.measure([outcome], since=order.signal_at or order.created_at)
        for order, code in self._exits:
            reason = order.intent_reason or ""
            if code:
                metrics.exit_failed(reason, code)
            else:
                metrics.exits_booked(reason, 1, (now - (order.intent_at or order.created_at)).total_seconds())


def chain_code(error: str | None) -> str:
    """Return the code of what the chain says went wrong with a transaction, as JSON text.

    >>> chain_code('{"InstructionError":[3,{"Custom":6001}]}'), chain_code('"InsufficientFundsForFee"')
    ('SLIPPAGE_EXCEEDED', 'FAILED_ON_CHAIN')
    """
    try:
        told = json.loads(error or "null")
    except ValueError:
        return FAILED_ON_CHAIN
    inner = told.get("InstructionError") if isinstance(told, dict) else None
    cause = inner[-1] if isinstance(inner, list) and inner else None
    custom = cause.get("Custom") if isinstance(cause, dict) else None
    return SLIPPAGE_EXCEEDED if custom == _SLIPPAGE_ERROR else FAILED_ON_CHAIN


def with_fill(order: LockedOrder, booked: Booked, now: Situation, chunk: Chunk) -> None:
    """Say what a fill means: the pair is executed, the exit is done or sells on."""
    if order.side == OrderSide.BUY:
        chunk.counts[order.agent_id] += int(booked.opened) - int(order.slot_held)
        if booked.position_id is not None and booked.fill is not None:
            told = {"orderId": str(order.id), "signature": order.signature}
            chunk.judge(
                order, Outcome.executed(order.agent_id, booked.transaction_id, booked.position_id, told, booked.fill)
            )
    if booked.ends_position and booked.position_id is not None:
        chunk.closed.append(booked.position_id)
    if order.intent_id is None:
        return
    if order.purpose != OrderPurpose.CLOSE or booked.ends_position:
        chunk.done[order.intent_id] = booked.transaction_id
        chunk.exited(order)
        _tell_recovered(order, chunk)
    elif now.live[order.token].buying:
        chunk.due_again[order.intent_id] = BUY_UNRESOLVED, _BUY_PAUSE_SECONDS
    else:
        chunk.due_again[order.intent_id] = PARTLY_SOLD, 0.0


def without_fill(order: LockedOrder, status: str, code: str, now: Situation, chunk: Chunk) -> None:
    """Say what it means that nothing was swapped: another attempt, a verdict, or an exit that is due again."""
    if order.side == OrderSide.SELL:
        _sell_again(order, code, chunk)
        return
    chunk.unbought.append(order)
    if _tries_again(order, status, code, now):
        chunk.again.append(_next_attempt(order, now))
        return
    chunk.counts[order.agent_id] -= int(order.slot_held)
    refused = order.status not in order_machine.SENT_ONCE and code in _REFUSALS
    if order.intent_id is not None and refused:
        chunk.cancelled[order.intent_id] = code
    elif order.intent_id is not None:
        chunk.due_again[order.intent_id] = code, 0.0
    told = {"orderId": str(order.id), "signature": order.signature}
    verdict = Verdict.SKIPPED if refused else Verdict.FAILED
    chunk.judge(order, Outcome(order.agent_id, verdict, (code,), told))


def without_books(order: LockedOrder, chunk: Chunk) -> None:
    """Say what the end of an order means whose wallet's books have ended before it."""
    chunk.counts[order.agent_id] -= int(order.slot_held)
    if order.intent_id is not None:
        chunk.cancelled[order.intent_id] = WALLET_RESET
    chunk.judge(order, Outcome.failed(order.agent_id, WALLET_RESET, {"orderId": str(order.id)}))


def _sell_again(order: LockedOrder, code: str, chunk: Chunk) -> None:
    if order.intent_id is None:
        return
    chunk.due_again[order.intent_id] = code, exit_ladder.pause_seconds(order.attempt)
    if code == exit_decision.EXITS_HALTED or not order.intent_open:
        return
    chunk.exited(order, code)
    if (
        order.purpose == OrderPurpose.CLOSE
        and order.position_id is not None
        and exit_alarms.is_raised_at(order.attempt)
    ):
        chunk.alerts.append(
            exit_alarms.order_stuck(
                user_id=order.user_id,
                position_id=order.position_id,
                mint=order.mint,
                symbol=order.symbol,
                attempts=order.attempt,
                code=code,
            )
        )


def _tell_recovered(order: LockedOrder, chunk: Chunk) -> None:
    if order.purpose == OrderPurpose.CLOSE and order.position_id is not None and order.attempt > exit_alarms.FIRST_AT:
        chunk.alerts.append(
            exit_alarms.order_recovered(
                user_id=order.user_id,
                position_id=order.position_id,
                mint=order.mint,
                symbol=order.symbol,
                attempts=order.attempt,
            )
        )


def _tries_again(order: LockedOrder, status: str, code: str, now: Situation) -> bool:
    """Tell whether an entry has another attempt in it: the gate judges it again before it is built."""
    if order.purpose != OrderPurpose.ENTRY or order.signal_at is None or order.attempt >= MAX_ENTRY_ATTEMPTS:
        return False
    young = (now.at - order.signal_at).total_seconds() <= settings.MAX_SIGNAL_AGE_SECONDS
    return young and (status == order_machine.EXPIRED or code in _PASSING)


def _next_attempt(order: LockedOrder, now: Situation) -> NewOrder:
    return reserving.buy(
        purpose=OrderPurpose.ENTRY,
        wallet=now.wallets[order.wallet_id],
        mint=order.mint,
        symbol=order.symbol,
        decimals=order.decimals,
        lamports=order.in_base_units,
        price_impact=order.price_impact,
        inputs=order.inputs,
        signal_id=order.signal_id,
        attempt=order.attempt + 1,
    )


_LAST_SALES = """
SELECT DISTINCT ON (t.position_id) t.position_id, t.id FROM transaction t JOIN position p ON p.id = t.position_id
WHERE t.position_id = ANY(%s) AND t.input_mint = p.mint ORDER BY t.position_id, t.transaction_time DESC, t.id
"""
_OPEN_CLOSES = """
SELECT position_id, id, reason FROM exit_intent
WHERE position_id = ANY(%s) AND kind = 'close' AND status IN ('due', 'leased')
"""
_CLOSE = """
UPDATE position p SET closed_at = %s, close_reason = v.reason, updated_at = %s
FROM unnest(%s::uuid[], %s::text[]) AS v (id, reason) WHERE p.id = v.id
"""


def close_empty(chunk: Chunk, now: Situation) -> list[Sold]:
    """End positions that were sold out while a buy was under way, now that it brought nothing; return them."""
    found = [now.open_by_token.get(order.token) for order in chunk.unbought]
    empty = {item.id: item for item in found if item is not None and not item.remaining_amount}
    if not empty:
        return []
    ids = sorted(empty)
    sales = dict(bulk.fetch_all(_LAST_SALES, [ids]))
    closes = {row[0]: (row[1], row[2]) for row in bulk.fetch_all(_OPEN_CLOSES, [ids])}
    ended = []
    for position_id in ids:
        position = empty[position_id]
        intent, reason = closes.get(position_id, (None, str(CloseReason.TAKE_PROFIT)))
        trade = new_closed_trades.ended(
            position,
            transaction_id=sales[position_id],
            reason=reason,
            proceeds_sol=position.proceeds_sol,
            at=now.at,
            sol_usd=None,
        )
        effect = Effect(ZERO, ZERO, position.proceeds_sol, position.realized_profit_sol)
        ended.append(Sold(position, now.wallets[position.wallet_id], effect, trade))
        chunk.closed.append(position_id)
        if intent is not None:
            chunk.done[intent] = sales[position_id]
    bulk.execute(_CLOSE, [now.at, now.at, ids, [item.trade.close_reason for item in ended if item.trade is not None]])
    sold_positions.write_trades(ended)
    return ended
