"""Reads of agents. Archived agents are gone for every caller here; their books stay."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.agents.errors import AgentNotFound, NotYourAgent
from apps.agents.models import Agent


def list_agents(*, user: User) -> QuerySet[Agent]:
    """Return a user's agents, newest first."""
    return Agent.objects.filter(user=user, archived_at=None).order_by("-created_at", "-id")


def get_agent(*, user: User, agent_id: UUID) -> Agent:
    """Return one agent of the user.

    Raises:
        AgentNotFound: unknown, archived, or another user's.
    """
    agent = Agent.objects.filter(pk=agent_id, user=user, archived_at=None).first()
    if agent is None:
        raise AgentNotFound
    return agent


def get_agent_or_deny(*, user: User, agent_id: UUID) -> Agent:
    """Return one agent of the user, for the routes that tell another user's agent from none.

    Raises:
        AgentNotFound: unknown or archived. NotYourAgent: another user's.
    """
    agent = Agent.objects.filter(pk=agent_id, archived_at=None).first()
    if agent is None:
        raise AgentNotFound
    if agent.user_id != user.pk:
        raise NotYourAgent
    return agent
