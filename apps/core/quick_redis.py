"""Redis for the hot path: a command may take 50 ms at most, and a Redis that failed is left alone for two seconds.

For what has a fallback in process memory (budgets, breakers, newest prices). The process's one connection pool, safe
for threads and forks; never for the record of anything.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

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
#: A command's name and its arguments.
Command = tuple[str | bytes | int, ...]


class RedisAway(Exception):
    """Redis is not configured, does not answer, or did not a moment ago: use the memory of the process."""


class QuickRedis:
    """One Redis by URL, asked quickly or not at all."""

    def __init__(
        self,
        url: str,
        *,
        limit_seconds: float | None = None,
        connect_seconds: float | None = None,
        left_alone_seconds: float = LEFT_ALONE_SECONDS,
    ) -> None:
        self.url = url
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=LIMIT_SECONDS if limit_seconds is None else limit_seconds,
            socket_connect_timeout=LIMIT_SECONDS if connect_seconds is None else connect_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._left_alone_seconds = left_alone_seconds
        self._away_until = 0.0
        self._threads = threading.local()

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
        return self._tried(lambda: command(self._client), operation)

    def tell(self, commands: Sequence[Command], *, operation: str) -> list[Any]:
        """Return the plain answers to commands sent in one go, on a connection of the calling thread's own.

        For what every request does: a third of the time that `ask` takes. Commands may run twice where a connection
        broke. Raises:
            RedisAway: as `ask`.
        """
        return self._tried(lambda: self._exchange(commands), operation)

    def _tried(self, command: Callable[[], Result], operation: str) -> Result:
        if self.away:
            raise RedisAway
        began = time.perf_counter()
        try:
            answer = command()
        except redis.RedisError as error:
            REDIS_OPERATIONS.labels(operation, "failed").inc()
            self._away_until = time.monotonic() + self._left_alone_seconds
            log.warning("redis_away", error=type(error).__name__, left_alone_seconds=self._left_alone_seconds)
            raise RedisAway from error
        seconds, succeeded = _series(operation)
        seconds.observe(time.perf_counter() - began)
        succeeded.inc()
        return answer

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            # Not by `make_connection`: the pool counts what it has made, and never learns that a thread has ended.
            pool = self._client.connection_pool
            connection = self._threads.connection = pool.connection_class(**pool.connection_kwargs)
        was_open = connection.is_connected
        try:
            return _send_and_read(connection, commands)
        except redis.ConnectionError:
            if not was_open:
                raise
            return _send_and_read(connection, commands)  # Redis may have closed it since it was last used


def _send_and_read(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Send and read on one of redis-py's connections, which opens itself; it is closed again when anything fails."""
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [connection.read_response() for _ in commands]
    except BaseException:
        connection.disconnect()
        raise


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
