"""Doors of transactions: lists, export, and what a person enters, corrects and takes back by hand."""

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
from apps.core.api.errors import InvalidField
from apps.core.api.openapi import IDEMPOTENCY, PAGING, answers
from apps.core.api.shapes import camel, path_uuid
from apps.signals import selectors as signals
from apps.wallets import selectors
from apps.wallets.api import transaction_shapes as shapes
from apps.wallets.api import transactions_csv
from apps.wallets.api.lookups import named_wallet
from apps.wallets.errors import TransactionStays
from apps.wallets.models import Transaction, TransactionType
from apps.wallets.services import hand_rows
from apps.wallets.services.hand_rows import HandRow

#: What the wire calls otherwise than the books.
_NAMES = {"transaction_value_usd": "value_usd", "fees": "fees_sol", "slippage": "slippage_percent"}
_PLACE = ("agent_id", "wallet_address")


@extend_schema(tags=["agent-transactions"])
class Transactions(APIView):
    key_scopes: ClassVar = {"GET": "transactions"}

    @extend_schema(
        summary="Transactions of an agent's wallets, newest first",
        operation_id="list_transactions",
        parameters=[shapes.TransactionQuery, *PAGING],
        responses=answers(
            shapes.TransactionShape(many=True),
            "400 INVALID_AGENT_ID",
            "400 INVALID_START_TIME",
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
        ),
    )
    def get(self, request: Request) -> Response:
        rows = _found(request, shapes.TransactionQuery.read(request))
        return paging.page(request, rows, shapes.TransactionShape, newest_by="transaction_time")

    @extend_schema(
        summary="Enter a deposit, swap or burn of a simulation wallet",
        operation_id="create_transaction",
        description=(
            "Moves balances in one transaction: a deposit adds the input, a burn takes it, a swap takes it and adds the"
            " output. SOL is kept to the lamport. Without a wallet, that of the agent's present mode."
        ),
        parameters=[IDEMPOTENCY],
        request=shapes.NewTransactionBody,
        responses=answers(
            shapes.TransactionShape,
            "400 INVALID_INPUT_AMOUNT",
            "400 INVALID_AMOUNT",
            "400 SAME_TOKEN",
            "400 FIGURE_TOO_LARGE",
            "400 INSUFFICIENT_BALANCE",
            "400 LIVE_WALLET",
            "400 WALLET_NOT_FOUND",
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
            "404 SIGNAL_NOT_FOUND",
            "409 POSITION_OPEN",
            "409 WALLET_RELEASED",
            status=201,
        ),
    )
    @idempotent(books_at_once=True)
    def post(self, request: Request) -> Response:
        body = shapes.NewTransactionBody.read(request)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=body["agent_id"])
        values = _row_values(body)
        _require_sides(values)
        wallet = named_wallet(agent, body.get("wallet_address"))
        _require_signal(request, values)
        made = hand_rows.enter(agent=agent, wallet=wallet, row=HandRow(**values), actor=caller(request))
        return Response(shapes.TransactionShape.present(made), status=201)


@extend_schema(tags=["agent-transactions"])
class TransactionExport(APIView):
    key_scopes: ClassVar = {"GET": "transactions"}

    @extend_schema(
        summary="Transactions of an agent's wallets as CSV, oldest first",
        operation_id="export_transactions",
        parameters=[shapes.TransactionExportQuery],
        responses=exports.csv_answers(
            "400 INVALID_AGENT_ID", "400 INVALID_START_TIME", "403 AGENT_NOT_YOURS", "404 AGENT_NOT_FOUND"
        ),
    )
    def get(self, request: Request) -> HttpResponseBase:
        query = shapes.TransactionExportQuery.read(request)
        return exports.answer(request, transactions_csv.export(_found(request, query), query.get("timezone")))


