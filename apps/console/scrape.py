"""What a scrape is told beside the processes' own figures: rows that wait, workers and the signer as they are now.

Read at each scrape in one look with a time limit (`core.looks`). What the database or Redis does not tell in time is
left out, and `scrape_source_up` and `scrape_source_age_seconds` say so: an absent figure is not a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import connection
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from redis import Redis

from apps.console import health, signer_watch
from apps.core import heartbeats, metrics_files, redis
from apps.core.looks import Look

PATIENCE_SECONDS = 1.0
_STATEMENT_MS = 900
#: Rows with a status and a due time, by what takes them; each has an index over what is open.
_WAITING = """
SELECT 'signals', count(*), EXTRACT(epoch FROM clock_timestamp() - min(created_at))
    FROM trading_signal WHERE status IN ('due', 'leased')
UNION ALL
SELECT 'exits', count(*), EXTRACT(epoch FROM clock_timestamp() - min(created_at))
    FROM exit_intent WHERE status IN ('due', 'leased')
UNION ALL
SELECT 'outbox', count(*), EXTRACT(epoch FROM clock_timestamp() - min(created_at))
    FROM outbox WHERE published_at IS NULL
UNION ALL
SELECT 'webhooks', count(*), EXTRACT(epoch FROM clock_timestamp() - min(created_at))
    FROM webhook_delivery WHERE status = 'pending'
"""

Waiting = Sequence[tuple[str, int, float]]


def _ask() -> Waiting:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(_STATEMENT_MS)])
        cursor.execute(_WAITING)
        return [(name, count, float(age or 0)) for name, count, age in cursor.fetchall()]


LOOK: Look[Waiting] = Look("scrape", _ask, patience_seconds=PATIENCE_SECONDS)


def figures() -> list[Metric]:
    """Return what is read now; nothing that hangs is waited for longer than a second."""
    signer_watch.begin()
    return [*_rows(), *_broker(), *_processes(), *signer_watch.metrics()]


def _rows() -> Iterable[Metric]:
    glance = LOOK.get()
    up = GaugeMetricFamily("scrape_source_up", "1 if the source told its figures in time", labels=["source"])
    up.add_metric(["database"], 0.0 if glance.error else 1.0)
    up.add_metric(["redis"], 1.0 if redis.attempt(Redis.ping, False, operation="ping") else 0.0)
    yield up
    if glance.age_seconds is not None:
        age = GaugeMetricFamily(
            "scrape_source_age_seconds", "How long ago the source last told its figures", labels=["source"]
        )
        age.add_metric(["database"], glance.age_seconds)
        yield age
    if glance.error or glance.value is None:
        return
    depth = GaugeMetricFamily("queue_depth", "Rows that wait, or are in work", labels=["queue_name"])
    oldest = GaugeMetricFamily("queue_oldest_seconds", "Age of the oldest of them", labels=["queue_name"])
    for name, count, seconds in glance.value:
        depth.add_metric([name], count)
        oldest.add_metric([name], seconds)
    yield depth
    yield oldest


def _broker() -> Iterable[Metric]:
    """Wake-ups in the broker, by Celery queue: many mean that workers do not keep up; of due rows they say nothing."""
    queues = ["critical", "trading", "default", *(f"prices.{shard}" for shard in range(settings.PRICE_SHARDS))]

    def lengths(client: Redis) -> list[int]:
        pipeline = client.pipeline(transaction=False)
        for queue in queues:
            pipeline.llen(queue)
        return list(pipeline.execute())

    unknown: list[int] = []
    counts = redis.attempt(lengths, unknown, operation="depth")
    if counts:
        depth = GaugeMetricFamily("broker_queue_depth", "Wake-ups a worker has not taken yet", labels=["queue_name"])
        for queue, count in zip(queues, counts, strict=True):
            depth.add_metric([queue], count)
        yield depth


def _processes() -> Iterable[Metric]:
    heard = heartbeats.signs()
    if heard:
        alive = GaugeMetricFamily("worker_alive", "1 while this worker's heartbeat is heard", labels=["worker"])
        living = {sign.name for sign in heard if sign.age_seconds < heartbeats.GONE_SECONDS}
        for name in health.needed_workers():
            alive.add_metric([name], 1.0 if name in living else 0.0)
        yield alive
        beat = heartbeats.beat_age_seconds()
        if beat is not None:
            yield GaugeMetricFamily("beat_age_seconds", "How long ago Beat last looked at its schedule", value=beat)
    if settings.METRICS_DIR is not None:
        count = metrics_files.count_processes(settings.METRICS_DIR)
        yield GaugeMetricFamily("metrics_processes", "Processes whose figures are in this page", value=count)
