"""Times read from PostgreSQL are what was written, to the microsecond, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from psycopg.pq import Format

from apps.core.quick_times import UtcTimes

TIMESTAMPTZ = 1184


@pytest.mark.django_db
@pytest.mark.parametrize(
    "written",
    [
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_a_time_comes_back_as_it_was_written(written):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [written])
        (read,) = cursor.fetchone()
    assert (read, read.tzinfo) == (written, UTC)


@pytest.mark.django_db
def test_every_connection_reads_times_the_quick_way():
    connection.ensure_connection()
    with connection.cursor() as cursor:
        assert cursor.adapters.get_loader(TIMESTAMPTZ, Format.TEXT) is UtcTimes
