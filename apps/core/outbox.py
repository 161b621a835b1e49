"""The feed's outbox: messages written in the transaction they tell of, numbered per stream, published by `core.relay`.

A stream is `agent:<id>` (numbered on its `agent_state` row), `user:<id>` or `global` (numbered in `feed_stream`). The
row of a stream stays locked until commit, so that numbers have no gap and messages are published in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.utils import timezone

from apps.core import bulk, fixed_sql, redis, wake
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


# Streams are locked in their order before they are numbered, agents before the rest: the caller of a booking holds its
# agents already (CONCURRENCY 1), everybody else may rely on the order.
_NUMBER_AGENTS = """
WITH locked AS MATERIALIZED (
    SELECT agent_id FROM agent_state WHERE agent_id = ANY(%(agents)s::uuid[]) ORDER BY agent_id FOR NO KEY UPDATE
)
UPDATE agent_state SET feed_sequence = feed_sequence + counted.n
FROM unnest(%(agents)s::uuid[], %(counts)s::int[]) AS counted (agent_id, n)
WHERE agent_state.agent_id = counted.agent_id AND (SELECT count(*) FROM locked) > 0
RETURNING agent_state.agent_id::text, feed_sequence
"""
_NUMBER_STREAMS = """
INSERT INTO feed_stream AS kept (stream, sequence)
SELECT * FROM unnest(%(streams)s::text[], %(counts)s::int[]) AS counted (stream, n) ORDER BY stream
ON CONFLICT (stream) DO UPDATE SET sequence = kept.sequence + excluded.sequence
RETURNING stream, sequence
"""


def append(messages: Iterable[Message], *, taken: Mapping[str, int] | None = None) -> int:
    """Write messages in the caller's transaction, in the order given, and return how many; after commit they go out.

    Call it last: it locks the streams until commit. Costs about 15 ms for 1,000 messages of 1 kB. `taken` saves a third
    of that to a caller that updates `agent_state` anyway: the last number of each stream it has itself raised by the
    number of that stream's messages.

    Raises:
        LookupError: an agent stream without its `agent_state` row.
    """
    batch = list(messages)
    if not batch:
        return 0
    if len(batch) == 1 and not taken and not batch[0].stream.startswith(_AGENT_PREFIX):
        return _append_one(batch[0])
    counts = Counter(message.stream for message in batch)
    last = dict(taken or {})
    with connection.cursor() as cursor:
        last |= _number(cursor, {stream: count for stream, count in counts.items() if stream not in last})
    if counts.keys() - last.keys():
        raise LookupError(f"no state row for {sorted(counts.keys() - last.keys())}")
    following = {stream: last[stream] - count + 1 for stream, count in counts.items()}
    rows = []
    for message in batch:
        rows.append((message.stream, following[message.stream], message.kind, _encode(message.payload)))
        following[message.stream] += 1
    bulk.insert_rows("outbox", ("stream", "sequence", "kind", "payload"), rows)
    wake_on_commit()
    return len(batch)


#: Writes the one row of a CTE `message (stream, kind, payload)`, of a user's or the global stream, in the statement
#: that makes it; whoever uses it calls `wake_on_commit`.
APPEND_MESSAGE = """
numbered AS (
    INSERT INTO feed_stream AS kept (stream, sequence) SELECT stream, 1 FROM message
    ON CONFLICT (stream) DO UPDATE SET sequence = kept.sequence + 1 RETURNING stream, sequence
), appended AS (
    INSERT INTO outbox (stream, sequence, kind, payload)
    SELECT stream, sequence, kind, payload FROM numbered JOIN message USING (stream)
    RETURNING id
)
"""
_APPEND_ONE = f"""
WITH message AS (SELECT %(stream)s AS stream, %(kind)s AS kind, %(payload)s::jsonb AS payload), {APPEND_MESSAGE}
SELECT count(*) FROM appended
"""


def _append_one(message: Message) -> int:
    """Number and write one message of a user's or the global stream in one round trip."""
    ((written,),) = fixed_sql.fetch_all(
        _APPEND_ONE, {"stream": message.stream, "kind": message.kind, "payload": _encode(message.payload)}
    )
    wake_on_commit()
    return int(written)


def _number(cursor: Any, counts: Mapping[str, int]) -> dict[str, int]:
    """Take the next numbers of every stream and return each one's last; the streams are locked until commit."""
    agents = {stream.removeprefix(_AGENT_PREFIX): n for stream, n in counts.items() if stream.startswith(_AGENT_PREFIX)}
    others = {stream: n for stream, n in counts.items() if not stream.startswith(_AGENT_PREFIX)}
    last: dict[str, int] = {}
    if agents:
        cursor.execute(_NUMBER_AGENTS, {"agents": list(agents), "counts": list(agents.values())})
        last |= {agent_stream(agent_id): sequence for agent_id, sequence in cursor.fetchall()}
    if others:
        cursor.execute(_NUMBER_STREAMS, {"streams": list(others), "counts": list(others.values())})
        last |= dict(cursor.fetchall())
    return last


def _encode(payload: Any) -> str:
    return orjson.dumps(payload, default=_exact, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _exact(value: Any) -> Any:
    """Write a Decimal with its own digits: every form `str` gives is a JSON number, and quicker than a tidy one."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    if isinstance(value, datetime):
        return wire.timestamp_text(value)
    raise TypeError(f"{type(value).__name__} in a feed message")


def wake_on_commit() -> None:
    """Tell the relay once the present transaction has committed; what it does not hear it finds within a second."""
    wake.call_on_commit(redis.name(RELAY_CHANNEL))


_PRUNE = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at < %(before)s
        AND NOT EXISTS (SELECT 1 FROM outbox_reader r WHERE outbox.written_xid >= r.watermark::text::xid8)
    ORDER BY id LIMIT %(chunk)s
)
"""


def prune_outbox(*, older_than: timedelta = KEEP_PUBLISHED) -> int:
    """Remove published messages older than `older_than` that every reader has read; return how many.

    In chunks of their own transactions.
    """
    removed = 0
    before = timezone.now() - older_than
    while gone := bulk.execute(_PRUNE, {"before": before, "chunk": _PRUNE_CHUNK}):
        removed += gone
    return removed


def oldest_unpublished_seconds() -> float:
    """Return the age in seconds of the oldest message not yet published; 0 when none waits."""
    oldest = OutboxMessage.objects.filter(published_at=None).order_by("id").values_list("created_at", flat=True).first()
    return 0.0 if oldest is None else max(0.0, (timezone.now() - oldest).total_seconds())
