"""The Prometheus registry of this product, and the names its lower apps share.

Own registry: no default process metrics. Labels are bounded (provider, operation, outcome, lane, source): never an
agent, a wallet, a token or a raw path. `/metrics` renders this registry.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry(auto_describe=True)

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
    "1 while the circuit breaker of this operation is open or half open",
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
    multiprocess_mode="livemin",
    registry=REGISTRY,
)
SOL_USD_UPDATES = Counter("sol_usd_update_total", "SOL/USD prices taken, by source", ["source"], registry=REGISTRY)
