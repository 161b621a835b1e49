"""One watch per shard: an advisory lock on a PostgreSQL connection of its own (CONCURRENCY 8).

Celery closes Django's connections after each task, and a lock goes with its session; this one belongs to the watch.
"""

from __future__ import annotations

from typing import Any

import psycopg
import structlog

from apps.core import relay

log = structlog.get_logger(__name__)

#: First half of the two-number lock key; the second is the shard.
_LOCK_CLASS = 0x50F7


class ShardLock:
    """The lock of one shard. Not thread-safe: its watch holds a lock of its own."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def hold(self) -> bool:
        """Take the lock, or see that it is still ours; False while another process has it or PostgreSQL is away."""
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
        """Give the lock up and let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take(self) -> bool:
        connection = relay.open_connection(f"soldesk-watch-{self._shard}")
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK_CLASS, self._shard)).fetchone()
        if row is None or not row[0]:
            connection.close()
            return False
        self._connection = connection
        log.info("shard_lock_taken", shard=self._shard)
        return True
