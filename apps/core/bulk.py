"""Set-based writes: many rows in one statement, inside the caller's transaction.

The books are written through here: a booking of 250 agents is a handful of statements, not thousands of inserts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from psycopg import sql

#: Up to here one INSERT is quicker than COPY, which takes three round trips.
_FEW_ROWS = 12


def insert_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert `rows`, few by one INSERT, many by COPY; constraints, triggers and column defaults apply to both.

    Raises whatever the database raises, as Django's database errors.
    """
    every = list(rows)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    if len(every) <= _FEW_ROWS:
        _insert(table, names, every)
    else:
        _copy(table, names, every)


def _insert(table: str, names: sql.Composable, rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    one = sql.SQL("({})").format(sql.SQL(", ").join(sql.Placeholder() * len(rows[0])))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES {}").format(
        sql.Identifier(table), names, sql.SQL(", ").join([one] * len(rows))
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [value for row in rows for value in row])


def _copy(table: str, names: sql.Composable, rows: Sequence[Sequence[Any]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
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
