"""What notify tells Prometheus: attempts by outcome and their time, deliveries that ended, what waits.

Labels are bounded: outcomes are those below, never an address or an endpoint.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from apps.core.metrics_registry import REGISTRY

ATTEMPTS = Counter(
    "webhook_attempts_total",
    "Attempts at webhook deliveries, by what came of them",
    ["outcome"],
    registry=REGISTRY,
)
ATTEMPT_SECONDS = Histogram(
    "webhook_attempt_latency_seconds",
    "Time one attempt took",
    ["outcome"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "webhook_deliveries_total", "Webhook deliveries that ended: delivered or failed", ["status"], registry=REGISTRY
)
DELIVERY_SECONDS = Histogram(
    "webhook_delivery_latency_seconds",
    "Time from what happened to its delivery",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 86400),
    registry=REGISTRY,
)
PENDING = Gauge(
    "webhook_deliveries_pending", "Deliveries not yet taken", multiprocess_mode="livemostrecent", registry=REGISTRY
)
PENDING_AGE = Gauge(
    "webhook_oldest_due_seconds",
    "How long the oldest due delivery has waited",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)


def attempted(outcome: str, seconds: float) -> None:
    """Count one attempt."""
    ATTEMPTS.labels(outcome).inc()
    ATTEMPT_SECONDS.labels(outcome).observe(seconds)


def delivered(seconds: float) -> None:
    """Count a delivery that was taken `seconds` after what it tells of."""
    DELIVERIES.labels("delivered").inc()
    DELIVERY_SECONDS.observe(seconds)


def given_up(number: int = 1) -> None:
    """Count deliveries that nobody will try again."""
    DELIVERIES.labels("failed").inc(number)


def show_waiting(pending: int, oldest_due_seconds: float) -> None:
    """Show what waits now."""
    PENDING.set(pending)
    PENDING_AGE.set(oldest_due_seconds)
