"""What health asks the database in one look: does it answer, how fast, how far is its schema, how old are things."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from apps.core import outbox
from apps.core.looks import Look
from apps.prices import selectors as prices
from apps.prices.models import Tick

PATIENCE_SECONDS = 1.0
_STATEMENT_MS = 900
_SCHEMA_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a database that answers tells; times of day are UTC, None where there is nothing yet."""

    latency_ms: float
    pending_migrations: tuple[str, ...]
    price_at: datetime | None = None
    sol_usd_at: datetime | None = None
    outbox_seconds: float = 0.0


class _Schema:
    """Which migrations of this code the database lacks; once none, asked again now and then only."""

    def __init__(self) -> None:
        self._complete_at: float | None = None

    def pending(self) -> tuple[str, ...]:
        now = time.monotonic()
        if self._complete_at is not None and now - self._complete_at < _SCHEMA_SECONDS:
            return ()
        missing = _known_migrations() - set(MigrationRecorder(connection).applied_migrations())
        self._complete_at = None if missing else now
        return tuple(sorted(f"{app}.{name}" for app, name in missing))


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    on_disk = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return frozenset(key for key, migration in on_disk.items() if not migration.replaces)


_schema = _Schema()


def _ask() -> Vitals:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(_STATEMENT_MS)])
        started = time.perf_counter()
        cursor.execute("SELECT 1")
        latency = time.perf_counter() - started
    missing = _schema.pending()
    if missing:  # the tables below may be among what is missing
        return Vitals(latency * 1000, missing)
    sol_usd = prices.sol_usd()
    return Vitals(
        latency_ms=latency * 1000,
        pending_migrations=(),
        price_at=Tick.objects.order_by("-id").values_list("received_at", flat=True).first(),
        sol_usd_at=None if sol_usd is None else sol_usd.at,
        outbox_seconds=outbox.oldest_unpublished_seconds(),
    )


#: `get().error` is empty while the database answers in time.
LOOK: Look[Vitals] = Look("health", _ask, patience_seconds=PATIENCE_SECONDS)
