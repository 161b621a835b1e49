"""Doors of trading to positions and closed trades: lists, closing by hand, buying by hand."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent
from apps.agents import selectors as agents
from apps.core import base58
from apps.core.api import paging
from apps.core.api.openapi import IDEMPOTENCY, PAGING, answers
from apps.core.api.shapes import path_uuid
from apps.core.errors import Conflict
from apps.signals import selectors as signals
from apps.signals.errors import InvalidMint
from apps.trading.api import shapes
from apps.trading.errors import ClosePending
from apps.trading.models import ClosedTrade, CloseReason
from apps.trading.selectors import closed_trades, positions
from apps.trading.services import exits, hand_buys
from apps.wallets import selectors as wallets

WAIT_SECONDS = 15.0


@extend_schema(tags=["agent-positions"])
class Positions(APIView):
    key_scopes: ClassVar = {"GET": "positions"}

    @extend_schema(
        summary="Open positions of an agent, newest first",
        operation_id="list_positions",
        parameters=[shapes.PositionQuery],
        responses=answers(
            shapes.PositionShape(many=True), "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND", "404 WALLET_NOT_FOUND"
        ),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        agent = agents.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))
        address = shapes.PositionQuery.read(request).get("wallet_address")
        if address is not None:
            wallets.get_wallet(agent=agent, address=address)
        return paging.whole(positions.list_open(agent=agent, wallet_address=address), shapes.PositionShape)


@extend_schema(tags=["agent-positions"])
class TakeProfitSummary(APIView):
    key_scopes: ClassVar = {"GET": "positions"}

    @extend_schema(
        summary="What take profit has done for an agent's open positions",
        operation_id="take_profit_summary",
        parameters=[OpenApiParameter("includePositions", OpenApiTypes.BOOL)],
        responses=answers(shapes.TakeProfitSummaryShape, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        agent = agents.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))
        summary = positions.take_profit_summary(agent=agent)
        body: dict[str, Any] = {
            "totalPositions": summary.total_positions,
            "positionsWithTakeProfitHit": len(summary.hit),
            "activeMoonBags": summary.active_moon_bags,
            "totalLevelsHit": summary.total_levels_hit,
        }
        if request.query_params.get("includePositions") == "true":
            body["positions"] = shapes.HitPositionShape.present_many(summary.hit)
        return Response(body)


@extend_schema(tags=["agent-positions"])
class ClosePosition(APIView):
    @extend_schema(
        summary="Sell a position now",
        operation_id="close_position",
        description="Answers 202 with the intent's id when the sale takes longer than 15 seconds; it will be sold.",
        parameters=[IDEMPOTENCY],
        request=shapes.CloseBody,
        responses=answers(
            shapes.CloseShape,
            "202 CLOSE_PENDING",
            "400 INVALID_POSITION_ID",
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
            "404 POSITION_NOT_FOUND",
            "409 EXITS_HALTED",
        ),
    )
    @idempotent(books_at_once=False)
    def post(self, request: Request, agent_id: str, position_id: str) -> Response:
        owner, wanted = path_uuid(agent_id, "agentId"), path_uuid(position_id, "positionId")
        reason = shapes.CloseBody.read(request).get("reason", CloseReason.MANUAL)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=owner)
        position = positions.get_open(agent=agent, position_id=wanted)
        try:
            result = exits.close_position(
                position=position, reason=reason, actor=caller(request), timeout_seconds=WAIT_SECONDS
            )
        except ClosePending as pending:
            return Response({"success": True, "code": pending.code, "intentId": pending.intent_id}, status=202)
        return Response({"success": True, **shapes.CloseShape.present(result)})


@extend_schema_view(get=extend_schema(operation_id="list_agent_positions"))
class AgentPositions(Positions):
    """The same list, where shipped clients also look for it."""


@extend_schema_view(post=extend_schema(operation_id="close_agent_position"))
class CloseAgentPosition(ClosePosition):
    """The same door, where shipped clients also look for it."""


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
        query = shapes.SwapQuery.read(request)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=query["agent_id"])
        rows = _filtered(closed_trades.list_closed(agent=agent), query)
        return paging.page(request, rows, shapes.SwapShape, newest_by="sale_time")


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
        summary="Rows the engine wrote are immutable",
        operation_id="update_swap",
        request=None,
        responses=answers(None, "404 SWAP_NOT_FOUND", "409 IMMUTABLE_RECORD"),
    )
    def put(self, request: Request, trade_id: str) -> Response:
        raise _immutable(_trade(request, trade_id))

    @extend_schema(
        summary="Rows the engine wrote are immutable",
        operation_id="delete_swap",
        responses=answers(None, "404 SWAP_NOT_FOUND", "409 IMMUTABLE_RECORD"),
    )
    def delete(self, request: Request, trade_id: str) -> Response:
        raise _immutable(_trade(request, trade_id))


@extend_schema(tags=["trades"])
class ExecuteTrade(APIView):
    @extend_schema(
        summary="Buy a token for an agent now",
        operation_id="execute_trade",
        parameters=[IDEMPOTENCY],
        request=shapes.BuyBody,
        responses=answers(
            shapes.BuyShape,
            "400 INVALID_MINT",
            "400 TOKEN_NOT_TRADABLE",
            "400 INSUFFICIENT_BALANCE",
            "400 PRICE_IMPACT_TOO_HIGH",
            "404 AGENT_NOT_FOUND",
            "404 WALLET_NOT_FOUND",
            "409 POSITION_EXISTS",
            "409 TRADING_HALTED",
        ),
    )
    @idempotent(books_at_once=False)
    def post(self, request: Request) -> Response:
        body = shapes.BuyBody.read(request)
        if not base58.is_address(body["token_address"]):
            raise InvalidMint
        agent = agents.get_agent(user=caller(request), agent_id=body["agent_id"])
        signal_id = body.get("signal_id") or None
        if signal_id is not None:
            signals.get_signal(user=caller(request), signal_id=signal_id)
        bought = hand_buys.buy_by_hand(
            agent=agent,
            token_address=body["token_address"],
            actor=caller(request),
            wallet_address=body.get("wallet_address"),
            token_symbol=body.get("token_symbol"),
            signal_id=signal_id,
            position_size_sol=body.get("position_size"),
        )
        answer = {"success": True, **shapes.BuyShape.present(bought)}
        if bought.stop_loss_percentage is not None:
            answer["stopLossPercentage"] = bought.stop_loss_percentage
        if bought.signal_id is not None:
            answer["signalId"] = bought.signal_id
        return Response(answer)


def _trade(request: Request, trade_id: str) -> ClosedTrade:
    return closed_trades.get_closed(user=caller(request), trade_id=path_uuid(trade_id, "id"))


def _immutable(trade: ClosedTrade) -> Conflict:
    who = "The engine wrote this trade" if trade.origin == "engine" else "This trade is booked"
    return Conflict("IMMUTABLE_RECORD", f"{who}: it cannot be changed.")


#: Query parameter to the condition it sets.
_CONDITIONS = {
    "wallet_address": "wallet__address",
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


def _filtered(rows: QuerySet[ClosedTrade], query: dict[str, Any]) -> QuerySet[ClosedTrade]:
    return rows.filter(**{condition: query[name] for name, condition in _CONDITIONS.items() if name in query})
