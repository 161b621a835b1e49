"""Refusals about agents."""

from __future__ import annotations

from apps.core.errors import Denied, NotFound


class AgentNotFound(NotFound):
    """No such agent, or not this user's."""

    def __init__(self) -> None:
        super().__init__("AGENT_NOT_FOUND", "There is no such agent.")


class NotYourAgent(Denied):
    """The agent exists and is somebody else's (routes that answer 403)."""

    def __init__(self) -> None:
        super().__init__("AGENT_NOT_YOURS", "This agent belongs to another user.")
