"""What the polls of held tokens' prices tell Prometheus. Labels are shards and a few fixed words, never a token."""

from __future__ import annotations

from prometheus_client import Gauge

from apps.core.metrics_registry import REGISTRY

AGE = Gauge(
    "price_age_seconds",
    "Age of the newest trusted prices of held tokens when the shard last polled: the oldest and the median one",
    ["shard", "statistic"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
TOKENS = Gauge(
    "price_poll_tokens",
    "Held tokens of the shard's last poll: trusted, doubted (a quote must confirm), missing (no price)",
    ["shard", "outcome"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
INTERVAL = Gauge(
    "price_poll_interval_seconds",
    "How often the plan lets the shard's tokens be polled",
    ["shard"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
POLLED_AT = Gauge(
    "price_poll_timestamp_seconds",
    "Unix time of the shard's last poll: ages grow from there while it does not poll",
    ["shard"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
