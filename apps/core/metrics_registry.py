"""The Prometheus registry of this product, and the names its lower apps share.

Own registry: no default process metrics. Labels are bounded (provider, operation, outcome, lane, source): never an
agent, a wallet, a token or a raw path. Import this before declaring a metric: with METRICS_DIR set it puts the figures
of all processes together (`metrics_files`). `metrics_page` renders it.
"""

from __future__ import annotations

from bisect import bisect_left

import prometheus_client
from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from apps.core import metrics_files

prometheus_client.disable_created_metrics()
if settings.METRICS_DIR is not None:
    metrics_files.share(settings.METRICS_DIR)

REGISTRY = CollectorRegistry(auto_describe=True)


class BatchHistogram(Histogram):
    """A histogram that takes many equal observations at the price of one: what is booked together took equally long."""

    def observe_many(self, amount: float, count: int) -> None:
        """Observe `amount` (seconds) `count` times."""
        if count > 0:
            self._raise_if_not_observable()
            self._sum.inc(amount * count)
            self._buckets[bisect_left(self._upper_bounds, amount)].inc(count)


PROVIDER_CALLS = Counter(
    "provider_calls_total",
    "Calls to outside providers, refusals of our own included",
    ["provider", "operation", "outcome"],
    registry=REGISTRY,
)
PROVIDER_LATENCY = Histogram(
    "provider_call_latency_seconds",
    "Time from sending a call to the end of its answer",
    ["provider", "operation", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
PROVIDER_BREAKER = Gauge(
    "provider_breaker_open",
    "1 while the circuit breaker of this operation is open or half open in some process",
    ["provider", "operation"],
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
PROVIDER_LANE_REFUSALS = Counter(
    "provider_budget_refusals_total",
    "Calls not made because the plan had no slot for their lane",
    ["provider", "lane"],
    registry=REGISTRY,
)
PRICE_UPDATE_LATENCY = Histogram(
    "price_update_latency_seconds",
    "Time one poll of a price source took",
    ["source"],
    buckets=(0.1, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
PRICE_UPDATES = Counter(
    "price_update_total", "Polls of a price source: success, partial or failed", ["source", "status"], registry=REGISTRY
)
SOL_USD_AGE = Gauge(
    "sol_usd_age_seconds",
    "Age of the newest SOL/USD price by its provider's time",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
SOL_USD_UPDATES = Counter("sol_usd_update_total", "SOL/USD prices taken, by source", ["source"], registry=REGISTRY)

REDIS_SECONDS = Histogram(
    "redis_operation_latency_seconds",
    "Time one command or pipeline took on the quick connection",
    ["operation"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1),
    registry=REGISTRY,
)
REDIS_OPERATIONS = Counter(
    "redis_operation_total",
    "Commands or pipelines on the quick connection: success or failed",
    ["operation", "status"],
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "queue_job_latency_seconds",
    "Time a Celery task ran",
    ["queue_name", "job_type", "status"],
    buckets=(0.1, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
JOBS = Counter("queue_job_total", "Celery tasks that ran", ["queue_name", "job_type", "status"], registry=REGISTRY)
API_REQUESTS = Counter(
    "api_requests_total", "HTTP requests by route template", ["method", "path", "status"], registry=REGISTRY
)
API_SECONDS = Histogram(
    "api_request_latency_seconds",
    "Time from a request to its answer, by route template",
    ["method", "path"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5),
    registry=REGISTRY,
)
ERRORS = Counter("errors_total", "Failures by the part of the desk they hit", ["type", "code"], registry=REGISTRY)
