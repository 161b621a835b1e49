"""How long what grows is kept. The one place that says so; Beat runs it. Rows of money have no end.

Prices grow by a row per held token and second, so they are pruned each hour; everything else each night.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.utils import timezone

from apps.accounts.services import attempts, idempotency, sessions
from apps.core import bulk
from apps.prices import services as prices
from apps.prices.domain.candles import Interval

log = structlog.get_logger(__name__)

#: Rules look back a minute, a watch that starts to where the last one had written back, charts read candles. A day of
#: ticks is for people: what exactly did the price do when this was sold?
TICKS = timedelta(hours=24)
#: Ticks no watch has written back yet are kept for a desk that stood still this long.
UNWRITTEN_TICKS = timedelta(days=3)
MINUTE_CANDLES = timedelta(days=7)
HOUR_CANDLES = timedelta(days=5 * 365)
#: Verdicts that traded are part of the books and stay; the others go.
EXECUTIONS_WITHOUT_TRADE = timedelta(days=30)
CANCELLED_EXITS = timedelta(days=30)
ENDED_EVIDENCE = timedelta(days=30)
DUPLICATE_KEYS = timedelta(days=1)
#: Of each signal webhook at most the last 200 anyway (`signals.webhook_intake`).
WEBHOOK_REQUESTS = timedelta(days=30)
_AT_ONCE = 10_000

_EXPIRED = {
    "executions": (
        "DELETE FROM signal_execution WHERE id IN (SELECT id FROM signal_execution WHERE created_at < %s"
        " AND verdict IN ('skipped', 'failed') LIMIT %s)",
        EXECUTIONS_WITHOUT_TRADE,
    ),
    "exit_intents": (
        "DELETE FROM exit_intent WHERE id IN (SELECT id FROM exit_intent WHERE finished_at < %s"
        " AND status = 'cancelled' AND NOT EXISTS (SELECT 1 FROM trade_order o WHERE o.intent_id = exit_intent.id)"
        " LIMIT %s)",
        CANCELLED_EXITS,
    ),
    "dead_tokens": (
        "DELETE FROM dead_token WHERE mint IN (SELECT mint FROM dead_token WHERE cleared_at < %s LIMIT %s)",
        ENDED_EVIDENCE,
    ),
    "duplicate_keys": (
        "DELETE FROM signal_dedup WHERE (user_id, token_address, signal_type, signal_strength) IN (SELECT user_id,"
        " token_address, signal_type, signal_strength FROM signal_dedup WHERE expires_at < %s LIMIT %s)",
        DUPLICATE_KEYS,
    ),
    "webhook_requests": (
        "DELETE FROM signal_webhook_request WHERE id IN"
        " (SELECT id FROM signal_webhook_request WHERE received_at < %s LIMIT %s)",
        WEBHOOK_REQUESTS,
    ),
}


_WRITTEN_BACK = "SELECT min(tick_id) FROM watch_progress WHERE updated_at >= %s"


def prune_prices() -> dict[str, int]:
    """Remove old ticks and candles, in parts of their own transactions; return how many rows went, by kind."""
    now = timezone.now()
    ((written_back,),) = bulk.fetch_all(_WRITTEN_BACK, [now - UNWRITTEN_TICKS])
    spare_from = None if written_back is None else written_back + 1
    ticks = prices.prune_ticks(now - UNWRITTEN_TICKS) + prices.prune_ticks(now - TICKS, spare_from=spare_from)
    gone = {
        "ticks": ticks,
        "minute_candles": prices.prune_candles(Interval.MINUTE, now - MINUTE_CANDLES),
        "hour_candles": prices.prune_candles(Interval.HOUR, now - HOUR_CANDLES),
    }
    log.info("old_prices_removed", **gone)
    return gone


def prune() -> dict[str, int]:
    """Remove what is past its time, in parts of their own transactions; return how many rows went, by kind."""
    now = timezone.now()
    gone = {
        **prune_prices(),
        "sessions": sessions.prune(now=now),
        "strangers": attempts.prune(now=now),
        "idempotency_keys": idempotency.prune(now=now),
    }
    for kind, (statement, age) in _EXPIRED.items():
        gone[kind] = 0
        while removed := bulk.execute(statement, [now - age, _AT_ONCE]):
            gone[kind] += removed
    log.info("retention_done", **gone)
    return gone
