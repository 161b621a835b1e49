"""Whether the desk can work: database, Redis, workers, Beat, prices, outbox. Plain functions for any HTTP layer.

Only the database decides whether the desk is ready: sign-in, trading and recovery need nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import redis as redis_client
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from apps.core import heartbeats, outbox, redis
from apps.core.api.wire import timestamp_text
from apps.core.heartbeats import Sign
from apps.prices import selectors as prices
from apps.prices.models import Tick

log = structlog.get_logger(__name__)

_started = time.monotonic()
Answer = tuple[int, dict[str, Any]]


def report() -> Answer:
    """Return the HTTP status and the whole health report; 503 only while the database is down."""
    database = _checked(_ping_database)
    store = _checked(_ping_redis)
    heard = heartbeats.signs()
    queue = _queue(heard)
    services = {"database": database, "redis": store, "queue": queue}
    up = database["status"] == "healthy"
    status = "unhealthy" if not up else "healthy" if store["status"] == queue["status"] == "healthy" else "degraded"
    body = {
        "status": status,
        "timestamp": _now(),
        "uptime": int(time.monotonic() - _started),
        "services": services,
        "ages": _ages(heard) if up else None,
        "prices": _polls(),
    }
    return (200 if up else 503), body


def ready() -> Answer:
    """Return 200 when requests can be served, 503 while the database is down."""
    if _checked(_ping_database)["status"] != "healthy":
        return 503, {"ready": False, "message": "The database does not answer.", "timestamp": _now()}
    if _checked(_ping_redis)["status"] != "healthy":
        message = "Redis does not answer: trading goes on, wake-ups and screens are slower."
        return 200, {"ready": True, "degraded": True, "message": message, "timestamp": _now()}
    return 200, {"ready": True, "timestamp": _now()}


def live() -> Answer:
    """Return 200: this process runs."""
    return 200, {"alive": True, "timestamp": _now(), "uptime": int(time.monotonic() - _started)}


def needed_workers() -> list[str]:
    """Return the workers a desk needs, by the name of their heartbeat: one for prices per shard."""
    shards = [f"prices-{shard}" for shard in range(settings.PRICE_SHARDS)]
    return [heartbeats.WORKER + name for name in ("critical", "trading", *shards, "default")]


def _queue(heard: Iterable[Sign]) -> dict[str, Any]:
    """Return the workers by their newest heartbeat; one that fell silent or was never heard is named too."""
    newest: dict[str, float | None] = dict.fromkeys(needed_workers())
    for sign in heard:
        if sign.name.startswith(heartbeats.WORKER):
            known = newest.get(sign.name)
            newest[sign.name] = sign.age_seconds if known is None else min(sign.age_seconds, known)
    workers = [
        {
            "name": name,
            "heartbeatAgeSeconds": None if age is None else round(age, 1),
            "alive": age is not None and age < heartbeats.GONE_SECONDS,
        }
        for name, age in newest.items()
    ]
    alive = sum(worker["alive"] is True for worker in workers)
    status = "healthy" if alive and alive == len(workers) else "degraded" if alive else "unhealthy"
    return {"status": status, "workerCount": alive, "workers": workers}


def _checked(ping: Callable[[], bool]) -> dict[str, Any]:
    started = time.perf_counter()
    if not ping():
        return {"status": "unhealthy"}
    return {"status": "healthy", "latency": round((time.perf_counter() - started) * 1000, 2)}


def _ping_database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        log.warning("health_database_down", error=type(error).__name__)
        connection.close()
        return False
    return True


def _ping_redis() -> bool:
    def ping(client: redis_client.Redis) -> bool:
        return bool(client.ping())

    return redis.attempt(ping, False)


def _ages(heard: Iterable[Sign]) -> dict[str, float | None]:
    """Return the ages in seconds: newest price, SOL/USD, oldest unsent message, Beat's last sign of life."""
    tick = Tick.objects.order_by("-id").values_list("received_at", flat=True).first()
    sol_usd = prices.sol_usd()
    now = datetime.now(UTC)
    beat = min((sign.age_seconds for sign in heard if sign.name == heartbeats.BEAT), default=None)
    return {
        "priceSeconds": None if tick is None else round((now - tick).total_seconds(), 1),
        "solUsdSeconds": None if sol_usd is None else round((now - sol_usd.at).total_seconds(), 1),
        "outboxSeconds": round(outbox.oldest_unpublished_seconds(), 1),
        "beatSeconds": None if beat is None else round(beat, 1),
    }


def _polls() -> list[dict[str, Any]]:
    """Return the newest poll of each shard: how often it polls, how long ago it did, how old its prices are."""
    now = datetime.now(UTC)
    return [
        {
            "shard": poll.shard,
            "tokens": poll.tokens,
            "trusted": poll.trusted,
            "doubted": poll.doubted,
            "missing": poll.missing,
            "source": poll.source,
            "intervalSeconds": round(poll.interval_seconds, 2),
            "pollSeconds": round(poll.age_seconds(now), 1),
            "tookSeconds": poll.took_seconds,
            "oldestPriceSeconds": _rounded(poll.oldest_seconds(now)),
            "medianPriceSeconds": _rounded(poll.median_seconds(now)),
        }
        for poll in prices.latest_polls()
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _now() -> str:
    return timestamp_text(datetime.now(UTC))
