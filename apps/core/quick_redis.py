"""Redis for the hot path: a command may take 50 ms at most, and a Redis that failed is left alone for two seconds.

For what has a fallback in process memory (budgets, breakers, newest prices). The process's one connection pool, safe
for threads and forks; never for the record of anything.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import redis
import structlog
from django.conf import settings
from prometheus_client import Counter, Histogram
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from apps.core.metrics_registry import REDIS_OPERATIONS, REDIS_SECONDS

log = structlog.get_logger(__name__)

LIMIT_SECONDS = 0.05
LEFT_ALONE_SECONDS = 2.0

Result = TypeVar("Result")


class RedisAway(Exception):
    """Redis is not configured, does not answer, or did not a moment ago: use the memory of the process."""


class QuickRedis:
    """One Redis by URL, asked quickly or not at all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=LIMIT_SECONDS,
            socket_connect_timeout=LIMIT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """True while Redis is left alone after a failure."""
        return time.monotonic() < self._away_until

    def script(self, source: str) -> Script:
        """Return a Lua script to be called inside `ask`; nothing is sent yet."""
        return self._client.register_script(source)

    def ask(self, command: Callable[[redis.Redis], Result], *, operation: str = "other") -> Result:
        """Return what `command` returns for the connected client; `operation` names it in metrics: a fixed word.

        Raises:
            RedisAway: at once while Redis is left alone; after at most the limit when it fails now.
        """
        if self.away:
            raise RedisAway
        began = time.perf_counter()
        try:
            answer = command(self._client)
        except redis.RedisError as error:
            REDIS_OPERATIONS.labels(operation, "failed").inc()
            self._away_until = time.monotonic() + LEFT_ALONE_SECONDS
            log.warning("redis_away", error=type(error).__name__, left_alone_seconds=LEFT_ALONE_SECONDS)
            raise RedisAway from error
        seconds, succeeded = _series(operation)
        seconds.observe(time.perf_counter() - began)
        succeeded.inc()
        return answer


@cache
def _series(operation: str) -> tuple[Histogram, Counter]:
    """Return what a successful operation is told to, at hand: looking labels up takes longer than counting."""
    return REDIS_SECONDS.labels(operation), REDIS_OPERATIONS.labels(operation, "success")


_lock = threading.Lock()
_quick: QuickRedis | None = None


def quick_redis() -> QuickRedis:
    """Return the process's quick connection to the configured Redis.

    Raises:
        RedisAway: when no Redis is configured.
    """
    global _quick
    url = getattr(settings, "REDIS_URL", "")
    if not url:
        raise RedisAway
    if _quick is None or _quick.url != url:
        with _lock:
            if _quick is None or _quick.url != url:
                _quick = QuickRedis(url)
    return _quick


def _forget() -> None:
    global _quick, _lock
    _quick = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
