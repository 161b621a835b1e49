"""Changes to agents: made, renamed, switched, configured, archived. Each is one transaction with its audit entry."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.domain import trading_config
from apps.agents.domain.model import TradingConfig
from apps.agents.errors import AgentNotFound
from apps.agents.events import AgentArchiving, AgentCreated
from apps.agents.models import Agent, AgentState, TradingMode
from apps.core import events, outbox
from apps.core.errors import Invalid

_SWITCHES = ("name", "trading_mode", "automated_trading_simulation", "automated_trading_live")
NAME_LENGTH = (3, 50)


def create_agent(
    *, user: User, name: str, trading_mode: str = TradingMode.SIMULATION, actor: User | None = None
) -> Agent:
    """Make an agent with its state row; `AgentCreated` gives it a simulation wallet in the same transaction.

    Raises:
        Invalid: INVALID_NAME, INVALID_TRADING_MODE.
    """
    with transaction.atomic():
        agent = Agent.objects.create(user=user, name=_checked_name(name), trading_mode=_checked_mode(trading_mode))
        AgentState.objects.create(agent=agent, max_open_positions=settings.MAX_OPEN_POSITIONS)
        events.publish(AgentCreated(agent))
        _record(actor or user, "agent.created", agent, before=None, after=_facts(agent))
        _announce(agent, "agent_created")
    return agent


def update_agent(
    *,
    agent: Agent,
    actor: User | None,
    name: str | None = None,
    trading_mode: str | None = None,
    automated_trading_simulation: bool | None = None,
    automated_trading_live: bool | None = None,
) -> Agent:
    """Change what is given (None leaves a field). A new mode leaves open positions watched in their wallet.

    Locks the agent's state row, then the agent: when a pause has returned, no booking that had not seen it can follow.
    Raises:
        Invalid: INVALID_NAME, INVALID_TRADING_MODE. AgentNotFound: archived meanwhile.
    """
    given = {
        "name": None if name is None else _checked_name(name),
        "trading_mode": None if trading_mode is None else _checked_mode(trading_mode),
        "automated_trading_simulation": automated_trading_simulation,
        "automated_trading_live": automated_trading_live,
    }
    with transaction.atomic():
        locks.lock_states([agent.pk])
        agent = _locked(agent)
        before = _facts(agent)
        for field, value in given.items():
            if value is not None:
                setattr(agent, field, value)
        after = _facts(agent)
        if after != before:
            agent.save(update_fields=[*_SWITCHES, "updated_at"])
            _record(actor, "agent.updated", agent, before=before, after=after)
            _announce(agent, "agent_updated")
    return agent


def update_config(*, agent: Agent, patch: dict[str, Any] | None, actor: User | None) -> TradingConfig:
    """Lay `patch` over the agent's configuration and store it; None goes back to the defaults.

    Raises:
        InvalidConfig: the result breaks a rule; nothing is stored. AgentNotFound: archived meanwhile.
    """
    with transaction.atomic():
        agent = _locked(agent)
        before = agent.trading_config
        after = trading_config.revise(before, patch)
        if after != before:
            agent.trading_config = after
            agent.save(update_fields=["trading_config", "updated_at"])
            _record(actor, "agent.config.updated", agent, before=_in_force(before), after=_in_force(after))
            _announce(agent, "agent_updated")
    return trading_config.load(after)


def archive_agent(*, agent: Agent, actor: User | None) -> None:
    """Take an agent out of use for good; its books stay. Whoever must may refuse through `AgentArchiving`.

    Locks the agent's state row, then the agent. Raises:
        AgentNotFound: archived already; and what a subscriber raises, e.g. Conflict POSITIONS_OPEN.
    """
    with transaction.atomic():
        locks.lock_states([agent.pk])
        agent = _locked(agent)
        events.publish(AgentArchiving(agent, actor))
        agent.archived_at = timezone.now()
        agent.save(update_fields=["archived_at", "updated_at"])
        _record(actor, "agent.archived", agent, before=_facts(agent), after=None)
        _announce(agent, "agent_archived")


def _locked(agent: Agent) -> Agent:
    row = Agent.objects.select_for_update(no_key=True, of=("self",)).filter(pk=agent.pk, archived_at=None).first()
    if row is None:
        raise AgentNotFound
    return row


def _checked_name(name: str) -> str:
    shortest, longest = NAME_LENGTH
    trimmed = name.strip()
    if not trimmed or not shortest <= len(name) <= longest:
        raise Invalid("INVALID_NAME", f"An agent's name has {shortest} to {longest} characters and is not blank.")
    return trimmed


def _checked_mode(mode: str) -> str:
    if mode not in TradingMode.values:
        raise Invalid("INVALID_TRADING_MODE", f"The mode must be one of {', '.join(TradingMode.values)}.")
    return mode


def _facts(agent: Agent) -> dict[str, Any]:
    return {field: getattr(agent, field) for field in _SWITCHES}


def _in_force(stored: Any) -> dict[str, Any]:
    """Return the whole configuration a stored one means, so that the log shows what changed and nothing else."""
    return trading_config.shown(trading_config.effective(stored))


def _record(actor: User | None, action: str, agent: Agent, *, before: Any, after: Any) -> None:
    audit.record(actor=actor, action=action, object_type="agent", object_id=agent.pk, before=before, after=after)


def _announce(agent: Agent, kind: str) -> None:
    """Tell the owner's screens that their list of agents changed."""
    payload = {
        "agentId": agent.pk,
        "name": agent.name,
        "tradingMode": agent.trading_mode,
        "automatedTradingSimulation": agent.automated_trading_simulation,
        "automatedTradingLive": agent.automated_trading_live,
    }
    outbox.append([outbox.Message(outbox.user_stream(agent.user_id), kind, payload)])
