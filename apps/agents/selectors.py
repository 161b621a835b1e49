"""Reads of agents. Archived agents are gone for every caller here; their books stay."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from apps.accounts.models import User
from apps.agents.errors import AgentNotFound, NotYourAgent
from apps.agents.models import Agent
from apps.core import fixed_sql


class AgentRow(NamedTuple):
    """An agent as lists show it, without its configuration."""

    id: UUID
    user_id: UUID
    name: str
    trading_mode: str
    automated_trading_simulation: bool
    automated_trading_live: bool
    created_at: datetime
    updated_at: datetime


_LIST = (
    f"SELECT {', '.join(AgentRow._fields)} FROM agent WHERE user_id = %s AND archived_at IS NULL"
    " ORDER BY created_at DESC, id DESC"
)


def list_agents(*, user: User) -> list[AgentRow]:
    """Return a user's agents, newest first."""
    return [AgentRow(*row) for row in fixed_sql.fetch_all(_LIST, [user.pk])]


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
