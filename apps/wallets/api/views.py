"""Doors of balances. Wallets are in `wallet_views`, transactions in `transaction_views`."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent
from apps.agents import selectors as agents
from apps.core.api.openapi import IDEMPOTENCY, Message, answers
from apps.core.api.shapes import path_uuid
from apps.prices import selectors as prices
from apps.wallets import selectors
from apps.wallets.api import shapes
from apps.wallets.api.lookups import named_wallet
from apps.wallets.models import Balance
from apps.wallets.services import adjustments


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
        parameters=[IDEMPOTENCY],
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
    @idempotent(books_at_once=True)
    def post(self, request: Request) -> Response:
        body = shapes.NewBalanceBody.read(request)
        agent = agents.get_agent(user=caller(request), agent_id=body["agent_id"])
        made = adjustments.enter_balance(
            agent=agent,
            wallet=named_wallet(agent, body.get("wallet_address")),
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
        responses=answers(shapes.BalanceShape, "404 BALANCE_NOT_FOUND"),
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


def _balance(request: Request, balance_id: str) -> Balance:
    return selectors.get_balance(user=caller(request), balance_id=path_uuid(balance_id, "balanceId"))
