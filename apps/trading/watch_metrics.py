"""What the watch tells Prometheus of its book and its ticks. Labels are shards and kinds: few, and known beforehand."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from apps.core.metrics_registry import REGISTRY

POSITIONS = Gauge(
    "watch_positions",
    "Open positions in a shard's book",
    ["shard"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
BOOK_BYTES = Gauge(
    "watch_book_bytes",
    "Memory of a shard's book, its id index not counted",
    ["shard"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
UNSAVED = Gauge(
    "watch_unsaved_positions",
    "Positions whose peak, low or stop is in memory and in the ticks, not with the position yet",
    ["shard"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
WATERMARK_AGE = Gauge(
    "watch_watermark_age_transactions",
    "How many transactions the watermark of changes lies behind: grows while somebody's transaction stays open",
    ["shard"],
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
DIFFERENCES = Counter(
    "watch_book_differences_total",
    "Positions whose book differed from the database, put right when found; anything but 0 is a defect",
    ["kind"],
    registry=REGISTRY,
)
FIRED = Counter("watch_fired_total", "Rules that fired", ["reason"], registry=REGISTRY)
JUDGE_SECONDS = Histogram(
    "watch_judge_seconds",
    "Time from a batch of prices to what it fired being stored and told to the sellers",
    ["shard"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1),
    registry=REGISTRY,
)
TICK_SECONDS = Histogram(
    "watch_tick_seconds",
    "Time of a whole tick, fetching and writing back included",
    ["shard"],
    buckets=(0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 5),
    registry=REGISTRY,
)
