"""Pages of lists: bare arrays with X-Total-Count and Link headers, by offset or by cursor.

Equal sort keys are broken by id, so that no row appears twice or not at all. Two queries whatever the size.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.errors import InvalidField
from apps.core.api.fields import read_moment, says_something
from apps.core.api.shapes import Shape

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
COUNTED_TO = 10_000
_LARGEST_OFFSET = 2**31


def page(request: Request, rows: QuerySet[Any], shape: type[Shape], *, newest_by: str) -> Response:
    """Answer one page of `rows`, newest `newest_by` first.

    `limit` 1 to 1000 (more is 1000), `offset`, or `cursor` (empty for the first page, then what X-Next-Cursor said).

    Raises:
        InvalidField: limit, offset or cursor is not what it should be.
    """
    limit = min(_whole(request, "limit", DEFAULT_LIMIT, lowest=1), LARGEST_LIMIT)
    offset = min(_whole(request, "offset", 0, lowest=0), _LARGEST_OFFSET)
    cursor = request.query_params.get("cursor")
    if cursor is not None and not says_something(cursor):
        cursor = ""
    headers = _count_headers(rows)
    ordered = rows.order_by(f"-{newest_by}", "-pk")
    if cursor:
        offset = 0
        ordered = ordered.filter(_after(cursor, rows.model, newest_by))
    columns = shape.columns()
    if columns:
        wanted = dict.fromkeys([*columns, newest_by, "pk"])
        ordered = ordered.prefetch_related(None).values_list(*wanted, named=True)
    found = list(ordered[offset : offset + limit + 1])
    shown, more = found[:limit], len(found) > limit
    next_cursor = _cursor_of(shown[-1], newest_by) if more else None
    if next_cursor is not None:
        headers["X-Next-Cursor"] = next_cursor
    links = _links(request, limit, offset, next_cursor, by_cursor=cursor is not None)
    if links:
        headers["Link"] = ", ".join(links)
    present = shape.present_columns if columns else shape.present
    return Response([present(row) for row in shown], headers=headers)


def whole(rows: Sequence[Any], shape: type[Shape]) -> Response:
    """Answer a list that is never cut, with its count."""
    return Response(shape.present_many(rows), headers={"X-Total-Count": str(len(rows))})


def _count_headers(rows: QuerySet[Any]) -> dict[str, str]:
    """Count, exactly up to 10,000: beyond it a count costs more than it tells."""
    counted = rows.order_by().values("pk")[: COUNTED_TO + 1].count()
    if counted > COUNTED_TO:
        return {"X-Total-Count": str(COUNTED_TO), "X-Total-Capped": "true"}
    return {"X-Total-Count": str(counted)}


def _whole(request: Request, name: str, otherwise: int, *, lowest: int) -> int:
    text = request.query_params.get(name, "")
    if not says_something(text):
        return otherwise
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 18) or int(text) < lowest:
        raise InvalidField(name, f"must be a whole number of at least {lowest}")
    return int(text)


def _cursor_of(row: Any, newest_by: str) -> str:
    moment: datetime = getattr(row, newest_by)
    packed = json.dumps([moment.isoformat(), str(row.pk)], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _after(cursor: str, model: type[Model], newest_by: str) -> Q:
    """Return the condition for rows after the one the cursor names."""
    try:
        written, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        moment = read_moment(written)
        key = model._meta.pk.to_python(key)
    except (ValueError, TypeError, binascii.Error, ValidationError):
        raise InvalidField("cursor", "is not a cursor of this list") from None
    if moment is None:
        raise InvalidField("cursor", "is not a cursor of this list")
    at_same_time = Q(**{newest_by: moment}) & Q(pk__lt=key)
    return Q(**{f"{newest_by}__lte": moment}) & (Q(**{f"{newest_by}__lt": moment}) | at_same_time)


def _links(request: Request, limit: int, offset: int, next_cursor: str | None, *, by_cursor: bool) -> list[str]:
    links = []
    if next_cursor is not None:
        following = {"cursor": next_cursor} if by_cursor else {"offset": offset + limit}
        links.append(_link(request, {"limit": limit, **following}, "next"))
    if not by_cursor and offset > 0:
        links.append(_link(request, {"limit": limit, "offset": max(0, offset - limit)}, "prev"))
    return links


def _link(request: Request, changes: Mapping[str, Any], relation: str) -> str:
    query = request.query_params.copy()
    for name in ("limit", "offset", "cursor"):
        query.pop(name, None)
    for name, value in changes.items():
        query[name] = str(value)
    return f'<{request.build_absolute_uri(request.path)}?{query.urlencode()}>; rel="{relation}"'
