"""What agents tells the rest of the house, in the transaction of the change; a subscriber may veto by raising."""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounts.models import User
from apps.agents.models import Agent


@dataclass(frozen=True, slots=True)
class AgentCreated:
    """A new agent with its state row; `wallets` gives it its simulation wallet."""

    agent: Agent


@dataclass(frozen=True, slots=True)
class AgentArchiving:
    """An agent is about to be archived; its state row is locked. `trading` refuses while live positions are open."""

    agent: Agent
    actor: User | None
