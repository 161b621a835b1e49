"""The first lock of every booking: the agents' state rows, by id (lock order: agent state, wallet, position, order)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from apps.core import bulk


@dataclass(frozen=True, slots=True)
class LockedState:
    """An agent's counters under lock. Its switches are read after it: nobody changes them before the lock is free."""

    agent_id: UUID
    open_positions: int
    max_open_positions: int


def lock_states(agent_ids: Iterable[UUID]) -> dict[UUID, LockedState]:
    """Lock the state rows of `agent_ids`, in order, and return them by agent."""
    rows = bulk.fetch_all(
        "SELECT agent_id, open_positions, max_open_positions FROM agent_state"
        " WHERE agent_id = ANY(%s) ORDER BY agent_id FOR NO KEY UPDATE",
        [list(agent_ids)],
    )
    return {row[0]: LockedState(*row) for row in rows}


def lock_free_states(agent_ids: Iterable[UUID]) -> set[UUID]:
    """Lock the state rows of those of `agent_ids` that nobody holds now, and return whose; never waits."""
    rows = bulk.fetch_all(
        "SELECT agent_id FROM agent_state WHERE agent_id = ANY(%s) ORDER BY agent_id FOR NO KEY UPDATE SKIP LOCKED",
        [list(agent_ids)],
    )
    return {row[0] for row in rows}


def count_positions(changes: Mapping[UUID, int], *, messages: int = 0) -> dict[UUID, int]:
    """Move the open-position counters; the check constraint refuses what passes a limit.

    Takes `messages` numbers of each agent's feed on the way and returns the last of them by agent.
    """
    agents = sorted(changes)
    return dict(
        bulk.fetch_all(
            "UPDATE agent_state SET open_positions = open_positions + v.n, feed_sequence = feed_sequence + %s"
            " FROM unnest(%s::uuid[], %s::int[]) AS v(a, n) WHERE agent_id = v.a RETURNING agent_id, feed_sequence",
            [messages, agents, [changes[agent] for agent in agents]],
        )
    )
