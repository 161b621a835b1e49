"""What trading's pages show of a row beyond its fields: values, profits, ages, reasons, as markup.

Profit here is DESIGN section 3's: value minus remaining cost, plus what was realised.
"""

from __future__ import annotations

from typing import Any

from apps.core import formatting
from apps.core.adminkit import cells
from apps.core.money import MONEY, divide
from apps.trading import presentation
from apps.trading.domain import marks
from apps.trading.domain.marks import Mark
from apps.trading.models import ClosedTrade, CloseReason, ExitIntent, Position, SignalExecution, State, TradingState
from apps.trading.presentation import PositionFills
from apps.trading.services import reason_words
from apps.wallets.models import Origin

STALE_SECONDS = 10


def state_badge(position: Position) -> Any:
    if position.closed_at is None:
        return cells.label("open", "success")
    return cells.badge(CloseReason(position.close_reason)) if position.close_reason else cells.label("closed")


def exits_badge(state: TradingState) -> Any:
    if state.state != State.HALTED:
        return cells.DASH
    return cells.label("on", "success") if state.exits_enabled else cells.label("off", "danger")


def intent_reason(intent: ExitIntent) -> Any:
    if intent.reason == "dca":
        return cells.label("DCA", "info")
    return cells.badge(CloseReason(intent.reason))


def mark_of(position: Any) -> Mark:
    """What an open position is valued at, from a row with `admin.with_mark`'s columns."""
    fills = PositionFills(last_price_sol=position.last_fill_price_sol, last_at=position.last_fill_at)
    told = None if position.last_price_sol is None else Mark(position.last_price_sol, position.last_price_at, "tick")
    return marks.mark(presentation.last_fill(position, fills), told)


def price_now(position: Any) -> Any:
    """What it is valued at, marked when that is too old to fire anything."""
    if position.closed_at is not None:
        return cells.DASH
    mark = mark_of(position)
    written = cells.price(mark.price_sol)
    if mark.is_fill:
        return cells.stacked(written, cells.label("last fill", title="No price since its last fill"))
    age = cells.age(mark.at, warn_after_seconds=STALE_SECONDS)
    return cells.stacked(written, age) if "sd-late" in age else written


def value_of(position: Any) -> Any:
    """SOL the rest would fetch at its mark, before fees."""
    return (
        None
        if position.closed_at is not None
        else MONEY.multiply(mark_of(position).price_sol, position.remaining_amount)
    )


def profit_of(position: Any) -> Any:
    """Value minus remaining cost plus what was realised (DESIGN section 3); the realised profit once closed."""
    if position.closed_at is not None:
        return position.realized_profit_sol
    return value_of(position) - position.remaining_cost_sol + position.realized_profit_sol


def profit_cell(position: Any) -> Any:
    """Profit over its percentage of the money invested."""
    profit = profit_of(position)
    gain = divide(profit * 100, position.total_invested_sol)
    return cells.stacked(cells.sol(profit, signed=True), cells.percent(gain, toned=True))


def stop_of(position: Position) -> Any:
    if position.closed_at is not None or position.stop_price_sol is None:
        return cells.DASH
    percent = formatting.percent(position.stop_percent, signed=True)
    return cells.stacked(cells.price(position.stop_price_sol), cells.number(position.stop_percent, percent))


def reasons(execution: SignalExecution) -> Any:
    """Every reason as a word, with its sentence on hover where the rules have one."""
    codes = execution.reasons or ([execution.code] if execution.code else [])
    return cells.words(codes, explained=reason_words.SENTENCES)


def decision_delay(execution: SignalExecution) -> Any:
    """From the signal's arrival to its verdict."""
    milliseconds = int((execution.created_at - execution.signal.created_at).total_seconds() * 1000)
    return cells.number(milliseconds, f"{milliseconds:,}", unit="ms")


def trade_profit(trade: ClosedTrade) -> Any:
    return cells.stacked(cells.sol(trade.profit_sol, signed=True), cells.percent(trade.change_percent, toned=True))


def origin_badge(trade: ClosedTrade) -> Any:
    """Who wrote it, or that it counts no more."""
    return cells.badge(Origin(trade.origin)) if trade.deleted_at is None else cells.label("taken back", "danger")


def held_for(trade: ClosedTrade) -> Any:
    seconds = int((trade.sale_time - trade.purchase_time).total_seconds())
    return cells.number(seconds, formatting.duration(seconds), exact=f"{seconds} s")
