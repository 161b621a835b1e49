"""The operator's switch: ACTIVE, REDUCING or HALTED, for the desk or one agent."""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import Agent
from apps.core import outbox
from apps.core.errors import Invalid
from apps.trading.models import State, TradingState
from apps.trading.services import gate
from apps.trading.services.gate import Switch


def get_state(*, agent: Agent | None = None) -> Switch:
    """Return the switch of `agent`, or of the whole desk."""
    row = TradingState.objects.filter(agent=agent).first()
    return Switch() if row is None else Switch(row.state, row.exits_enabled, row.reason)


def set_state(
    *, agent: Agent | None = None, state: str, exits_enabled: bool = True, reason: str = "", actor: User | None
) -> Switch:
    """Set the switch. When this has returned, nothing that began before and had not seen it can still book.

    Locks the agent's state row, or the desk against every booking.

    Raises:
        Invalid: INVALID_STATE.
    """
    if state not in State.values:
        raise Invalid("INVALID_STATE", f"state must be one of {', '.join(State.values)}")
    with transaction.atomic():
        if agent is None:
            gate.lock_desk_alone()
        else:
            locks.lock_states([agent.pk])
        row, _ = TradingState.objects.select_for_update().get_or_create(agent=agent)
        before = Switch(row.state, row.exits_enabled, row.reason)
        after = Switch(state, exits_enabled, reason)
        row.state, row.exits_enabled, row.reason = state, exits_enabled, reason
        row.save()
        audit.record(
            actor=actor,
            action="trading_state.changed",
            object_type="desk" if agent is None else "agent",
            object_id="desk" if agent is None else str(agent.pk),
            before=asdict(before),
            after=asdict(after),
        )
        payload = {
            "agentId": None if agent is None else str(agent.pk),
            "state": after.state,
            "exitsEnabled": after.exits_enabled,
            "reason": after.reason,
        }
        stream = "global" if agent is None else f"user:{agent.user_id}"
        outbox.append([outbox.Message(stream, "trading_state", payload)])
    return after
