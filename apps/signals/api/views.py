"""Doors of trading signals. Posting one is the hot path: one query knows the caller, one transaction takes it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller, credential
from apps.accounts.api.idempotency import idempotent
from apps.core.api import exports, limits, paging
from apps.core.api.errors import InvalidField
from apps.core.api.openapi import IDEMPOTENCY, PAGING, answers
from apps.core.errors import Invalid
from apps.signals import selectors, services
from apps.signals.api import shapes, signals_csv
from apps.signals.models import TradingSignal


@extend_schema(tags=["trading-signals"])
class Signals(APIView):
    key_scopes: ClassVar = {"GET": "signals", "POST": "signals:create"}

    @extend_schema(
        summary="My signals, newest first",
        operation_id="list_signals",
        parameters=[shapes.SignalQuery, *PAGING],
        responses=answers(shapes.SignalShape(many=True), "400 INVALID_START_DATE", "400 INVALID_LIMIT"),
    )
    def get(self, request: Request) -> Response:
        query = shapes.SignalQuery.read(request)
        rows = _filtered(selectors.list_signals(user=caller(request)), query)
        return paging.page(request, rows, shapes.SignalShape, newest_by="created_at")

    @extend_schema(
        summary="Post a signal: my agents that want it will trade it",
        operation_id="create_signal",
        parameters=[IDEMPOTENCY],
        request=shapes.SignalBody,
        responses=answers(
            shapes.SignalShape,
            "400 INVALID_MINT",
            "400 INVALID_SIGNAL_STRENGTH",
            "403 SCOPE_MISSING",
            "409 SIGNAL_DUPLICATE",
            "429 RATE_LIMITED",
            status=201,
        ),
    )
    def post(self, request: Request) -> Response:
        # Refused callers must not spend an idempotency key, so the limit stands outside of it.
        key = credential(request).api_key
        who = limits.client_address(request) if key is None else str(key.pk)
        limits.check("signals", who, per_minute=settings.SIGNALS_PER_MINUTE)
        return self._create(request)

    @idempotent(books_at_once=True)
    def _create(self, request: Request) -> Response:
        body = shapes.SignalBody.read(request)
        key = credential(request).api_key
        signal = services.create_signal(user=caller(request), api_key=key, **body)
        return Response(shapes.SignalShape.present(signal), status=201)


@extend_schema(tags=["trading-signals"])
class SignalExport(APIView):
    key_scopes: ClassVar = {"GET": "signals"}

    @extend_schema(
        summary="My signals as CSV, oldest first",
        operation_id="export_signals",
        parameters=[shapes.SignalExportQuery],
        responses=exports.csv_answers("400 INVALID_START_DATE"),
    )
    def get(self, request: Request) -> HttpResponseBase:
        query = shapes.SignalExportQuery.read(request)
        rows = _filtered(selectors.list_signals(user=caller(request)), query)
        return exports.answer(request, signals_csv.export(rows, query.get("timezone")))


@extend_schema(tags=["trading-signals"])
class SignalDetail(APIView):
    key_scopes: ClassVar = {"GET": "signals", "PUT": "signals", "DELETE": "signals"}

    @extend_schema(
        summary="One signal",
        operation_id="get_signal",
        responses=answers(shapes.SignalShape, "400 INVALID_ID", "404 SIGNAL_NOT_FOUND"),
    )
    def get(self, request: Request, signal_id: str) -> Response:
        return Response(shapes.SignalShape.present(_signal(request, signal_id)))

    @extend_schema(
        summary="Correct a signal's text; nothing is traded again",
        operation_id="update_signal",
        request=shapes.SignalChangesBody,
        responses=answers(shapes.SignalShape, "400 INVALID_MINT", "404 SIGNAL_NOT_FOUND"),
    )
    def put(self, request: Request, signal_id: str) -> Response:
        signal = _signal(request, signal_id)
        body = shapes.SignalChangesBody.read(request)
        corrected = services.update_signal(signal=signal, changes=body, actor=caller(request))
        return Response(shapes.SignalShape.present(corrected))

    @extend_schema(
        summary="Delete a signal; what was traded on it stays",
        operation_id="delete_signal",
        responses=answers(None, "400 INVALID_ID", "404 SIGNAL_NOT_FOUND", status=204),
    )
    def delete(self, request: Request, signal_id: str) -> Response:
        services.delete_signals(user=caller(request), actor=caller(request), signal_id=_signal(request, signal_id).pk)
        return Response(status=204)


CONFIRM = OpenApiParameter(
    "confirm",
    {"type": "string", "enum": ["true"]},
    required=True,
    description="Must be `true`: this deletes every signal of yours.",
)


@extend_schema(tags=["trading-signals"])
class AllSignals(APIView):
    key_scopes: ClassVar = {"DELETE": "signals"}

    @extend_schema(
        summary="Delete all my signals (`?confirm=true`)",
        operation_id="delete_all_signals",
        parameters=[CONFIRM],
        responses=answers(shapes.AllDeletedShape, "400 CONFIRMATION_REQUIRED"),
    )
    def delete(self, request: Request) -> Response:
        if request.query_params.get("confirm") != "true":
            raise Invalid("CONFIRMATION_REQUIRED", "Confirmation required", extra={"message": "Add ?confirm=true"})
        deleted = services.delete_signals(user=caller(request), actor=caller(request))
        return Response({"success": True, "message": f"{deleted} signals were deleted.", "deleted": deleted})


def _signal(request: Request, signal_id: str) -> TradingSignal:
    if not (signal_id.isascii() and signal_id.isdecimal() and len(signal_id) <= 18):
        raise InvalidField("id", "must be a whole number")
    return selectors.get_signal(user=caller(request), signal_id=int(signal_id))


def _filtered(rows: QuerySet[TradingSignal], query: dict[str, Any]) -> QuerySet[TradingSignal]:
    conditions: dict[str, Any] = {name: query[name] for name in ("token_address", "signal_type") if name in query}
    if "start_date" in query:
        conditions["created_at__gte"] = query["start_date"]
    if "end_date" in query:
        conditions["created_at__lte"] = query["end_date"]
    return rows.filter(**conditions)
