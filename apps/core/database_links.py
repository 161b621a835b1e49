"""Database connections that live long: one whose server went away is dropped before it is used, without asking it.

A closed connection shows at once on its socket, so no round trip is spent on a health check per request or task.
"""

from __future__ import annotations

import select
from typing import Any

from django.db import connections


def drop_dead(**_signal: Any) -> None:
    """Close this thread's connections whose server has hung up, and those that are unusable or past their age."""
    for connection in connections.all(initialized_only=True):
        inner = connection.connection
        if inner is None or connection.in_atomic_block:
            continue
        if inner.closed or _hung_up(inner.pgconn.socket):
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()


def _hung_up(descriptor: int) -> bool:
    """Tell whether an idle connection's socket has something to say: only the end of it does that unasked."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
