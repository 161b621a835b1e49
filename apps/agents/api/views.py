"""Doors of agents: made, listed, changed, archived, configured."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.agents import selectors, services
from apps.agents.api import shapes
from apps.agents.domain import trading_config
from apps.agents.models import Agent
from apps.core.api import paging
from apps.core.api.openapi import Message, answers
from apps.core.api.shapes import path_uuid


@extend_schema(tags=["agents"])
class Agents(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="My agents, newest first", operation_id="list_agents", responses=answers(shapes.AgentShape(many=True))
    )
    def get(self, request: Request) -> Response:
        return paging.whole(selectors.list_agents(user=caller(request)), shapes.AgentShape)

    @extend_schema(
        summary="Make an agent with a simulation wallet",
        operation_id="create_agent",
        request=shapes.NewAgentBody,
        responses=answers(shapes.AgentShape, "400 VALIDATION_ERROR", status=201),
    )
    def post(self, request: Request) -> Response:
        body = shapes.NewAgentBody.read(request)
        agent = services.create_agent(user=caller(request), actor=caller(request), **body)
        return Response(shapes.AgentShape.present(agent), status=201)


@extend_schema(tags=["agents"])
class AgentDetail(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="One agent",
        operation_id="get_agent",
        responses=answers(shapes.AgentShape, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        return Response(shapes.AgentShape.present(_agent(request, agent_id)))

    @extend_schema(
        summary="Rename an agent, change its mode or pause its automation",
        operation_id="update_agent",
        request=shapes.AgentChangesBody,
        responses=answers(shapes.AgentShape, "400 VALIDATION_ERROR", "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def put(self, request: Request, agent_id: str) -> Response:
        body = shapes.AgentChangesBody.read(request)
        agent = services.update_agent(agent=_agent(request, agent_id), actor=caller(request), **body)
        return Response(shapes.AgentShape.present(agent))

    @extend_schema(
        summary="Archive an agent; its books stay",
        operation_id="delete_agent",
        responses=answers(
            Message, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND", "409 POSITIONS_OPEN", "409 ORDERS_OPEN"
        ),
    )
    def delete(self, request: Request, agent_id: str) -> Response:
        services.archive_agent(agent=_agent(request, agent_id), actor=caller(request))
        return Response({"success": True, "message": "The agent was deleted."})


@extend_schema(tags=["agents"])
class AgentConfig(APIView):
    key_scopes: ClassVar = {"GET": "agents"}

    @extend_schema(
        summary="The configuration an agent trades by",
        operation_id="get_agent_config",
        responses=answers(shapes.ConfigShape, "400 INVALID_CONFIG", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        agent = _agent(request, agent_id)
        return Response({"config": trading_config.present(agent.trading_config)})

    @extend_schema(
        summary="Change part of the configuration, or reset it with null",
        operation_id="update_agent_config",
        request=shapes.ConfigBody,
        responses=answers(shapes.ConfigShape, "400 INVALID_CONFIG", "404 AGENT_NOT_FOUND"),
    )
    def put(self, request: Request, agent_id: str) -> Response:
        identifier = path_uuid(agent_id, "agentId")
        patch = shapes.ConfigBody.read(request)["config"]
        agent = selectors.get_agent(user=caller(request), agent_id=identifier)
        config = services.update_config(agent=agent, patch=patch, actor=caller(request))
        return Response({"config": trading_config.present(trading_config.to_document(config))})

    @extend_schema(
        summary="Change part of the configuration (as PUT)",
        operation_id="patch_agent_config",
        request=shapes.ConfigBody,
        responses=answers(shapes.ConfigShape, "400 INVALID_CONFIG", "404 AGENT_NOT_FOUND"),
    )
    def patch(self, request: Request, agent_id: str) -> Response:
        return self.put(request, agent_id)


def _agent(request: Request, agent_id: str) -> Agent:
    return selectors.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))
