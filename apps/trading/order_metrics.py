"""What the orders process tells Prometheus: how many orders are where, how long steps take, what is not resolved."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from apps.core.metrics_registry import REGISTRY

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30, 60, 120)

ORDERS = Gauge(
    "orders_in_flight",
    "Live orders this process drives, by status",
    ["status"],
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
UNRESOLVED_AGE = Gauge(
    "orders_unresolved_age_seconds",
    "Age of the oldest live order of which nobody knows whether it landed; 0 without one",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
STEP_SECONDS = Histogram(
    "order_step_seconds",
    "Time a live order took for a step: gate, build, sign, commit, send, land, finalize",
    ["step"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
ENDED = Counter("orders_ended_total", "Live orders that ended, by side and how", ["side", "status"], registry=REGISTRY)
POSTPONED = Counter("orders_postponed_total", "Steps of live orders that have to be tried again", registry=REGISTRY)
LEASES_LOST = Counter(
    "order_leases_lost_total", "Live orders given up because another process may have them", registry=REGISTRY
)
COMMITS = Counter("order_commits_total", "Commits that steps of live orders were written in", registry=REGISTRY)
