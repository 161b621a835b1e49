"""What trading tells Prometheus of exits: booked by reason, failed or ended without a trade by code, and their time.

Names of the contract where it has one. Labels are bounded: reasons are the desk's own, a code without words is `other`.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from apps.core.metrics_registry import REGISTRY
from apps.trading.domain import story_codes

EXITS_BOOKED = Counter(
    "exits_booked_total", "Sales and DCA buys booked, by what they were fired for", ["reason"], registry=REGISTRY
)
EXITS_CANCELLED = Counter(
    "exits_cancelled_total", "Fired exits that ended without a trade", ["reason", "code"], registry=REGISTRY
)
EXIT_FAILURES = Counter(
    "exit_failures_total",
    "Attempts to book an exit that failed and are repeated",
    ["reason", "code"],
    registry=REGISTRY,
)
EXIT_SECONDS = Histogram(
    "exit_booking_seconds",
    "Time from an exit's firing to its booking",
    ["reason"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
    registry=REGISTRY,
)
TRADES = Counter("trade_execution_total", "Trades that were tried", ["type", "status"], registry=REGISTRY)
TRADE_SECONDS = Histogram(
    "trade_execution_latency_seconds",
    "Time from a trade's reason to its booking",
    ["type", "status"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)

_KNOWN_CODES = frozenset(story_codes.CANCELLATIONS) | frozenset(story_codes.FAILURES)
#: The contract's types of trades; every other exit is a sale of everything.
_TYPES = {"dca": "dca_buy", "take_profit": "take_profit"}


def exit_booked(reason: str, seconds: float) -> None:
    """Count a booked exit that took `seconds` since it was fired."""
    EXITS_BOOKED.labels(reason).inc()
    EXIT_SECONDS.labels(reason).observe(seconds)
    TRADES.labels(_type(reason), "success").inc()
    TRADE_SECONDS.labels(_type(reason), "success").observe(seconds)


def exit_failed(reason: str, code: str) -> None:
    """Count an attempt that failed; the exit stays due."""
    EXIT_FAILURES.labels(reason, _code(code)).inc()
    TRADES.labels(_type(reason), "failed").inc()


def exit_cancelled(reason: str, code: str) -> None:
    """Count an exit that ended without a trade."""
    EXITS_CANCELLED.labels(reason, _code(code)).inc()


def _type(reason: str) -> str:
    return _TYPES.get(reason, "sale")


def _code(code: str) -> str:
    return code if code in _KNOWN_CODES else "other"
