"""The gate every entry passes and every sale asks: the trading state of the desk and of each agent.

Read inside the booking transaction. The desk's row is share-locked, so that once an operator's HALT has returned, no
booking that had not seen it can still commit; an agent's own state is changed under its `agent_state` lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from apps.core import bulk
from apps.trading.models import State

TRADING_HALTED = "TRADING_HALTED"
TRADING_REDUCING = "TRADING_REDUCING"
MESSAGES = {
    TRADING_HALTED: "Trading is halted.",
    TRADING_REDUCING: "Trading only lowers exposure now: no new entries.",
}


@dataclass(frozen=True, slots=True)
class Switch:
    """One trading state as it stands."""

    state: str = State.ACTIVE
    exits_enabled: bool = True
    reason: str = ""

    @property
    def exits_allowed(self) -> bool:
        return self.state != State.HALTED or self.exits_enabled


@dataclass(frozen=True, slots=True)
class Gate:
    """The states that hold for a set of agents; agents without a row are ACTIVE."""

    desk: Switch
    agents: dict[UUID, Switch]

    def exits_allowed(self, agent_id: UUID) -> bool:
        """Whether positions of the agent may be sold now."""
        return self.desk.exits_allowed and self.agents.get(agent_id, _ACTIVE).exits_allowed


_ACTIVE = Switch()


def entry_refusal(*states: str) -> str | None:
    """Return why nobody may enter under these states (the desk's and the agent's), or None."""
    if State.HALTED in states:
        return TRADING_HALTED
    return TRADING_REDUCING if State.REDUCING in states else None


def read(agent_ids: Iterable[UUID]) -> Gate:
    """Return the gate as it stands, without locks: for decisions that are taken again when they are booked."""
    return Gate(
        desk=_desk("SELECT state, exits_enabled, reason FROM trading_state WHERE agent_id IS NULL"),
        agents=_own(agent_ids),
    )


def lock_desk() -> Switch:
    """Share-lock the desk's state until commit and return it; the first lock of a booking."""
    return _desk("SELECT state, exits_enabled, reason FROM trading_state WHERE agent_id IS NULL FOR SHARE")


def under_lock(desk: Switch, agent_ids: Iterable[UUID]) -> Gate:
    """Complete the gate once the agents' state rows are locked: their switches cannot change before commit."""
    return Gate(desk=desk, agents=_own(agent_ids))


def _desk(query: str) -> Switch:
    rows = bulk.fetch_all(query)
    return Switch(*rows[0]) if rows else _ACTIVE


def _own(agent_ids: Iterable[UUID]) -> dict[UUID, Switch]:
    rows = bulk.fetch_all(
        "SELECT agent_id, state, exits_enabled, reason FROM trading_state WHERE agent_id = ANY(%s)", [list(agent_ids)]
    )
    return {row[0]: Switch(*row[1:]) for row in rows}
