"""Whether the desk can work: database, Redis, workers, signer, Beat, prices. Plain functions for any HTTP layer.

Nothing here waits much longer than a second, whatever hangs; who asks while somebody else does shares the look. The
ASGI layer keeps answers for a moment (`config.asgi`), so that a flood of monitors costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import redis as redis_client
import structlog
from django.conf import settings

from apps.console import signer_watch, vitals
from apps.console.vitals import Vitals
from apps.core import heartbeats, redis
from apps.core.api.wire import timestamp_text
from apps.core.heartbeats import Sign
from apps.prices import selectors as prices

log = structlog.get_logger(__name__)

#: Without these nothing is bought, sold or watched; worker-default's work waits.
_TRADING = ("critical", "trading", "prices-")

_started = time.monotonic()
Answer = tuple[int, dict[str, Any]]


def report() -> Answer:
    """Return the HTTP status and the whole health report; 503 while the database is down or its schema is not ours."""
    signer_watch.begin()
    known = _vitals()
    store = _ping_redis()
    heard = heartbeats.signs()
    queue = _queue(heard)
    up = known is not None and not known.pending_migrations
    signer = _signer()
    healthy = all(service["status"] == "healthy" for service in (store, queue, *signer.values()))
    database = (
        {"status": "unhealthy"} if known is None else {"status": "healthy", "latency": round(known.latency_ms, 2)}
    )
    body = {
        "status": "unhealthy" if not up else "healthy" if healthy else "degraded",
        "timestamp": _now(),
        "uptime": int(time.monotonic() - _started),
        "services": {"database": database, "redis": store, "queue": queue, **signer},
        "migrations": None if known is None else {"applied": up, "pending": len(known.pending_migrations)},
        "ages": None if known is None or not up else _ages(known, heard),
        "prices": _polls(),
    }
    return (200 if up else 503), body


def ready() -> Answer:
    """Return 200 when people can sign in and agents can trade, 503 with the reason when not."""
    signer_watch.begin()
    known = _vitals()
    if known is None:
        return _not_ready("The database does not answer.")
    if known.pending_migrations:
        return _not_ready(f"{len(known.pending_migrations)} migrations are not applied.")
    if _ping_redis()["status"] != "healthy":
        return _degraded("Redis does not answer: trading goes on, wake-ups and screens are slower.")
    silent = [worker["name"] for worker in _queue(heartbeats.signs())["workers"] if not worker["alive"]]
    if _redis_memory.is_fresh_again():
        return _degraded("Redis has just come back: workers are about to be heard.")
    missing = [name for name in silent if name.removeprefix(heartbeats.WORKER).startswith(_TRADING)]
    if missing:
        return _not_ready(f"Trading cannot work without {', '.join(missing)}.")
    if silent:
        return _degraded(f"Trading goes on, but {', '.join(silent)} does not run.")
    if any(service["status"] != "healthy" for service in _signer().values()):
        return _degraded("Simulated trading goes on, but the signer does not answer: nothing is bought or sold live.")
    return 200, {"ready": True, "timestamp": _now()}


def live() -> Answer:
    """Return 200: this process runs."""
    return 200, {"alive": True, "timestamp": _now(), "uptime": int(time.monotonic() - _started)}


def needed_workers() -> list[str]:
    """Return the workers a desk needs, by the name of their heartbeat: one for prices per shard."""
    shards = [f"prices-{shard}" for shard in range(settings.PRICE_SHARDS)]
    return [heartbeats.WORKER + name for name in ("critical", "trading", *shards, "default")]


def _vitals() -> Vitals | None:
    """Return what the database tells; None when it does not answer in time."""
    glance = vitals.LOOK.get()
    if glance.error:
        log.warning("health_database_down", error=glance.error)
        return None
    return glance.value


def _not_ready(message: str) -> Answer:
    return 503, {"ready": False, "message": message, "timestamp": _now()}


def _degraded(message: str) -> Answer:
    return 200, {"ready": True, "degraded": True, "message": message, "timestamp": _now()}


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


def _signer() -> dict[str, dict[str, Any]]:
    """Return how the signer is, by its name; nothing on a desk that has none."""
    seen = signer_watch.glance()
    return {} if seen is None else {"signer": {"status": "unhealthy" if seen.error else "healthy"}}


class _RedisMemory:
    """When Redis was last away: what it says of workers counts again once they had the time to say it."""

    def __init__(self) -> None:
        self._away_at: float | None = None

    def note(self, *, away: bool) -> None:
        if away:
            self._away_at = time.monotonic()

    def is_fresh_again(self) -> bool:
        return self._away_at is not None and time.monotonic() - self._away_at < 2 * heartbeats.EVERY_SECONDS


_redis_memory = _RedisMemory()


def _ping_redis() -> dict[str, Any]:
    def ping(client: redis_client.Redis) -> bool:
        return bool(client.ping())

    started = time.perf_counter()
    up = redis.attempt(ping, False, operation="ping")
    _redis_memory.note(away=not up)
    if not up:
        return {"status": "unhealthy"}
    return _healthy((time.perf_counter() - started) * 1000)


def _healthy(latency_ms: float) -> dict[str, Any]:
    return {"status": "healthy", "latency": round(latency_ms, 2)}


def _ages(known: Vitals, heard: Iterable[Sign]) -> dict[str, float | None]:
    """Return the ages in seconds: newest price, SOL/USD, oldest unsent message, Beat's last sign of life."""
    beat = min((sign.age_seconds for sign in heard if sign.name == heartbeats.BEAT), default=None)
    return {
        "priceSeconds": _since(known.price_at),
        "solUsdSeconds": _since(known.sol_usd_at),
        "outboxSeconds": round(known.outbox_seconds, 1),
        "beatSeconds": _rounded(beat),
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


def _since(at: datetime | None) -> float | None:
    return None if at is None else round((datetime.now(UTC) - at).total_seconds(), 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _now() -> str:
    return timestamp_text(datetime.now(UTC))
