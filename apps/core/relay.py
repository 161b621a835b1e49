"""The relay: carries committed outbox messages to Redis, in stream order, one relay at a time.

Runs as a sweep of worker-default (`core.tasks`). A PostgreSQL advisory lock on a connection of its own makes one of
them lead; `outbox.wake_on_commit` makes it look at once, the sweep's second is for what that missed. A message may be
published twice (a crash between publishing and marking); receivers drop what they have.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import orjson
import psycopg
import structlog
from django.db import connection as django_connection

from apps.core import feed, heartbeats, outbox
from apps.core.ears import Ears
from apps.core.quick_redis import RedisAway, quick_redis

log = structlog.get_logger(__name__)

_LOCK_KEY = 0x50F7_DE5C
_BATCH = 500
_MESSAGES_PER_PUBLISH = 100

_UNPUBLISHED = """
SELECT id, stream, sequence, kind, payload::text FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT %s
"""
_MARK = "UPDATE outbox SET published_at = now() WHERE id = ANY(%s)"


class Relay:
    """Publishes what is due whenever `run` is called, if this process leads."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._ears = Ears(outbox.RELAY_CHANNEL)
        self._next_beat = 0.0

    def run(self) -> int:
        """Publish every due message and return how many; 0 where another relay leads or Redis is away."""
        try:
            return self._drain()
        except psycopg.Error:
            self._close_connection()
            raise

    def pause(self, wanted: threading.Event, seconds: float) -> None:
        """Wait for a wake-up, but no longer than `seconds`."""
        self._ears.pause(wanted, seconds)

    def close(self) -> None:
        """Give up the lead and let go of every connection."""
        if self._connection is not None:
            unlock(self._connection)
        self._close_connection()
        self._ears.close()

    def _drain(self) -> int:
        published = 0
        leading = self._lead()
        while leading is not None:
            rows = leading.execute(_UNPUBLISHED, (_BATCH,)).fetchall()
            if not rows or not _publish(rows):
                return published
            leading.execute(_MARK, ([row[0] for row in rows],))
            published += len(rows)
        return published

    def _lead(self) -> psycopg.Connection[tuple[Any, ...]] | None:
        """Return the connection that holds the lock; it is asked again each time, so that a lost one is noticed."""
        if self._connection is None or self._connection.closed:
            self._connection = open_connection("soldesk-relay")
            (won,) = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() or (False,)
            if not won:
                self._close_connection()
                return None
            log.info("relay_leads")
        self._beat()
        return self._connection

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + heartbeats.EVERY_SECONDS
            heartbeats.write("relay")

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def unlock(connection: psycopg.Connection[Any]) -> None:
    """Give up a session's locks before it is closed: PostgreSQL takes a moment to end what its client has left."""
    if not connection.closed:
        with suppress(psycopg.Error):
            connection.execute("SELECT pg_advisory_unlock_all()")


def _publish(rows: list[tuple[Any, ...]]) -> bool:
    """Publish rows in order, some per Redis message; False when Redis is away."""
    frames = [
        orjson.dumps(
            [
                (stream, sequence, kind, orjson.Fragment(payload))
                for _, stream, sequence, kind, payload in rows[start : start + _MESSAGES_PER_PUBLISH]
            ]
        )
        for start in range(0, len(rows), _MESSAGES_PER_PUBLISH)
    ]

    try:
        quick_redis().ask(lambda client: feed.publish_frames(client, frames), operation="publish")
    except RedisAway:
        return False
    return True


def open_connection(application_name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection outside Django's handling, in autocommit, to the same database."""
    parameters = django_connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    return psycopg.connect(**{**parameters, "application_name": application_name}, autocommit=True)