@extend_schema(tags=["agent-transactions"])
class TransactionDetail(APIView):
    key_scopes: ClassVar = {"GET": "transactions"}

    @extend_schema(
        summary="One transaction",
        operation_id="get_transaction",
        responses=answers(
            shapes.TransactionShape, "400 INVALID_ID", "403 AGENT_NOT_YOURS", "404 TRANSACTION_NOT_FOUND"
        ),
    )
    def get(self, request: Request, transaction_id: str) -> Response:
        return Response(shapes.TransactionShape.present(_transaction(request, transaction_id)))

    @extend_schema(
        summary="Correct a transaction entered by hand",
        operation_id="update_transaction",
        description=(
            "What it did to balances is posted back and what it says now is posted, in one transaction. What is left"
            " out stays as it is. Rows the engine wrote are immutable."
        ),
        request=shapes.TransactionChangesBody,
        responses=answers(
            shapes.TransactionShape,
            "400 INVALID_INPUT_AMOUNT",
            "400 TRANSACTION_STAYS",
            "400 INVALID_AMOUNT",
            "400 SAME_TOKEN",
            "400 FIGURE_TOO_LARGE",
            "400 INSUFFICIENT_BALANCE",
            "400 LIVE_WALLET",
            "403 AGENT_NOT_YOURS",
            "404 SIGNAL_NOT_FOUND",
            "404 TRANSACTION_NOT_FOUND",
            "409 IMMUTABLE_RECORD",
            "409 POSITION_OPEN",
            "409 WALLET_RELEASED",
        ),
    )
    def put(self, request: Request, transaction_id: str) -> Response:
        row = _transaction(request, transaction_id)
        hand_rows.require_by_hand(row)
        body = shapes.TransactionChangesBody.read(request)
        _require_place(body, row)
        changes = _row_values(body)
        _require_sides({**hand_rows.values_of(row), **changes})
        _require_signal(request, changes)
        corrected = hand_rows.correct(row=row, changes=changes, actor=caller(request))
        return Response(shapes.TransactionShape.present(corrected))

    @extend_schema(
        summary="Take back a transaction entered by hand",
        operation_id="delete_transaction",
        description="What it did to balances is posted back. Refused when that would leave a balance below zero.",
        responses=answers(
            None,
            "400 INVALID_ID",
            "400 INSUFFICIENT_BALANCE",
            "400 LIVE_WALLET",
            "403 AGENT_NOT_YOURS",
            "404 TRANSACTION_NOT_FOUND",
            "409 IMMUTABLE_RECORD",
            "409 POSITION_OPEN",
            "409 WALLET_RELEASED",
            status=204,
        ),
    )
    def delete(self, request: Request, transaction_id: str) -> Response:
        hand_rows.take_back(row=_transaction(request, transaction_id), actor=caller(request))
        return Response(status=204)


def _transaction(request: Request, transaction_id: str) -> Transaction:
    return selectors.get_transaction(user=caller(request), transaction_id=path_uuid(transaction_id, "id"))


def _row_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body says of a row, by the names of `HandRow`."""
    values = {_NAMES.get(name, name): value for name, value in body.items() if name not in _PLACE}
    if "transaction_type" in values:
        values["transaction_type"] = TransactionType(values["transaction_type"].lower())
    return values


def _require_sides(values: Mapping[str, Any]) -> None:
    """Name the first field that the row, as it would be, lacks."""
    needed = ["input_mint", "input_symbol", "input_amount"]
    if values["transaction_type"] == TransactionType.SWAP:
        needed += ["output_mint", "output_symbol", "output_amount"]
    for name in needed:
        value = values.get(name)
        if not value:
            missing = "must be greater than 0" if value == 0 else f"is required for a {values['transaction_type']}"
            raise InvalidField(camel(name), missing)


def _require_signal(request: Request, values: Mapping[str, Any]) -> None:
    if values.get("signal_id") is not None:
        signals.get_signal(user=caller(request), signal_id=values["signal_id"])


def _require_place(body: Mapping[str, Any], row: Transaction) -> None:
    """A row stays with its agent and its wallet; naming them is allowed.

    Raises:
        TransactionStays: another one is named.
    """
    if body.get("agent_id", row.agent_id) != row.agent_id:
        raise TransactionStays("agentId")
    if (body.get("wallet_address") or row.wallet.address) != row.wallet.address:
        raise TransactionStays("walletAddress")


def _found(request: Request, query: Mapping[str, Any]) -> QuerySet[Transaction]:
    """Return what a query asks for, of an agent of the caller."""
    agent = agents.get_agent_or_deny(user=caller(request), agent_id=query["agent_id"])
    conditions: dict[str, Any] = {}
    if "transaction_type" in query:
        conditions["transaction_type"] = query["transaction_type"].lower()
    if "start_time" in query:
        conditions["transaction_time__gte"] = query["start_time"]
    if "end_time" in query:
        conditions["transaction_time__lte"] = query["end_time"]
    if "signal_id" in query:
        conditions["signal_id"] = query["signal_id"]
    for flag in ("is_dca", "is_take_profit"):
        if flag in query:
            conditions[flag] = query[flag] == "true"
    found = selectors.list_transactions(agent=agent, wallet_address=query.get("wallet_address"))
    return found.filter(**conditions)
