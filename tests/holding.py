"""Locks held by another session, so that whoever needs them waits, and sessions that end in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def held(statement: str) -> Iterator[None]:
    """Hold what the statement locks, from a session of its own, until the block ends."""
    taken, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            taken.set()
            let_go.wait(120)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    try:
        yield
    finally:
        let_go.set()
        holder.join()


def waiting_session(query: str) -> int:
    """Return the session that waits for a lock with a statement that begins so, once there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND starts_with(query, %s)", [query]
            )
            found = cursor.fetchone()
        if found is not None:
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError(f"nobody waits with {query}")


def terminate(pid: int) -> None:
    """End a session, from another."""

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.close()

    ending = threading.Thread(target=end)
    ending.start()
    ending.join()
