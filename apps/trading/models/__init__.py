"""What the engine decides and keeps, by topic: import every model from here."""

from __future__ import annotations

from apps.trading.models.dead_tokens import DeadToken, DeadTokenEnd
from apps.trading.models.intents import ExitIntent, IntentKind, IntentStatus
from apps.trading.models.limits import LossLimit, RealisedToday, TokenSafetyPolicy
from apps.trading.models.orders import LandingRoute, Order, OrderPurpose, OrderSide, OrderStatus
from apps.trading.models.positions import CloseReason, Position
from apps.trading.models.results import BalanceSnapshot, ClosedTrade
from apps.trading.models.states import State, TradingState
from apps.trading.models.verdicts import SignalExecution, Verdict
from apps.trading.models.watching import StopMove, WatchProgress

__all__ = [
    "BalanceSnapshot",
    "CloseReason",
    "ClosedTrade",
    "DeadToken",
    "DeadTokenEnd",
    "ExitIntent",
    "IntentKind",
    "IntentStatus",
    "LandingRoute",
    "LossLimit",
    "Order",
    "OrderPurpose",
    "OrderSide",
    "OrderStatus",
    "Position",
    "RealisedToday",
    "SignalExecution",
    "State",
    "StopMove",
    "TokenSafetyPolicy",
    "TradingState",
    "Verdict",
    "WatchProgress",
]
