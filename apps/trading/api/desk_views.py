"""Doors of trading to an agent's figures and the trading state."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.agents import selectors as agents
from apps.agents.models import Agent
from apps.core.api.openapi import answers
from apps.core.api.shapes import path_uuid
from apps.core.errors import Denied
from apps.trading.api import shapes
from apps.trading.selectors import performance
from apps.trading.services import trading_state
from apps.wallets import selectors as wallets


@extend_schema(tags=["agents"])
class AgentPerformance(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="The figures of an agent",
        operation_id="agent_performance",
        parameters=[shapes.PerformanceQuery],
        responses=answers(shapes.PerformanceShape, "400 INVALID_TIMEFRAME", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        identifier = path_uuid(agent_id, "agentId")
        query = shapes.PerformanceQuery.read(request)
        agent = agents.get_agent(user=caller(request), agent_id=identifier)
        since = timezone.now() - performance.DAY if query["timeframe"] == "24h" else None
        figures = performance.of_agent(agent=agent, since=since, wallet_address=query.get("wallet_address"))
        return Response(shapes.PerformanceShape.present(figures))


@extend_schema(tags=["agents"])
class BalanceHistory(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="How a wallet's worth moved: hourly for a day, else daily",
        operation_id="balance_history",
        parameters=[shapes.HistoryQuery],
        responses=answers(
            shapes.HistoryShape, "400 INVALID_WALLET_ADDRESS", "404 AGENT_NOT_FOUND", "404 WALLET_NOT_FOUND"
        ),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        query = shapes.HistoryQuery.read(request)
        agent = agents.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))
        wallet = wallets.get_wallet(agent=agent, address=query["wallet_address"])
        since = timezone.now() - performance.CHART_DAY if query["timeframe"] == "24h" else None
        rows = performance.history(wallet=wallet, since=since)
        return Response(
            {
                "agentId": agent.pk,
                "timeframe": query["timeframe"],
                "snapshots": shapes.SnapshotShape.present_many(rows),
            }
        )


@extend_schema(tags=["trading-state"])
class TradingState(APIView):
    @extend_schema(
        summary="What trading may do: the whole desk, or one agent (`?agentId=`)",
        operation_id="get_trading_state",
        parameters=[shapes.TradingStateQuery],
        responses=answers(shapes.TradingStateShape, "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request) -> Response:
        agent = _agent(request, shapes.TradingStateQuery.read(request))
        return Response(shapes.TradingStateShape.present(trading_state.get_state(agent=agent)))

    @extend_schema(
        summary="Set what trading may do; the whole desk is the operators' to set",
        operation_id="set_trading_state",
        parameters=[shapes.TradingStateQuery],
        request=shapes.TradingStateBody,
        responses=answers(shapes.TradingStateShape, "400 INVALID_STATE", "403 OPERATORS_ONLY", "404 AGENT_NOT_FOUND"),
    )
    def put(self, request: Request) -> Response:
        body = shapes.TradingStateBody.read(request)
        agent = _agent(request, {**shapes.TradingStateQuery.read(request), **body})
        if agent is None and not caller(request).is_staff:
            raise Denied("OPERATORS_ONLY", "Only operators may switch the whole desk.")
        switch = trading_state.set_state(
            agent=agent,
            state=body["state"].lower(),
            exits_enabled=body["exits_enabled"],
            reason=body["reason"],
            actor=caller(request),
        )
        return Response(shapes.TradingStateShape.present(switch))


def _agent(request: Request, given: dict[str, Any]) -> Agent | None:
    identifier = given.get("agent_id")
    return None if identifier is None else agents.get_agent(user=caller(request), agent_id=identifier)
