"""How long webhooks' messages, deliveries and attempts are kept. The one place that says so; Beat runs it."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.utils import timezone

from apps.core import bulk

log = structlog.get_logger(__name__)

#: What was delivered or given up may be looked at and sent again for this long.
MESSAGES = timedelta(days=14)
_AT_ONCE = 5_000

# Whatever is still pending is younger: it is given up after days. A message resent by hand stays until it is over.
_OLD = """
SELECT m.id FROM webhook_message m WHERE m.created_at < %s
    AND NOT EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.message_id = m.id AND d.status = 'pending')
ORDER BY m.created_at LIMIT %s
"""
_ATTEMPTS = """
DELETE FROM webhook_attempt WHERE delivery_id IN (SELECT id FROM webhook_delivery WHERE message_id = ANY(%s))
"""


def prune() -> int:
    """Remove old messages with their deliveries and attempts, in parts; return how many messages went."""
    before = timezone.now() - MESSAGES
    removed = 0
    while ids := [row[0] for row in bulk.fetch_all(_OLD, [before, _AT_ONCE])]:
        bulk.execute(_ATTEMPTS, [ids])
        bulk.execute("DELETE FROM webhook_delivery WHERE message_id = ANY(%s)", [ids])
        removed += bulk.execute("DELETE FROM webhook_message WHERE id = ANY(%s)", [ids])
    log.info("webhook_messages_removed", messages=removed)
    return removed
