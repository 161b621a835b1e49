"""Doors to what bounds buying: loss limits of the desk and of agents, and how strictly agents judge tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.agents import selectors as agents
from apps.agents.models import Agent, TradingMode
from apps.core.api.openapi import answers
from apps.core.api.shapes import path_uuid
from apps.core.errors import Denied
from apps.trading.api import limit_shapes as shapes
from apps.trading.domain.loss_limits import Bounds
from apps.trading.services import loss_limits, token_policies


@dataclass(frozen=True, slots=True)
class _Shown:
    """The limits of one mode with what is used of them."""

    trading_mode: str
    max_daily_loss_sol: Decimal | None
    max_exposure_sol: Decimal | None
    cooldown_seconds: int | None
    realised_today_sol: Decimal
    exposure_sol: Decimal
    seconds_since_stop: int | None


@extend_schema(tags=["trading-state"])
class DeskLossLimits(APIView):
    @extend_schema(
        summary="How much the whole desk may lose in a day and have at stake, and what is used of it",
        operation_id="get_desk_loss_limits",
        responses=answers(shapes.LossLimitsShape),
    )
    def get(self, request: Request) -> Response:
        return Response(_shown(None))

    @extend_schema(
        summary="Set the desk's loss limits: the operators' to set",
        operation_id="set_desk_loss_limits",
        request=shapes.LossLimitBody,
        responses=answers(shapes.LossLimitsShape, "400 INVALID_LOSS_LIMIT", "403 OPERATORS_ONLY"),
    )
    def put(self, request: Request) -> Response:
        body = shapes.LossLimitBody.read(request)
        if not caller(request).is_staff:
            raise Denied("OPERATORS_ONLY", "Only operators may bound the whole desk.")
        _set(request, None, body)
        return Response(_shown(None))


@extend_schema(tags=["agents"])
class AgentLossLimits(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="How much an agent may lose in a day and have at stake, and what is used of it",
        operation_id="get_agent_loss_limits",
        responses=answers(shapes.LossLimitsShape, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        return Response(_shown(_agent(request, agent_id)))

    @extend_schema(
        summary="Set an agent's loss limits; what is not given stays, null takes a limit away",
        operation_id="set_agent_loss_limits",
        request=shapes.LossLimitBody,
        responses=answers(
            shapes.LossLimitsShape, "400 INVALID_LOSS_LIMIT", "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"
        ),
    )
    def put(self, request: Request, agent_id: str) -> Response:
        body = shapes.LossLimitBody.read(request)
        agent = _agent(request, agent_id)
        _set(request, agent, body)
        return Response(_shown(agent))


@extend_schema(tags=["agents"])
class AgentTokenSafety(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="What an agent's live buys let pass of what makes a token dangerous",
        operation_id="get_agent_token_safety",
        responses=answers(shapes.TokenSafetyShape, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        return Response(shapes.TokenSafetyShape.present(token_policies.get_policy(agent=_agent(request, agent_id))))

    @extend_schema(
        summary="Change what an agent's live buys let pass; what is not given stays",
        operation_id="set_agent_token_safety",
        request=shapes.TokenSafetyBody,
        responses=answers(
            shapes.TokenSafetyShape, "400 INVALID_TOKEN_SAFETY", "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"
        ),
    )
    def put(self, request: Request, agent_id: str) -> Response:
        changes = shapes.TokenSafetyBody.read(request)
        agent = _agent(request, agent_id)
        policy = token_policies.set_policy(agent=agent, changes=changes, actor=caller(request))
        return Response(shapes.TokenSafetyShape.present(policy))


def _agent(request: Request, agent_id: str) -> Agent:
    return agents.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))


def _set(request: Request, agent: Agent | None, body: dict[str, Any]) -> None:
    mode = body.pop("trading_mode")
    bounds = Bounds(**{**asdict(loss_limits.find_limit(agent=agent, trading_mode=mode)), **body})
    loss_limits.set_limit(agent=agent, trading_mode=mode, bounds=bounds, actor=caller(request))


def _shown(agent: Agent | None) -> dict[str, Any]:
    owner = None if agent is None else agent.pk
    modes = [TradingMode.LIVE, TradingMode.SIMULATION]
    use = loss_limits.use_of((owner, mode) for mode in modes)
    rows = (
        _Shown(
            trading_mode=mode,
            **asdict(loss_limits.find_limit(agent=agent, trading_mode=mode)),
            **asdict(use[owner, mode]),
        )
        for mode in modes
    )
    return {"limits": shapes.LossLimitShape.present_many(rows)}
