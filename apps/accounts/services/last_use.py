"""When keys and admin sessions were last used: noted in memory, written once the answer has left.

At most once a minute a row, over all processes: who notes a use another process has just written writes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, models
from django.utils import timezone

from apps.accounts.models import AdminSession, ApiKey

EVERY_SECONDS = 60
_REMEMBERED = 10_000


class LastUse:
    """The last uses of the rows of one model, which has a `last_used_at`."""

    def __init__(self, model: type[models.Model]) -> None:
        self._statement = (
            f'UPDATE "{model._meta.db_table}" AS row SET last_used_at = use.at'
            " FROM unnest(%s::uuid[], %s::timestamptz[]) AS use (id, at)"
            " WHERE row.id = use.id"
            f" AND (row.last_used_at IS NULL OR row.last_used_at <= use.at - interval '{EVERY_SECONDS} s')"
        )
        self._noted: dict[UUID, float] = {}
        self._to_write: dict[UUID, datetime] = {}
        self._lock = threading.Lock()

    def note(self, key: UUID, *, newest: datetime | None) -> None:
        """Remember that row `key` is used now, unless the minute since its `newest` known use is not over."""
        now = time.monotonic()
        if now - self._noted.get(key, -EVERY_SECONDS) < EVERY_SECONDS:
            return
        at = timezone.now()
        with self._lock:
            if len(self._noted) >= _REMEMBERED:
                self._noted.clear()
            self._noted[key] = now
            if newest is None or at - newest >= timedelta(seconds=EVERY_SECONDS):
                self._to_write[key] = at

    def write(self) -> None:
        """Store what was noted, in one statement."""
        if not self._to_write:
            return
        with self._lock:
            uses, self._to_write = self._to_write, {}
        if uses:
            with connection.cursor() as cursor:
                cursor.execute(self._statement, [list(uses), list(uses.values())])


api_keys = LastUse(ApiKey)
admin_sessions = LastUse(AdminSession)


def write_all(**_signal: object) -> None:
    """Store every noted use. Runs when a request has been answered (Django's request_finished)."""
    both: Iterable[LastUse] = (api_keys, admin_sessions)
    for uses in both:
        uses.write()
