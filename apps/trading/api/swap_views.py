"""Doors of closed trades ("historical swaps"): lists, export, and what a person enters, corrects and takes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent
from apps.agents import selectors as agents
from apps.core.api import exports, paging
from apps.core.api.openapi import IDEMPOTENCY, PAGING, answers
from apps.core.api.shapes import path_uuid
from apps.signals import selectors as signals
from apps.trading.api import swap_shapes as shapes
from apps.trading.api import swaps_csv
from apps.trading.models import ClosedTrade
from apps.trading.selectors import closed_trades
from apps.trading.services import hand_trades
from apps.trading.services.hand_trades import HandTrade
from apps.wallets.api.lookups import named_wallet

#: What the wire calls otherwise than the books.
_NAMES = {
    "token_address": "mint",
    "token_symbol": "symbol",
    "profit_loss_usd": "profit_usd",
    "profit_loss_sol": "profit_sol",
}
_PLACE = ("agent_id", "wallet_address")

#: Query parameter to the condition it sets.
_CONDITIONS = {
    "token_address": "mint",
    "token_symbol": "symbol",
    "start_purchase_time": "purchase_time__gte",
    "end_purchase_time": "purchase_time__lte",
    "start_sale_time": "sale_time__gte",
    "end_sale_time": "sale_time__lte",
    "signal_id": "signal_id",
    "purchase_transaction_id": "purchase_transaction_id",
    "sale_transaction_id": "sale_transaction_id",
    "min_profit_loss_usd": "profit_usd__gte",
    "max_profit_loss_usd": "profit_usd__lte",
}


@extend_schema(tags=["agent-historical-swaps"])
class Swaps(APIView):
    key_scopes: ClassVar = {"GET": "history"}

    @extend_schema(
        summary="Closed trades of an agent, newest first",
        operation_id="list_swaps",
        parameters=[shapes.SwapQuery, *PAGING],
        responses=answers(
            shapes.SwapShape(many=True), "400 INVALID_AGENT_ID", "403 AGENT_NOT_YOURS", "404 AGENT_NOT_FOUND"
        ),
    )
    def get(self, request: Request) -> Response:
        rows = _found(request, shapes.SwapQuery.read(request))
        return paging.page(request, rows, shapes.SwapShape, newest_by="sale_time")

    @extend_schema(
        summary="Enter a closed trade by hand",
        operation_id="create_swap",
        description="A record that counts in performance like the engine's own; no balance moves with it.",
        parameters=[IDEMPOTENCY],
        request=shapes.NewSwapBody,
        responses=answers(
            shapes.SwapShape,
            "400 INVALID_SALE_TIME",
            "400 TRANSACTION_OF_ANOTHER_AGENT",
            "400 FIGURE_TOO_LARGE",
            "400 WALLET_NOT_FOUND",
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
            "404 SIGNAL_NOT_FOUND",
            "404 TRANSACTION_NOT_FOUND",
            "409 WALLET_RELEASED",
            status=201,
        ),
    )
    @idempotent(books_at_once=True)
    def post(self, request: Request) -> Response:
        body = shapes.NewSwapBody.read(request)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=body["agent_id"])
        address = body.get("wallet_address")
        wallet = None if address is None else named_wallet(agent, address)
        values = _trade_values(request, body)
        made = hand_trades.enter(agent=agent, wallet=wallet, trade=HandTrade(**values), actor=caller(request))
        return Response(shapes.SwapShape.present(made), status=201)


@extend_schema(tags=["agent-historical-swaps"])
class SwapExport(APIView):
    key_scopes: ClassVar = {"GET": "history"}

    @extend_schema(
        summary="Closed trades of an agent as CSV, oldest first",
        operation_id="export_swaps",
        parameters=[shapes.SwapExportQuery],
        responses=exports.csv_answers(
            "400 INVALID_AGENT_ID", "400 INVALID_SOL_PRICE", "403 AGENT_NOT_YOURS", "404 AGENT_NOT_FOUND"
        ),
    )
    def get(self, request: Request) -> HttpResponseBase:
        query = shapes.SwapExportQuery.read(request)
        export = swaps_csv.export(
            _found(request, query),
            zone=query.get("timezone"),
            currency=query.get("currency"),
            sol_price_usd=query.get("sol_price"),
        )
        return exports.answer(request, export)


@extend_schema(tags=["agent-historical-swaps"])
class SwapDetail(APIView):
    key_scopes: ClassVar = {"GET": "history"}

    @extend_schema(
        summary="One closed trade",
        operation_id="get_swap",
        responses=answers(shapes.SwapShape, "400 INVALID_ID", "403 AGENT_NOT_YOURS", "404 SWAP_NOT_FOUND"),
    )
    def get(self, request: Request, trade_id: str) -> Response:
        return Response(shapes.SwapShape.present(_trade(request, trade_id)))

    @extend_schema(
        summary="Correct a closed trade entered by hand",
        operation_id="update_swap",
        description="What is left out stays as it is. Rows the engine wrote are immutable.",
        request=shapes.SwapChangesBody,
        responses=answers(
            shapes.SwapShape,
            "400 INVALID_ID",
            "400 INVALID_SALE_TIME",
            "400 TRANSACTION_OF_ANOTHER_AGENT",
            "400 FIGURE_TOO_LARGE",
            "403 AGENT_NOT_YOURS",
            "404 SIGNAL_NOT_FOUND",
            "404 SWAP_NOT_FOUND",
            "404 TRANSACTION_NOT_FOUND",
            "409 IMMUTABLE_RECORD",
            "409 WALLET_RELEASED",
        ),
    )
    def put(self, request: Request, trade_id: str) -> Response:
        row = _trade(request, trade_id)
        hand_trades.require_by_hand(row)
        changes = _trade_values(request, shapes.SwapChangesBody.read(request))
        corrected = hand_trades.correct(row=row, changes=changes, actor=caller(request))
        return Response(shapes.SwapShape.present(corrected))

    @extend_schema(
        summary="Take back a closed trade entered by hand",
        operation_id="delete_swap",
        responses=answers(
            None,
            "400 INVALID_ID",
            "403 AGENT_NOT_YOURS",
            "404 SWAP_NOT_FOUND",
            "409 IMMUTABLE_RECORD",
            "409 WALLET_RELEASED",
            status=204,
        ),
    )
    def delete(self, request: Request, trade_id: str) -> Response:
        hand_trades.take_back(row=_trade(request, trade_id), actor=caller(request))
        return Response(status=204)


def _trade(request: Request, trade_id: str) -> ClosedTrade:
    return closed_trades.get_closed(user=caller(request), trade_id=path_uuid(trade_id, "id"))


def _trade_values(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body says of a trade, by the names of `HandTrade`; a signal it names must be the caller's."""
    if body.get("signal_id") is not None:
        signals.get_signal(user=caller(request), signal_id=body["signal_id"])
    return {_NAMES.get(name, name): value for name, value in body.items() if name not in _PLACE}


def _found(request: Request, query: Mapping[str, Any]) -> QuerySet[ClosedTrade]:
    """Return what a query asks for, of an agent of the caller."""
    agent = agents.get_agent_or_deny(user=caller(request), agent_id=query["agent_id"])
    conditions = {condition: query[name] for name, condition in _CONDITIONS.items() if name in query}
    found = closed_trades.list_closed(agent=agent, wallet_address=query.get("wallet_address"))
    return found.filter(**conditions)
