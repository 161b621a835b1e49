"""Doors of wallets and their books: lists, balances, transactions, simulated deposits."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent
from apps.agents import selectors as agents
from apps.agents.models import Agent
from apps.core.api import paging
from apps.core.api.errors import InvalidField
from apps.core.api.openapi import IDEMPOTENCY, PAGING, Message, answers
from apps.core.api.shapes import path_uuid
from apps.core.errors import Conflict, Invalid
from apps.prices import selectors as prices
from apps.signals import selectors as signals
from apps.wallets import selectors
from apps.wallets.api import shapes
from apps.wallets.errors import WalletNotFound
from apps.wallets.models import Balance, Origin, Transaction, TransactionType, Wallet
from apps.wallets.services import adjustments, deposits
from apps.wallets.services import wallets as wallet_services


@extend_schema(tags=["wallets"])
class AgentWallets(APIView):
    @extend_schema(
        summary="The wallets of an agent",
        operation_id="list_wallets",
        responses=answers(shapes.WalletsShape, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        agent = agents.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))
        rows = selectors.list_wallets(agent=agent)
        shown = [{**shapes.WalletShape.present(row), "isAvailable": row.wallet_type == "simulation"} for row in rows]
        return Response({"agentWallets": shown, "availableWallets": []})


@extend_schema(tags=["agent-balances"])
class Balances(APIView):
    key_scopes: ClassVar = {"GET": "balances"}

    @extend_schema(
        summary="Balances of an agent's wallets, last changed first",
        operation_id="list_balances",
        parameters=[shapes.BalanceQuery],
        responses=answers(shapes.PricedBalanceShape(many=True), "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request) -> Response:
        query = shapes.BalanceQuery.read(request)
        agent = agents.get_agent(user=caller(request), agent_id=query["agent_id"])
        found = selectors.list_balances(agent=agent)
        if "wallet_address" in query:
            found = found.filter(wallet__address=query["wallet_address"])
        rows = list(found)
        known = prices.latest_prices(row.mint for row in rows)
        shown = [shapes.PricedBalanceShape.priced(row, known) for row in rows]
        return Response(shown, headers={"X-Total-Count": str(len(rows))})

    @extend_schema(
        summary="Enter what a simulation wallet holds of a token",
        operation_id="create_balance",
        request=shapes.NewBalanceBody,
        responses=answers(
            shapes.BalanceShape,
            "400 INVALID_BALANCE",
            "400 LIVE_WALLET",
            "400 WALLET_NOT_FOUND",
            "404 AGENT_NOT_FOUND",
            "409 BALANCE_EXISTS",
            status=201,
        ),
    )
    def post(self, request: Request) -> Response:
        body = shapes.NewBalanceBody.read(request)
        agent = agents.get_agent(user=caller(request), agent_id=body["agent_id"])
        made = adjustments.enter_balance(
            agent=agent,
            wallet=_wallet(agent, body.get("wallet_address")),
            mint=body["token_address"],
            symbol=body["token_symbol"],
            amount=body["balance"],
            actor=caller(request),
        )
        return Response(shapes.BalanceShape.present(made), status=201)


@extend_schema(tags=["agent-balances"])
class BalanceDetail(APIView):
    key_scopes: ClassVar = {"GET": "balances"}

    @extend_schema(
        summary="One balance",
        operation_id="get_balance",
        responses=answers(shapes.BalanceShape, "400 INVALID_ID", "404 BALANCE_NOT_FOUND"),
    )
    def get(self, request: Request, balance_id: str) -> Response:
        return Response(shapes.BalanceShape.present(_balance(request, balance_id)))

    @extend_schema(
        summary="Set a balance of a simulation wallet",
        operation_id="update_balance",
        request=shapes.BalanceChangesBody,
        responses=answers(
            shapes.BalanceShape,
            "400 INVALID_BALANCE",
            "400 LIVE_WALLET",
            "404 BALANCE_NOT_FOUND",
            "409 POSITION_OPEN",
        ),
    )
    def put(self, request: Request, balance_id: str) -> Response:
        row = _balance(request, balance_id)
        body = shapes.BalanceChangesBody.read(request)
        changed = adjustments.correct_balance(
            balance=row, actor=caller(request), amount=body.get("balance"), symbol=body.get("token_symbol")
        )
        return Response(shapes.BalanceShape.present(changed))

    @extend_schema(
        summary="Empty a balance of a simulation wallet and remove it",
        operation_id="delete_balance",
        responses=answers(Message, "400 LIVE_WALLET", "404 BALANCE_NOT_FOUND", "409 POSITION_OPEN", "409 BALANCE_HELD"),
    )
    def delete(self, request: Request, balance_id: str) -> Response:
        adjustments.remove_balance(balance=_balance(request, balance_id), actor=caller(request))
        return Response({"success": True, "message": "The balance was removed."})


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
        query = shapes.TransactionQuery.read(request)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=query["agent_id"])
        rows = _filtered(selectors.list_transactions(agent=agent), query)
        return paging.page(request, rows, shapes.TransactionShape, newest_by="transaction_time")

    @extend_schema(
        summary="Deposit into a simulation wallet",
        operation_id="create_transaction",
        parameters=[IDEMPOTENCY],
        request=shapes.NewTransactionBody,
        responses=answers(
            shapes.TransactionShape,
            "400 INVALID_INPUT_AMOUNT",
            "400 LIVE_WALLET",
            "400 TRANSACTION_TYPE_UNSUPPORTED",
            "400 WALLET_NOT_FOUND",
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
            "404 SIGNAL_NOT_FOUND",
            status=201,
        ),
    )
    @idempotent(books_at_once=True)
    def post(self, request: Request) -> Response:
        body = shapes.NewTransactionBody.read(request)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=body["agent_id"])
        if body["transaction_type"] != TransactionType.DEPOSIT.upper():
            raise Invalid("TRANSACTION_TYPE_UNSUPPORTED", "Only a DEPOSIT can be entered by hand.")
        for field, name in (
            ("input_mint", "inputMint"),
            ("input_symbol", "inputSymbol"),
            ("input_amount", "inputAmount"),
        ):
            if field not in body:
                raise InvalidField(name, "is required for a deposit")
        if body.get("signal_id") is not None:
            signals.get_signal(user=caller(request), signal_id=body["signal_id"])
        made = deposits.deposit(
            agent=agent,
            wallet=_wallet(agent, body.get("wallet_address")),
            mint=body["input_mint"],
            symbol=body["input_symbol"],
            amount=body["input_amount"],
            actor=caller(request),
            price_sol=body.get("input_price"),
            value_usd=body["transaction_value_usd"],
            at=body["transaction_time"],
            signal_id=body.get("signal_id"),
            destination_address=body.get("destination_address"),
        )
        return Response(shapes.TransactionShape.present(made), status=201)


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
        summary="Rows the engine wrote are immutable",
        operation_id="update_transaction",
        request=shapes.NewTransactionBody,
        responses=answers(None, "404 TRANSACTION_NOT_FOUND", "409 IMMUTABLE_RECORD"),
    )
    def put(self, request: Request, transaction_id: str) -> Response:
        raise _immutable(_transaction(request, transaction_id))

    @extend_schema(
        summary="Rows the engine wrote are immutable",
        operation_id="delete_transaction",
        responses=answers(None, "404 TRANSACTION_NOT_FOUND", "409 IMMUTABLE_RECORD"),
    )
    def delete(self, request: Request, transaction_id: str) -> Response:
        raise _immutable(_transaction(request, transaction_id))


def _wallet(agent: Agent, address: str | None) -> Wallet:
    """Return the agent's wallet a body names, or that of its present mode; an unknown one is the body's mistake."""
    try:
        return wallet_services.wallet_for(agent=agent, address=address)
    except WalletNotFound as error:
        raise Invalid(error.code, error.message) from None


def _balance(request: Request, balance_id: str) -> Balance:
    return selectors.get_balance(user=caller(request), balance_id=path_uuid(balance_id, "id"))


def _transaction(request: Request, transaction_id: str) -> Transaction:
    return selectors.get_transaction(user=caller(request), transaction_id=path_uuid(transaction_id, "id"))


def _immutable(row: Transaction) -> Conflict:
    who = "The engine wrote this transaction" if row.origin == Origin.ENGINE else "This transaction is booked"
    return Conflict("IMMUTABLE_RECORD", f"{who}: it cannot be changed.")


def _filtered(rows: QuerySet[Transaction], query: dict[str, Any]) -> QuerySet[Transaction]:
    conditions: dict[str, Any] = {}
    if "wallet_address" in query:
        conditions["wallet__address"] = query["wallet_address"]
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
    return rows.filter(**conditions)
