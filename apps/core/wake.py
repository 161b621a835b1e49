"""Wake-ups: tell a worker that a row is due, by task name, without importing tasks.

Celery is never the record: a lost wake-up costs at most the second until the sweep (`core.sweep`) finds the row. So a
wake-up is limited to 100 ms, is not retried, expires, and never raises.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction

from apps.core import task_messages
from apps.core.logs import REQUEST_ID
from apps.core.quick_redis import Command, QuickRedis, RedisAway

EXPIRES_SECONDS = 30
LEFT_ALONE_SECONDS = 1.0
_CONNECT_SECONDS, _COMMAND_SECONDS = 0.05, 0.08

Wake = Callable[[], Command]


class _Waker:
    """What sends wake-ups: to one Redis, limited in time, on the calling thread's own connection."""

    def __init__(self) -> None:
        self._redis: QuickRedis | None = None
        self._gathered = threading.local()

    def send(self, *wakes: Wake) -> bool:
        """Send wake-ups in one round trip; False when Redis did not take them, and at once while it is left alone."""
        try:
            self._broker().tell([wake() for wake in wakes], operation="wake")
        except RedisAway:
            return False
        return True

    def send_or_gather(self, wake: Wake) -> None:
        """Send a wake-up, or leave it to the end of the thread's `together`."""
        gathered: list[Wake] | None = getattr(self._gathered, "wakes", None)
        if gathered is None:
            self.send(wake)
        else:
            gathered.append(wake)

    @contextmanager
    def together(self) -> Iterator[None]:
        if getattr(self._gathered, "wakes", None) is not None:
            yield
            return
        wakes: list[Wake] = []
        self._gathered.wakes = wakes
        try:
            yield
        finally:
            self._gathered.wakes = None
            if wakes:
                self.send(*wakes)

    def _broker(self) -> QuickRedis:
        url = settings.CELERY_BROKER_URL
        if self._redis is None or self._redis.url != url:
            self._redis = QuickRedis(
                url,
                limit_seconds=_COMMAND_SECONDS,
                connect_seconds=_CONNECT_SECONDS,
                left_alone_seconds=LEFT_ALONE_SECONDS,
            )
        return self._redis


_waker = _Waker()


def _forget_connections() -> None:
    """A forked child must not speak on its parent's connections."""
    global _waker
    _waker = _Waker()


os.register_at_fork(after_in_child=_forget_connections)


@cache
def queue_of(task_name: str) -> str:
    """Return the queue CELERY_TASK_ROUTES gives a task."""
    route = current_app.amqp.router.route({}, task_name)
    return str(route["queue"].name)


def wake(task_name: str, *args: int | str, queue: str | None = None) -> bool:
    """Publish a wake-up for `task_name`; False when Redis did not take it within 100 ms, and at once while it rests.

    Never call it inside a transaction whose rows the task reads: use `wake_on_commit`.
    """
    return _waker.send(_task(task_name, args, queue))


def wake_on_commit(task_name: str, *args: int | str, queue: str | None = None) -> None:
    """Wake once the present transaction has committed; at once outside of one."""
    _on_commit(_task(task_name, args, queue))


def call_on_commit(channel: str) -> None:
    """Wake who listens to a Redis channel (`core.ears`) once the present transaction has committed."""
    _on_commit(lambda: ("PUBLISH", channel, b""))


def together() -> AbstractContextManager[None]:
    """Send what is to be woken at once within this block in one round trip, at its end."""
    return _waker.together()


def _on_commit(wake: Wake) -> None:
    transaction.on_commit(lambda: _waker.send_or_gather(wake))


def _task(task_name: str, args: tuple[int | str, ...], queue: str | None) -> Wake:
    """Return what pushes a task's message; it is written when it is sent, as it expires."""
    to = queue or queue_of(task_name)
    caused_by = structlog.contextvars.get_contextvars().get(REQUEST_ID)
    headers = None if caused_by is None else {REQUEST_ID: caused_by}
    return lambda: (
        "LPUSH",
        to,
        task_messages.encode(task_name, args, queue=to, expires_seconds=EXPIRES_SECONDS, headers=headers),
    )
