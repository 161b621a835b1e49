"""Which deliveries may be sent now, leased to whoever asks.

One endpoint has at most `MOST_PER_ENDPOINT` attempts under way, one that is failing fewer, so that hanging receivers
take no room from others. A pending delivery with an order key bars later ones of its endpoint and key until it has
failed several times.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.core import bulk
from apps.notify.domain import pauses

MOST_PER_ENDPOINT = 8
MOST_PER_FAILING_ENDPOINT = 2
#: Longer than an attempt can take.
LEASE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Parcel:
    """One leased delivery with all it takes to send it."""

    delivery_id: UUID
    lease: UUID
    tries: int
    event_id: str
    type: str
    body: str
    endpoint_id: UUID
    url: str
    sealed_secret: str
    sealed_previous_secret: str
    previous_secret_until: datetime | None


_CLAIM = """
WITH busy AS (
    SELECT endpoint_id, count(*) AS n FROM webhook_delivery
    WHERE status = 'pending' AND leased_until > clock_timestamp() GROUP BY endpoint_id
), chosen AS (
    SELECT due.id FROM webhook_endpoint e
    LEFT JOIN busy ON busy.endpoint_id = e.id
    CROSS JOIN LATERAL (
        SELECT d.id FROM webhook_delivery d
        WHERE d.endpoint_id = e.id AND d.status = 'pending' AND d.due_at <= clock_timestamp()
          AND (d.leased_until IS NULL OR d.leased_until <= clock_timestamp())
          AND (d.order_key = '' OR NOT EXISTS (
              SELECT 1 FROM webhook_delivery earlier
              WHERE earlier.endpoint_id = d.endpoint_id AND earlier.order_key = d.order_key
                AND earlier.order_key <> '' AND earlier.status = 'pending'
                AND earlier.message_id < d.message_id AND earlier.tries < %(barring_tries)s))
        ORDER BY d.due_at, d.message_id
        LIMIT greatest(0, CASE WHEN e.failing_since IS NULL THEN %(most)s ELSE %(most_failing)s END
                          - COALESCE(busy.n, 0))
        FOR NO KEY UPDATE OF d SKIP LOCKED
    ) due
    WHERE e.enabled AND (%(failing)s OR e.failing_since IS NULL)
      AND EXISTS (SELECT 1 FROM account u WHERE u.id = e.user_id AND u.is_active)
    ORDER BY COALESCE(busy.n, 0), e.failing_since NULLS FIRST
    LIMIT %(room)s
)
UPDATE webhook_delivery d
SET lease = gen_random_uuid(), leased_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM chosen, webhook_endpoint e, webhook_message m
WHERE d.id = chosen.id AND e.id = d.endpoint_id AND m.id = d.message_id
RETURNING d.id, d.lease, d.tries, m.event_id, m.type, m.body, e.id, e.url, e.sealed_secret, e.sealed_previous_secret,
          e.previous_secret_until, d.message_id
"""


def claim_due(*, room: int, failing: bool = True) -> list[Parcel]:
    """Lease up to `room` due deliveries, oldest messages first; of endpoints that fail only if `failing`."""
    if room <= 0:
        return []
    rows = bulk.fetch_all(
        _CLAIM,
        {
            "room": room,
            "failing": failing,
            "most": MOST_PER_ENDPOINT,
            "most_failing": MOST_PER_FAILING_ENDPOINT,
            "barring_tries": pauses.BARRING_TRIES,
            "lease_seconds": LEASE_SECONDS,
        },
    )
    rows.sort(key=lambda row: row[-1])
    return [Parcel(*row[:-1]) for row in rows]


_WAITING = """
SELECT count(*), COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(d.due_at) FILTER (WHERE e.enabled)), 0)
FROM webhook_delivery d JOIN webhook_endpoint e ON e.id = d.endpoint_id WHERE d.status = 'pending'
"""


def waiting() -> tuple[int, float]:
    """Return how many deliveries are pending, and for how many seconds the oldest one that is due has been."""
    ((pending, oldest),) = bulk.fetch_all(_WAITING)
    return pending, max(0.0, float(oldest))
