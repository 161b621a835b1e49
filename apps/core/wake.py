"""Wake-ups: tell a worker that a row is due, by task name, without importing tasks.

Celery is never the record: a lost wake-up costs at most the second until the sweep (`core.sweep`) finds the row. So a
wake-up is limited to 100 ms, is not retried, expires, and never raises.
"""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from typing import Any

import redis
import structlog
from celery import current_app
from celery.utils import uuid
from django.db import transaction
from kombu import Connection, Producer
from kombu.exceptions import KombuError

from apps.core.logs import REQUEST_ID

log = structlog.get_logger(__name__)

EXPIRES_SECONDS = 30
LEFT_ALONE_SECONDS = 1.0
_CONNECT_SECONDS = 0.05
_COMMAND_SECONDS = 0.08
_LOCK_SECONDS = 0.1


class _Publisher:
    """One broker connection per process. Faster than `send_task` (0.3 ms against 0.5) and limited in time.

    `send_task` waits for kombu to re-establish a connection, two seconds and more while Redis is down; this one opens
    its transport itself and gives up at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """True while the broker is left alone after a failure."""
        return time.monotonic() < self._away_until

    def publish(self, task_name: str, args: tuple[Any, ...], queue: str) -> bool:
        if self.away or not self._lock.acquire(timeout=_LOCK_SECONDS):
            return False
        try:
            if self.away:
                return False
            self._send(task_name, args, queue)
        except (KombuError, redis.RedisError, OSError) as error:
            self._producer = None
            self._away_until = time.monotonic() + LEFT_ALONE_SECONDS
            log.warning("wake_failed", task=task_name, error=type(error).__name__)
            return False
        else:
            return True
        finally:
            self._lock.release()

    def _send(self, task_name: str, args: tuple[Any, ...], queue: str) -> None:
        message = current_app.amqp.as_task_v2(uuid(), task_name, args=args, kwargs={}, expires=EXPIRES_SECONDS)
        caused_by = structlog.contextvars.get_contextvars().get(REQUEST_ID)
        headers = message.headers if caused_by is None else {**message.headers, REQUEST_ID: caused_by}
        if self._producer is None:
            self._producer = _connect()
        self._producer.publish(
            message.body,
            exchange="",
            routing_key=queue,
            serializer="json",
            headers=headers,
            retry=False,
            **message.properties,
        )


def _connect() -> Producer:
    connection = Connection(
        current_app.conf.broker_url,
        transport_options={"socket_timeout": _COMMAND_SECONDS, "socket_connect_timeout": _CONNECT_SECONDS},
    )
    transport = connection.transport
    channel = transport.create_channel(transport.establish_connection())
    client = channel.client
    channel._create_client = lambda **_options: client  # kombu makes a new one for every message
    return Producer(channel, auto_declare=False)


_publisher = _Publisher()


def _forget_connection() -> None:
    """A forked child must not speak on its parent's connection."""
    global _publisher
    _publisher = _Publisher()


os.register_at_fork(after_in_child=_forget_connection)


@cache
def queue_of(task_name: str) -> str:
    """Return the queue CELERY_TASK_ROUTES gives a task."""
    route = current_app.amqp.router.route({}, task_name)
    return str(route["queue"].name)


def wake(task_name: str, *args: Any, queue: str | None = None) -> bool:
    """Publish a wake-up for `task_name`; False when Redis did not take it within 100 ms, and at once while it rests.

    Never call it inside a transaction whose rows the task reads: use `wake_on_commit`.
    """
    return _publisher.publish(task_name, args, queue or queue_of(task_name))


def wake_on_commit(task_name: str, *args: Any, queue: str | None = None) -> None:
    """Wake once the present transaction has committed; at once outside of one."""
    transaction.on_commit(lambda: wake(task_name, *args, queue=queue))
