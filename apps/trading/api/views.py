"""Doors of trading to positions and closed trades: lists, closing by hand, buying by hand."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent, once_of
from apps.agents import selectors as agents
from apps.core import base58
from apps.core.api import paging
from apps.core.api.openapi import IDEMPOTENCY, PROVIDERS, answers
from apps.core.api.shapes import path_uuid
from apps.signals import selectors as signals
from apps.signals.errors import InvalidMint
from apps.trading.api import shapes
from apps.trading.domain import entry_rules
from apps.trading.errors import CONFLICT_CODES, BuyPending, ClosePending
from apps.trading.models import CloseReason
from apps.trading.selectors import positions
from apps.trading.services import exits, hand_buys
from apps.trading.services.hand_buys import EntryResult
from apps.wallets import selectors as wallets

WAIT_SECONDS = 15.0
#: Why a close may end without a sale: the position changed or was sold meanwhile.
CLOSE_CODES = (
    "EXITS_HALTED",
    "CLOSE_CANCELLED",
    "POSITION_CLOSED",
    "WALLET_RESET",
    "DCA_AFTER_STOP",
    "BAD_TICK",
    "TOKEN_LIVES",
)
#: Rules of an entry that answer with another status than 400.
ELSEWHERE = CONFLICT_CODES | {entry_rules.AGENT_NOT_FOUND}


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
        parameters=[OpenApiParameter("includePositions", OpenApiTypes.STR)],
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
        description="Answers 202 when the sale takes longer than 15 seconds: it stays ordered and will be done. Asking"
        " again joins it, and waits again.",
        parameters=[IDEMPOTENCY],
        request=shapes.CloseBody,
        responses=answers(
            shapes.SoldShape,
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
            "404 POSITION_NOT_FOUND",
            *(f"409 {code}" for code in CLOSE_CODES),
            also={202: shapes.ClosePendingShape},
        ),
    )
    @idempotent(books_at_once=False)
    def post(self, request: Request, agent_id: str, position_id: str) -> Response:
        owner, wanted = path_uuid(agent_id, "agentId"), path_uuid(position_id, "positionId")
        reason = shapes.CloseBody.read(request).get("reason", CloseReason.MANUAL)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=owner)
        once = once_of(request)
        try:
            if once.begun is not None:
                requested = exits.get_requested(intent_id=once.begun["intent"])
                result = exits.wait_for_close(intent=requested, timeout_seconds=WAIT_SECONDS)
            else:
                result = exits.close_position(
                    position=positions.get_open(agent=agent, position_id=wanted),
                    reason=reason,
                    actor=caller(request),
                    timeout_seconds=WAIT_SECONDS,
                    on_requested=lambda intent: once.begin({"intent": intent.pk}),
                )
        except ClosePending as pending:
            return Response(shapes.ClosePendingShape.present(pending), status=202)
        return Response({"success": True, **shapes.CloseShape.present(result)})


@extend_schema_view(get=extend_schema(operation_id="list_agent_positions"))
class AgentPositions(Positions):
    """The same list, where shipped clients also look for it."""


@extend_schema_view(post=extend_schema(operation_id="close_agent_position"))
class CloseAgentPosition(ClosePosition):
    """The same door, where shipped clients also look for it."""


@extend_schema(tags=["trades"])
class ExecuteTrade(APIView):
    @extend_schema(
        summary="Buy a token for an agent now",
        operation_id="execute_trade",
        description="Answers 202 when a live buy has not landed after 15 seconds: its order goes on to its end. Asking"
        " again with the same Idempotency-Key waits for the same order.",
        parameters=[IDEMPOTENCY],
        request=shapes.BuyBody,
        responses=answers(
            shapes.BoughtShape,
            "400 INVALID_MINT",
            "400 TOKEN_NOT_TRADABLE",
            "400 PRICE_IMPACT_TOO_HIGH",
            "400 EXECUTION_FAILED",
            "404 AGENT_NOT_FOUND",
            "404 SIGNAL_NOT_FOUND",
            *(f"409 {code}" for code in sorted(CONFLICT_CODES)),
            *(f"400 {code}" for code in entry_rules.MESSAGES if code not in ELSEWHERE),
            *PROVIDERS,
            also={202: shapes.BuyPendingShape},
        ),
    )
    @idempotent(books_at_once=False)
    def post(self, request: Request) -> Response:
        once = once_of(request)
        try:
            if once.begun is not None:
                bought = hand_buys.wait_for_order(UUID(once.begun["order"]), timeout_seconds=WAIT_SECONDS)
            else:
                bought = self._buy(request)
        except BuyPending as pending:
            return Response(shapes.BuyPendingShape.present(pending), status=202)
        return Response(_bought(bought))

    def _buy(self, request: Request) -> EntryResult:
        body = shapes.BuyBody.read(request)
        if not base58.is_address(body["token_address"]):
            raise InvalidMint
        agent = agents.get_agent(user=caller(request), agent_id=body["agent_id"])
        signal_id = body.get("signal_id") or None
        if signal_id is not None:
            signals.get_signal(user=caller(request), signal_id=signal_id)
        once = once_of(request)
        return hand_buys.buy_by_hand(
            agent=agent,
            token_address=body["token_address"],
            actor=caller(request),
            wallet_address=body.get("wallet_address"),
            token_symbol=body.get("token_symbol"),
            signal_id=signal_id,
            position_size_sol=body.get("position_size"),
            on_booked=lambda result: once.keep(_bought(result)),
            on_reserved=lambda order_id: once.begin({"order": str(order_id)}),
            timeout_seconds=WAIT_SECONDS,
        )


def _bought(result: EntryResult) -> dict[str, Any]:
    answer = {"success": True, **shapes.BuyShape.present(result)}
    if result.stop_loss_percentage is not None:
        answer["stopLossPercentage"] = result.stop_loss_percentage
    if result.signal_id is not None:
        answer["signalId"] = result.signal_id
    return answer
