"""How strictly an agent's live buys judge a token: nothing passes unless somebody allowed it by name."""

from __future__ import annotations

from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import Agent
from apps.core.errors import Invalid
from apps.trading.domain.token_safety import STRICT, Policy
from apps.trading.models import TokenSafetyPolicy

_NAMES = tuple(item.name for item in fields(Policy))
_HIGHEST_PERCENT = Decimal(100)
_HIGHEST_BPS = 10_000


def get_policy(*, agent: Agent) -> Policy:
    """Return what the agent lets pass; the strictest where nothing was ever allowed."""
    row = TokenSafetyPolicy.objects.filter(agent=agent).first()
    return STRICT if row is None else policy_of(row)


def policy_of(row: TokenSafetyPolicy) -> Policy:
    return Policy(**{name: getattr(row, name) for name in _NAMES})


def set_policy(*, agent: Agent, changes: dict[str, Any], actor: User | None) -> Policy:
    """Change what is given of an agent's policy and leave the rest. Locks the agent's state row.

    Raises:
        Invalid: INVALID_TOKEN_SAFETY.
    """
    _check(changes)
    with database.atomic():
        locks.lock_states([agent.pk])
        row = TokenSafetyPolicy.objects.select_for_update(of=("self",)).filter(agent=agent).first()
        before = STRICT if row is None else policy_of(row)
        after = Policy(**{**asdict(before), **changes})
        if after == before:
            return before
        row = row or TokenSafetyPolicy(agent=agent)
        for name, value in asdict(after).items():
            setattr(row, name, value)
        row.save()
        audit.record(
            actor=actor,
            action="token_safety.changed",
            object_type="agent",
            object_id=str(agent.pk),
            before=asdict(before),
            after=asdict(after),
        )
    return after


def _check(changes: dict[str, Any]) -> None:
    unknown = sorted(changes.keys() - set(_NAMES))
    if unknown:
        raise Invalid("INVALID_TOKEN_SAFETY", f"there is no {unknown[0]}")
    for name, value in changes.items():
        if name.endswith("_percent") and not 0 <= value <= _HIGHEST_PERCENT:
            raise Invalid("INVALID_TOKEN_SAFETY", f"{name} must be 0 to 100")
        if name.endswith("_bps") and not 0 <= value <= _HIGHEST_BPS:
            raise Invalid("INVALID_TOKEN_SAFETY", f"{name} must be 0 to {_HIGHEST_BPS}")
