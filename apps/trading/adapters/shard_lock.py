"""One watch per token: advisory locks on a PostgreSQL connection of its own (CONCURRENCY 8).

Celery closes Django's connections after each task, and a lock goes with its session; this one belongs to the watch.
A watch holds a lock per slot of its shard (`domain/shards.py`), all of them or none. So a shard is watched once, and
when the number of shards changes, a new watch waits exactly until the old ones of its tokens have ended.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
import structlog

from apps.core import relay
from apps.trading.domain.shards import slots_of

log = structlog.get_logger(__name__)

#: First half of the two-number lock keys; the second is the slot.
_LOCK_CLASS = 0x50F7
#: Held while locks are being taken, so that two watches that want the same slots do not both get half of them.
_TAKING = -1
#: How often a watch says that it waits.
_SAY_EVERY_SECONDS = 60.0

_TAKE = "SELECT bool_and(pg_try_advisory_lock(%s, slot)) FROM unnest(%s::int[]) AS slot"


class ShardLock:
    """The locks of one shard out of `shards`. Not thread-safe: its watch holds a lock of its own."""

    def __init__(self, shard: int, shards: int) -> None:
        self._shard = shard
        self._shards = shards
        self._slots = list(slots_of(shard, shards))
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._say_at = 0.0

    def hold(self) -> bool:
        """Take the locks, or see that they are still ours; False while another has one, or PostgreSQL is away."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
            return self._take()
        except psycopg.Error as error:
            log.warning("shard_lock_lost", shard=self._shard, error=type(error).__name__)
            self.release()
            return False

    def release(self) -> None:
        """Give the locks up and let go of the connection."""
        if self._connection is not None:
            relay.unlock(self._connection)
            self._connection.close()
            self._connection = None

    def _take(self) -> bool:
        connection = relay.open_connection(f"soldesk-watch-{self._shard}")
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK_CLASS, _TAKING))
                row = connection.execute(_TAKE, (_LOCK_CLASS, self._slots)).fetchone()
                taken = row is not None and bool(row[0])
                if not taken:
                    connection.execute("SELECT pg_advisory_unlock_all()")
        except BaseException:
            connection.close()
            raise
        if not taken:
            connection.close()
            self._say_that_it_waits()
            return False
        self._connection = connection
        self._say_at = 0.0
        log.info("shard_lock_taken", shard=self._shard, shards=self._shards)
        return True

    def _say_that_it_waits(self) -> None:
        if time.monotonic() >= self._say_at:
            log.warning("shard_watched_elsewhere", shard=self._shard, shards=self._shards)
            self._say_at = time.monotonic() + _SAY_EVERY_SECONDS
