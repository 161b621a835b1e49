"""Exports: whole lists as CSV, oldest first, streamed so that neither memory nor the database waits for a slow reader.

Rows are read in batches by key (time, id), each batch in a short transaction of its own: while the client reads, no
transaction is open that would hold the watch's watermark. What a generator yields is handed on by the lane that serves
it, which blocks its thread until the client has read enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from apps.core import bulk, csv_text, database_errors, database_links
from apps.core.api.openapi import answers
from apps.core.errors import SoldeskError

log = structlog.get_logger(__name__)

BATCH = 1000
TIME_LIMIT_SECONDS = 300.0
_QUERY_CANCELLED = "57014"
_Key = tuple[datetime, Any]


class ExportTimeout(SoldeskError):
    """The export took longer than an export may."""

    status = 408

    def __init__(self) -> None:
        super().__init__(
            "EXPORT_TIMEOUT",
            "The export took too long",
            extra={"message": "Ask for less: narrow the times or other filters."},
        )


class DatabaseUnavailable(SoldeskError):
    """The database did not give the next rows."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_UNAVAILABLE",
            "The database does not answer: try again shortly.",
            extra={"message": "Nothing was exported."},
        )


@dataclass(frozen=True, slots=True)
class Export:
    """What to export: `rows` unordered, their time column `oldest_by`, the file's name before its date, its columns.

    `cells` gets a row's `columns` by name (and its time and id), not a model: most of the work would be making those.
    """

    name: str
    rows: QuerySet[Any]
    oldest_by: str
    columns: Sequence[str]
    header: Sequence[str]
    cells: Callable[[Any], Sequence[str]]


def csv_answers(*codes: str) -> dict[Any, Any]:
    """Return the responses of an export's route: the file, and errors by `"404 AGENT_NOT_FOUND"`."""
    described = answers(None, *codes, "408 EXPORT_TIMEOUT", "503 DATABASE_UNAVAILABLE")
    return {(200, "text/csv"): OpenApiTypes.STR, **{key: value for key, value in described.items() if key != 200}}


def answer(request: Request, export: Export) -> StreamingHttpResponse:
    """Answer with the file. The first batch is read before anything is sent, so that its failure has a status.

    Later on there is nothing left to tell a client but by ending early: the stream is cut without its proper end.

    Raises:
        ExportTimeout, DatabaseUnavailable: before anything was sent.
    """
    batches = _batches(export, time.monotonic() + TIME_LIMIT_SECONDS)
    first = next(batches)
    if request.method == "HEAD":
        batches.close()
        content: Iterator[bytes] = iter(())
    else:
        content = _stream(export.name, first, batches)
    filename = f"{export.name}-{timezone.now():%Y-%m-%d}.csv"
    return StreamingHttpResponse(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"},
    )


def _stream(name: str, first: bytes, batches: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield first
        yield from batches
    except SoldeskError as error:
        log.warning("export_cut", export=name, code=error.code)
        raise


def _batches(export: Export, deadline: float) -> Generator[bytes, None, None]:
    lines = [csv_text.row(export.header)]
    last: _Key | None = None
    while True:
        rows = _read(export, last, deadline)
        lines.extend(csv_text.row(export.cells(row)) for row in rows)
        full = len(rows) == BATCH
        if full:
            last = getattr(rows[-1], export.oldest_by), rows[-1].id
        chunk = "".join(lines).encode()
        del rows, lines  # a client may take its time over what is yielded
        yield chunk
        if not full:
            return
        lines = []


def _read(export: Export, after: _Key | None, deadline: float) -> list[Any]:
    """Return the next batch, in a transaction that is over when this returns and cannot outlast the deadline."""
    left_ms = int((deadline - time.monotonic()) * 1000)
    if left_ms <= 0:
        raise ExportTimeout
    wanted = dict.fromkeys([export.oldest_by, "id", *export.columns])
    rows = export.rows.prefetch_related(None).order_by(export.oldest_by, "id").values_list(*wanted, named=True)
    if after is not None:
        at, key = after
        same = Q(**{export.oldest_by: at}) & Q(id__gt=key)
        rows = rows.filter(Q(**{f"{export.oldest_by}__gte": at}) & (Q(**{f"{export.oldest_by}__gt": at}) | same))
    database_links.drop_dead()
    try:
        with transaction.atomic():
            bulk.execute("SELECT set_config('statement_timeout', %s, true)", [str(left_ms)])
            return list(rows[:BATCH])
    except (OperationalError, InterfaceError) as error:
        if database_errors.sqlstate(error) == _QUERY_CANCELLED:
            raise ExportTimeout from error
        raise DatabaseUnavailable from error
