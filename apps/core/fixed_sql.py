"""The few queries of hot paths: composed when a module is imported, prepared once per connection, rows without models.

Django's ORM writes such a query anew for each request, and PostgreSQL plans it anew; both cost more than running it.
Everything else uses the ORM or `core.bulk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from django.db import connection
from django.db.models import Model

Parameters = Sequence[Any] | Mapping[str, Any]
M = TypeVar("M", bound=Model)


def columns_of(model: type[Model], alias: str) -> str:
    """Return the model's columns as a list for SELECT, in the order `model_from` wants them."""
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


def model_from(model: type[M], values: Sequence[Any]) -> M:
    """Return the object that the ORM would make of these columns (`columns_of`)."""
    return model.from_db(connection.alias, [field.attname for field in model._meta.concrete_fields], values)


def fetch_all(query: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
    """Run a query with bound parameters in the caller's transaction and return its rows.

    Each connection prepares a query after a few uses (`prepare_threshold` in the database's settings). Raises Django's
    database errors, and shows in its query log, as any other query.
    """
    with _cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


def _cursor() -> Any:
    """Return a cursor of the present connection that binds parameters in the server, unlike Django's own."""
    connection.ensure_connection()
    return connection._prepare_cursor(psycopg.Cursor(connection.connection))  # type: ignore[attr-defined]
