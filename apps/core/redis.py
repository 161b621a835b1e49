"""What the house asks Redis: values with an end, windows that count, channels; with the process's memory behind it.

Built on `core.quick_redis` (50 ms a command, left alone after a failure). Redis holds only what can be rebuilt: while
it is away, values and counters live in the memory of the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url

from apps.core.quick_redis import RedisAway, quick_redis

_MEMORY_LIMIT = 20_000

T = TypeVar("T")


def attempt(command: Callable[[redis.Redis], T], otherwise: T, *, operation: str = "other") -> T:
    """Return what `command` returns for the process's client, or `otherwise` while Redis is away."""
    try:
        return quick_redis().ask(command, operation=operation)
    except RedisAway:
        return otherwise


def async_client() -> redis.asyncio.Redis:
    """Return a new client for the running event loop; the caller closes it and limits how long a read may wait."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=2, retry=AsyncRetry(NoBackoff(), 0), protocol=2
    )


def name(*parts: str) -> str:
    """Return a key or channel of this desk: name("feed") is "soldesk:3:feed" for a REDIS_URL that ends in /3.

    Redis does not keep the channels of its databases apart; the number in the name does.
    """
    return ":".join((_prefix(settings.REDIS_URL), *parts))


@cache
def _prefix(url: str) -> str:
    return f"soldesk:{parse_url(url).get('db') or 0}"


class _Memory:
    """Values and counters with an end, bounded in number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, tuple[float, Any]] = {}

    def put(self, key: str, value: Any, seconds: float) -> None:
        with self._lock:
            self._make_room()
            self._values[key] = (time.monotonic() + seconds, value)

    def get(self, key: str) -> Any:
        with self._lock:
            until, value = self._values.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def add(self, key: str, seconds: float) -> int:
        with self._lock:
            until, value = self._values.get(key, (0.0, 0))
            if time.monotonic() >= until:
                self._make_room()
                until, value = time.monotonic() + seconds, 0
            self._values[key] = (until, value + 1)
            return int(value) + 1

    def _make_room(self) -> None:
        if len(self._values) < _MEMORY_LIMIT:
            return
        now = time.monotonic()
        self._values = {key: kept for key, kept in self._values.items() if kept[0] > now}
        while len(self._values) >= _MEMORY_LIMIT:
            self._values.pop(next(iter(self._values)))


_memory = _Memory()


def put(key: str, value: str | bytes, *, seconds: float) -> None:
    """Keep `value` for `seconds`, in Redis and in this process."""
    put_many({key: value}, seconds=seconds)


def put_many(values: Mapping[str, str | bytes], *, seconds: float) -> None:
    """Keep every value for `seconds`, in one round trip."""
    encoded = {key: value.encode() if isinstance(value, str) else value for key, value in values.items()}
    for key, value in encoded.items():
        _memory.put(key, value, seconds)

    def write(client: redis.Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        for key, value in encoded.items():
            pipeline.set(key, value, px=_milliseconds(seconds))
        pipeline.execute()

    if encoded:
        attempt(write, None, operation="set")


def get(key: str) -> bytes | None:
    """Return what was kept under `key`; while Redis is away, what this process kept itself."""
    return get_many([key])[0]


def get_many(keys: Sequence[str]) -> list[bytes | None]:
    """Return what was kept under each key, in the order asked, in one round trip."""
    if not keys:
        return []
    found: Any = attempt(lambda client: client.mget(keys), None, operation="get")
    return [_memory.get(key) for key in keys] if found is None else found


def count(key: str, *, seconds: float) -> int:
    """Count one event under `key` and return how many its window has seen; a window opens with its first event."""
    opened = ("SET", key, 0, "PX", _milliseconds(seconds), "NX")
    try:
        answers = quick_redis().tell((("MULTI",), opened, ("INCR", key), ("EXEC",)), operation="count")
    except RedisAway:
        return _memory.add(key, seconds)
    return int(answers[-1][-1])


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1000), 1)
