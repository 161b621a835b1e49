"""The audit log: who changed what, before and after. Written in the transaction of the change."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import structlog

from apps.accounts.models import AuditEntry, User

MAX_LABEL = 254


def record(
    *,
    actor: User | None,
    action: str,
    object_type: str,
    object_id: object,
    before: Any = None,
    after: Any = None,
) -> AuditEntry:
    """Append one entry; `actor` None means the system. Decimals, times and ids in `before`/`after` become text."""
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    return AuditEntry.objects.create(
        actor_id=None if actor is None else actor.pk,
        actor_label="system" if actor is None else actor.email[:MAX_LABEL],
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        before=_plain(before),
        after=_plain(after),
        request_id=str(request_id)[:64],
    )


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it."""
    return None if value is None else json.loads(json.dumps(value, default=_text))


def _text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return str(value)
