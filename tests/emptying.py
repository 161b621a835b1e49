"""The database emptied after a transactional test: what its tables hold is deleted, whatever refers to it.

Django truncates every table, which makes hundreds of files anew (0.3 s), and then writes all permissions once more
(0.2 s): more than most such tests take. Here permissions and kinds of content stay, as nothing changes them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

KEPT = frozenset({"django_content_type", "auth_permission"})
#: The first version whose owner of a throwaway cluster may let ordinary roles set triggers and foreign keys aside.
_FIRST_VERSION = 150_000

_case: Any = TransactionTestCase
_truncate = _case._fixture_teardown


def install() -> None:
    """Let every transactional test of this process end this way."""
    _case._fixture_teardown = _fixture_teardown


def _fixture_teardown(case: Any) -> None:
    if connection.pg_version < _FIRST_VERSION:  # type: ignore[attr-defined]
        _truncate(case)
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_statements())


@cache
def _statements() -> sql.Composed:
    """Return what empties the tables that Django would; it waits, as truncating does, for whoever still writes."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [sql.Identifier(name) for name in sorted(set(names) - KEPT)]
    return sql.SQL("; ").join(
        [
            sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.SQL(", ").join(tables)),
            sql.SQL("SET LOCAL session_replication_role = replica"),
            *(sql.SQL("DELETE FROM {}").format(table) for table in tables),
        ]
    )
