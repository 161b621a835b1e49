"""Door to the story of a position."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.agents import selectors as agents
from apps.core.api.openapi import answers
from apps.core.api.shapes import path_uuid
from apps.trading.api import story_shapes
from apps.trading.selectors import position_stories


@extend_schema(tags=["agent-positions"])
class PositionEvents(APIView):
    key_scopes: ClassVar = {"GET": "positions"}

    @extend_schema(
        summary="The story of a position: every decision that changed it, in words and figures",
        operation_id="position_events",
        description=(
            "Oldest first; closed positions have theirs too. A decision is one event whose `id` stays while it ripens."
        ),
        parameters=[story_shapes.StoryQuery],
        responses=answers(
            story_shapes.StoryShape,
            "400 INVALID_AGENT_ID",
            "400 INVALID_POSITION_ID",
            "404 AGENT_NOT_FOUND",
            "404 POSITION_NOT_FOUND",
        ),
    )
    def get(self, request: Request, agent_id: str, position_id: str) -> Response:
        owner, wanted = path_uuid(agent_id, "agentId"), path_uuid(position_id, "positionId")
        folded = story_shapes.StoryQuery.read(request)["folded"]
        agent = agents.get_agent(user=caller(request), agent_id=owner)
        story = position_stories.get_story(agent=agent, position_id=wanted, folded=folded)
        return Response(story_shapes.StoryShape.present(story))


@extend_schema_view(get=extend_schema(operation_id="agent_position_events"))
class AgentPositionEvents(PositionEvents):
    """The same story, where shipped clients look for positions."""
