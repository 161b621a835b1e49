"""The feed's outbox: messages written in the transaction they tell of, numbered per stream, published by `core.relay`.

A stream is `agent:<id>` (numbered on its `agent_state` row), `user:<id>` or `global` (numbered in `feed_stream`). The
row of a stream stays locked until commit, so that numbers have no gap and messages are published in their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.core import redis
from apps.core.api import wire
from apps.core.models import OutboxMessage

GLOBAL_STREAM = "global"
RELAY_CHANNEL = "relay"
KEEP_PUBLISHED = timedelta(hours=1)
_PRUNE_CHUNK = 5_000
_AGENT_PREFIX = "agent:"


@dataclass(frozen=True, slots=True)
class Message:
    """What changed, for those who watch `stream`; `payload` becomes JSON (Decimals as exact numbers, times with Z)."""

    stream: str
    kind: str
    payload: Any


def agent_stream(agent_id: object) -> str:
    return f"{_AGENT_PREFIX}{agent_id}"


def user_stream(user_id: object) -> str:
    return f"user:{user_id}"


# One round trip. Streams are locked in their order before they are numbered, agents before the rest; the caller of a
# booking holds its agents already (CONCURRENCY 1), and everybody else may rely on the order.
_APPEND = """
WITH message AS (
    SELECT * FROM unnest(%(streams)s::text[], %(places)s::int[], %(kinds)s::text[], %(payloads)s::jsonb[])
        WITH ORDINALITY AS m (stream, place, kind, payload, written)
), agent_lock AS MATERIALIZED (
    SELECT agent_id FROM agent_state WHERE agent_id = ANY(%(agents)s::uuid[]) ORDER BY agent_id FOR NO KEY UPDATE
), agent_number AS (
    UPDATE agent_state SET feed_sequence = feed_sequence + counted.n
    FROM agent_lock JOIN unnest(%(agents)s::uuid[], %(agent_counts)s::int[]) AS counted (agent_id, n) USING (agent_id)
    WHERE agent_state.agent_id = agent_lock.agent_id
    RETURNING 'agent:' || agent_state.agent_id AS stream, feed_sequence - counted.n AS before
), stream_number AS (
    INSERT INTO feed_stream AS kept (stream, sequence)
    SELECT stream, n FROM unnest(%(others)s::text[], %(other_counts)s::int[]) AS counted (stream, n)
    WHERE (SELECT count(*) FROM agent_number) >= 0
    ORDER BY stream
    ON CONFLICT (stream) DO UPDATE SET sequence = kept.sequence + excluded.sequence
    RETURNING stream, sequence
), number AS (
    SELECT stream, before FROM agent_number
    UNION ALL
    SELECT stream, sequence - counted.n FROM stream_number
    JOIN unnest(%(others)s::text[], %(other_counts)s::int[]) AS counted (stream, n) USING (stream)
)
INSERT INTO outbox (stream, sequence, kind, payload)
SELECT message.stream, number.before + message.place, message.kind, message.payload
FROM message JOIN number USING (stream)
ORDER BY message.written
"""


def append(messages: Iterable[Message]) -> int:
    """Write messages in the caller's transaction, in the order given, and return how many; after commit they go out.

    Call it last: it locks the streams until commit. Costs about 10 ms for 1,000 messages of 600 bytes.

    Raises:
        LookupError: an agent stream without its `agent_state` row.
    """
    batch = list(messages)
    if not batch:
        return 0
    places: dict[str, int] = {}
    numbered = []
    for message in batch:
        places[message.stream] = place = places.get(message.stream, 0) + 1
        numbered.append(place)
    agents = {stream[len(_AGENT_PREFIX) :]: n for stream, n in places.items() if stream.startswith(_AGENT_PREFIX)}
    others = {stream: n for stream, n in places.items() if not stream.startswith(_AGENT_PREFIX)}
    with connection.cursor() as cursor:
        cursor.execute(
            _APPEND,
            {
                "streams": [message.stream for message in batch],
                "places": numbered,
                "kinds": [message.kind for message in batch],
                "payloads": [wire.encode(message.payload).decode() for message in batch],
                "agents": list(agents),
                "agent_counts": list(agents.values()),
                "others": list(others),
                "other_counts": list(others.values()),
            },
        )
        if cursor.rowcount != len(batch):
            raise LookupError(f"{len(batch) - cursor.rowcount} feed messages name an agent that has no state row")
    transaction.on_commit(wake_relay)
    return len(batch)


def wake_relay() -> bool:
    """Tell the relay that something is due; when Redis does not hear it, the relay looks by itself within a second."""
    return redis.attempt(lambda client: client.publish(redis.name(RELAY_CHANNEL), b"") > 0, False)


def prune_outbox(*, older_than: timedelta = KEEP_PUBLISHED) -> int:
    """Remove published messages older than `older_than`, in chunks of their own transactions; return how many."""
    removed = 0
    before = timezone.now() - older_than
    while True:
        ids = list(
            OutboxMessage.objects.filter(published_at__lt=before)
            .order_by("id")
            .values_list("id", flat=True)[:_PRUNE_CHUNK]
        )
        if not ids:
            return removed
        removed += OutboxMessage.objects.filter(id__in=ids).delete()[0]


def oldest_unpublished_seconds() -> float:
    """Return the age in seconds of the oldest message not yet published; 0 when none waits."""
    oldest = OutboxMessage.objects.filter(published_at=None).order_by("id").values_list("created_at", flat=True).first()
    return 0.0 if oldest is None else max(0.0, (timezone.now() - oldest).total_seconds())
