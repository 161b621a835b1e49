"""Set-based writes: many rows in one statement, inside the caller's transaction.

The books are written through here: a booking of 250 agents is a handful of statements, not thousands of inserts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from psycopg import sql


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert `rows` by COPY; constraints, triggers and column defaults apply as for any insert.

    Raises whatever the database raises, as Django's database errors.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def fetch_all(query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Run one query in the caller's transaction and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


def execute(query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Run one statement in the caller's transaction and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.rowcount
