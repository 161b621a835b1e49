"""What trading tells Prometheus of signals, entries and exits: how they ended, how long it took, what failed.

Names of the contract where it has one. Labels are bounded: reasons are the desk's own, a code nobody knows is `other`.
Services call these after their transaction: what was rolled back is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from apps.core.metrics_registry import ERRORS, REGISTRY, BatchHistogram
from apps.trading.domain import entry_rules, story_codes
from apps.trading.domain.watch_rules import DCA, STALE_TRADE, STOP_LOSS

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
EXIT_SECONDS = BatchHistogram(
    "exit_booking_seconds",
    "Time from an exit's firing to its booking",
    ["reason"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
    registry=REGISTRY,
)
TRADES = Counter("trade_execution_total", "Trades that were tried", ["type", "status"], registry=REGISTRY)
TRADE_SECONDS = BatchHistogram(
    "trade_execution_latency_seconds",
    "Time from a trade's reason (signal, fired rule, a person's wish) to its booking",
    ["type", "status"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
SIGNALS = Counter(
    "signal_processing_total",
    "Signals that ended: success (somebody bought), failed (somebody tried, nobody bought), skipped",
    ["status"],
    registry=REGISTRY,
)
SIGNAL_SECONDS = Histogram(
    "signal_processing_latency_seconds",
    "Time from a signal's arrival to the last agent's verdict",
    ["status"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
STOP_LOSS_TRIGGERS = Counter("stop_loss_trigger_total", "Stops that fired", registry=REGISTRY)
STALE_TRADE_TRIGGERS = Counter("stale_trade_trigger_total", "Stale closes that fired", registry=REGISTRY)
DCA_TRIGGERS = Counter(
    "dca_trigger_total", "DCA levels that fired, by level (1 is the first)", ["level"], registry=REGISTRY
)
DCA_SECONDS = BatchHistogram(
    "dca_execution_latency_seconds",
    "Time from a DCA's firing to its booking",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
STOP_LOSS_SECONDS = Histogram(
    "stop_loss_evaluation_latency_seconds",
    "Time one batch of prices took to pass over every open position of its tokens",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1),
    registry=REGISTRY,
)

_KNOWN_CODES = frozenset({*story_codes.CANCELLATIONS, *story_codes.FAILURES, *entry_rules.MESSAGES, "INTERNAL_ERROR"})
#: The contract's types of trades; every other exit is a sale of everything.
_TYPES = {"dca": "dca_buy", "take_profit": "take_profit"}
_ERROR_TYPES = frozenset({"stop_loss", "stale_trade", "take_profit", "dca"})
_MOST_LEVELS = 10


def signal_ended(*, executed: int, failed: int, seconds: float) -> None:
    """Count a signal whose pairs all have their verdict, `seconds` after it arrived."""
    status = "success" if executed else "failed" if failed else "skipped"
    SIGNALS.labels(status).inc()
    SIGNAL_SECONDS.labels(status).observe(seconds)


def signal_broke(code: str) -> None:
    """Count an attempt at a signal that came to nothing; the signal is due again."""
    ERRORS.labels("signals", _code(code)).inc()


def entries_booked(count: int, seconds: float) -> None:
    """Count buys booked together, `seconds` after what asked for them."""
    if count:
        TRADES.labels("purchase", "success").inc(count)
        TRADE_SECONDS.labels("purchase", "success").observe_many(seconds, count)


def entries_failed(codes: Iterable[str], seconds: float) -> None:
    """Count buys that were tried and failed for good, by the code each ended with."""
    for code in codes:
        TRADES.labels("purchase", "failed").inc()
        TRADE_SECONDS.labels("purchase", "failed").observe(seconds)
        ERRORS.labels("trading", _code(code)).inc()


def rule_fired(reason: str, dca_count: int) -> None:
    """Count a rule that fired and has its exit intent; `dca_count` DCAs the position had before."""
    if reason == STOP_LOSS:
        STOP_LOSS_TRIGGERS.inc()
    elif reason == STALE_TRADE:
        STALE_TRADE_TRIGGERS.inc()
    elif reason == DCA:
        DCA_TRIGGERS.labels(str(min(dca_count + 1, _MOST_LEVELS))).inc()


def exits_booked(reason: str, count: int, seconds: float) -> None:
    """Count exits booked together for the same reason, `seconds` after they were fired."""
    EXITS_BOOKED.labels(reason).inc(count)
    EXIT_SECONDS.labels(reason).observe_many(seconds, count)
    TRADES.labels(_type(reason), "success").inc(count)
    TRADE_SECONDS.labels(_type(reason), "success").observe_many(seconds, count)
    if reason == DCA:
        DCA_SECONDS.observe_many(seconds, count)


def exit_failed(reason: str, code: str) -> None:
    """Count an attempt that failed; the exit stays due."""
    EXIT_FAILURES.labels(reason, _code(code)).inc()
    TRADES.labels(_type(reason), "failed").inc()
    ERRORS.labels(reason if reason in _ERROR_TYPES else "trading", _code(code)).inc()


def exit_cancelled(reason: str, code: str) -> None:
    """Count an exit that ended without a trade."""
    EXITS_CANCELLED.labels(reason, _code(code)).inc()


def _type(reason: str) -> str:
    return _TYPES.get(reason, "sale")


def _code(code: str) -> str:
    return code if code in _KNOWN_CODES else "other"
