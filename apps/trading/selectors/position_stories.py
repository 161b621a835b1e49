"""A position as a person opens it: its books, what the rules hold for it, and its story. Open or closed, any epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.agents.models import Agent
from apps.core.errors import NotFound
from apps.trading.domain.exit_plan import ExitPlan
from apps.trading.domain.story import StoryEvent
from apps.trading.models import Position
from apps.trading.selectors import exit_plans, story


@dataclass(frozen=True, slots=True)
class PositionStory:
    """A position with what happened to it, oldest first. `plan` is None once it is closed."""

    position: Position
    plan: ExitPlan | None
    events: Sequence[StoryEvent]


def get_story(*, agent: Agent, position_id: UUID, folded: bool = True) -> PositionStory:
    """Return the story of a position of the agent.

    Raises:
        NotFound: POSITION_NOT_FOUND, unknown or another agent's.
    """
    story_ = _find(position_id, folded=folded, agent=agent)
    if story_ is None:
        raise NotFound("POSITION_NOT_FOUND", "This agent has no such position")
    return story_


def find_story(position_id: UUID, *, folded: bool = True) -> PositionStory | None:
    """Return the story of anybody's position, for operators; None when there is no such position."""
    return _find(position_id, folded=folded)


def _find(position_id: UUID, *, folded: bool, agent: Agent | None = None) -> PositionStory | None:
    found = Position.objects.select_related("agent", "wallet").filter(pk=position_id)
    position = (found if agent is None else found.filter(agent=agent)).first()
    if position is None:
        return None
    return PositionStory(position, exit_plans.of_position(position), story.of_position(position, folded=folded))
