"""How long what grows is kept. The one place that says so; Beat runs it each night. Rows of money have no end."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.utils import timezone

from apps.accounts.services import idempotency, sessions
from apps.core import bulk
from apps.prices import services as prices

log = structlog.get_logger(__name__)

TICKS = timedelta(days=7)
#: Verdicts that traded are part of the books and stay; the others go.
EXECUTIONS_WITHOUT_TRADE = timedelta(days=30)
CANCELLED_EXITS = timedelta(days=30)
DUPLICATE_KEYS = timedelta(days=1)
_AT_ONCE = 10_000

_EXPIRED = {
    "executions": (
        "DELETE FROM signal_execution WHERE id IN (SELECT id FROM signal_execution WHERE created_at < %s"
        " AND verdict IN ('skipped', 'failed') LIMIT %s)",
        EXECUTIONS_WITHOUT_TRADE,
    ),
    "exit_intents": (
        "DELETE FROM exit_intent WHERE id IN (SELECT id FROM exit_intent WHERE finished_at < %s"
        " AND status = 'cancelled' LIMIT %s)",
        CANCELLED_EXITS,
    ),
    "duplicate_keys": (
        "DELETE FROM signal_dedup WHERE (user_id, token_address, signal_type, signal_strength) IN (SELECT user_id,"
        " token_address, signal_type, signal_strength FROM signal_dedup WHERE expires_at < %s LIMIT %s)",
        DUPLICATE_KEYS,
    ),
}


def prune() -> dict[str, int]:
    """Remove what is past its time, in parts of their own transactions; return how many rows went, by kind."""
    now = timezone.now()
    gone = {
        "ticks": prices.prune_ticks(now - TICKS),
        "sessions": sessions.prune(now=now),
        "idempotency_keys": idempotency.prune(now=now),
    }
    for kind, (statement, age) in _EXPIRED.items():
        gone[kind] = 0
        while removed := bulk.execute(statement, [now - age, _AT_ONCE]):
            gone[kind] += removed
    log.info("retention_done", **gone)
    return gone
