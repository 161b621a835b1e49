"""Reading the outbox: every committed feed message becomes the deliveries its user's endpoints want. Misses nothing.

One intake leads at a time. Each round reads, in one snapshot, what transactions at or above the last round's watermark
wrote; the snapshot's oldest open transaction is the next watermark (CONCURRENCY 13). So what commits late is read late,
what is read twice has the same event id and changes nothing, and events of one stream come in their order. Bookings
know nothing of it: they write their outbox rows and no more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
import structlog
from django.db import transaction as database

from apps.core import bulk, outbox, relay
from apps.core.ears import Ears
from apps.core.models import OutboxReader
from apps.notify import selectors
from apps.notify.domain import events
from apps.notify.domain.events import Event, Known
from apps.notify.selectors import Subscription

log = structlog.get_logger(__name__)

READER = "webhooks"
_LOCK_KEY = 0x50F7_3EB0
_PAGE = 500
#: Bookings in quick succession are read together.
_SHORTEST_PAUSE_SECONDS = 0.05
#: A watermark that nothing was read for is stored this often, for retention.
_NOTE_EVERY_SECONDS = 10.0

_SNAPSHOT = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_WATERMARK = "SELECT watermark FROM outbox_reader WHERE name = %s"
# Only what somebody listens to leaves the database: a burst of others' bookings costs next to nothing here.
_ROWS = """
SELECT o.id, o.stream, o.sequence, o.kind, o.payload::text, o.created_at, owner.user_id
FROM outbox o
LEFT JOIN agent a ON a.id = CASE WHEN o.stream LIKE 'agent:%%' THEN substr(o.stream, 7)::uuid END
CROSS JOIN LATERAL (
    SELECT COALESCE(a.user_id, CASE WHEN o.stream LIKE 'user:%%' THEN substr(o.stream, 6)::uuid END) AS user_id
) owner
WHERE o.written_xid >= %(since)s::bigint::text::xid8 AND o.kind = ANY(%(kinds)s)
  AND (o.stream = 'global' OR owner.user_id = ANY(%(users)s))
ORDER BY o.id
"""
# Ids of another cluster (a restored dump) mean nothing in this one: all of it is read once more, then counts as old.
_FROM_ELSEWHERE = """
UPDATE outbox SET written_xid = '0' WHERE written_xid > pg_snapshot_xmax(pg_current_snapshot())
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One feed message as it stands in the outbox, and whom it concerns; None is everybody."""

    id: int
    stream: str
    sequence: int
    kind: str
    payload: Any
    at: datetime
    user_id: UUID | None

    @classmethod
    def read(cls, columns: Sequence[Any]) -> Row:
        """Return the row of one line of `_ROWS`."""
        number, stream, sequence, kind, text, at, user_id = columns
        return cls(number, stream, sequence, kind, orjson.loads(text), at, user_id)


@dataclass(frozen=True, slots=True)
class _Told:
    """An event and the endpoints it goes to."""

    row: Row
    index: int
    event: Event
    endpoint_ids: Sequence[UUID]


class Intake:
    """Makes deliveries of what was committed whenever `run` is called, if this process leads."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._ears = Ears(outbox.RELAY_CHANNEL)
        self._listened_for = False
        self._handled: frozenset[int] = frozenset()
        self._since: int | None = None
        self._next_note = 0.0

    def run(self) -> int:
        """Read what is new and return how many deliveries it made; 0 where another intake leads."""
        try:
            return self._round()
        except psycopg.Error:
            self._close_connection()
            raise

    def pause(self, wanted: threading.Event, seconds: float) -> None:
        """Wait for a commit to be announced, but no longer than `seconds`; for a nudge alone while nobody listens."""
        if not self._listened_for:
            wanted.wait(seconds)
            return
        time.sleep(min(_SHORTEST_PAUSE_SECONDS, seconds))
        self._ears.pause(wanted, max(0.0, seconds - _SHORTEST_PAUSE_SECONDS))

    def close(self) -> None:
        """Give up the lead and let go of every connection."""
        if self._connection is not None:
            relay.unlock(self._connection)
        self._close_connection()
        self._ears.close()

    def _round(self) -> int:
        leading = self._lead()
        if leading is None:
            return 0
        with leading.transaction():
            (watermark,) = leading.execute(_SNAPSHOT).fetchone() or (0,)
            since = self._since if self._since is not None else _stored(leading, watermark)
            # Read after the snapshot: an endpoint made before anything it should hear of is among them.
            by_user = selectors.subscriptions()
            self._listened_for = bool(by_user)
            made, news = self._read(leading, since, by_user) if by_user else (0, False)
        if since == 0:
            bulk.execute(_FROM_ELSEWHERE)
        if news or self._since is None or time.monotonic() >= self._next_note:
            self._next_note = time.monotonic() + _NOTE_EVERY_SECONDS
            OutboxReader.objects.update_or_create(name=READER, defaults={"watermark": watermark})
        self._since = watermark
        return made

    def _read(
        self, leading: psycopg.Connection[Any], since: int, by_user: Mapping[UUID, Sequence[Subscription]]
    ) -> tuple[int, bool]:
        """Return how many deliveries were made, and whether there was anything new to read."""
        made = 0
        seen: set[int] = set()
        with leading.cursor("webhook_intake") as cursor:
            cursor.execute(_ROWS, {"since": since, "kinds": list(events.KINDS), "users": list(by_user)})
            while page := cursor.fetchmany(_PAGE):
                new = [Row.read(row) for row in page if row[0] not in self._handled]
                made += take_in(new, by_user)
                seen.update(row[0] for row in page)
        news = not seen <= self._handled
        self._handled = frozenset(seen)
        return made, news

    def _lead(self) -> psycopg.Connection[tuple[Any, ...]] | None:
        """Return the connection that holds the lock; a lost one is noticed when it is used."""
        if self._connection is None or self._connection.closed:
            self._handled, self._since = frozenset(), None
            self._connection = relay.open_connection("soldesk-webhooks")
            (won,) = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() or (False,)
            if not won:
                self._close_connection()
                return None
            # Writing nothing, a long read holds nobody's watermark.
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
            log.info("webhook_intake_leads")
        return self._connection

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _stored(leading: psycopg.Connection[Any], watermark: int) -> int:
    """Return how far the last intake had read; 0 before the first, and in another cluster than it read."""
    (since,) = leading.execute(_WATERMARK, (READER,)).fetchone() or (0,)
    if since > watermark:
        log.warning("webhook_intake_starts_over", watermark=since, oldest_open=watermark)
        return 0
    return int(since)


def take_in(rows: Sequence[Row], by_user: Mapping[UUID, Sequence[Subscription]]) -> int:
    """Write the messages and deliveries of feed messages, in their order; return how many deliveries are new."""
    told = _told(rows, by_user)
    if not told:
        return 0
    with database.atomic():
        return _write(told)


def _told(rows: Sequence[Row], by_user: Mapping[UUID, Sequence[Subscription]]) -> list[_Told]:
    known = Known(
        closings=selectors.closings(
            position for row in rows if (position := events.ended_position(row.kind, row.payload)) is not None
        ),
        signals=selectors.signals(
            signal for row in rows if (signal := events.decided_signal(row.kind, row.payload)) is not None
        ),
    )
    told = []
    for row in rows:
        users = sorted(by_user) if row.user_id is None else [row.user_id]
        for index, event in enumerate(_events_of(row, known)):
            endpoint_ids = [
                subscription.endpoint_id
                for user in users
                for subscription in by_user[user]
                if subscription.wants(event.type, event.agent_id, row.at)
            ]
            if endpoint_ids:
                told.append(_Told(row, index, event, endpoint_ids))
    return told


def _events_of(row: Row, known: Known) -> list[Event]:
    try:
        return list(events.events_of(row.kind, row.payload, known))
    except (KeyError, TypeError, ValueError) as error:
        # One message of an unknown shape must not keep all that follow from being told.
        log.error("webhook_event_unreadable", outbox_id=row.id, kind=row.kind, error=repr(error))
        return []


_INSERT_MESSAGES = """
INSERT INTO webhook_message (event_id, type, user_id, agent_id, outbox_id, occurred_at, body)
SELECT event_id, type, user_id, agent_id, outbox_id, occurred_at, body
FROM unnest(%(event_ids)s::text[], %(types)s::text[], %(users)s::uuid[], %(agents)s::uuid[], %(rows)s::bigint[],
            %(times)s::timestamptz[], %(bodies)s::text[]) WITH ORDINALITY
    AS told (event_id, type, user_id, agent_id, outbox_id, occurred_at, body, n)
ORDER BY n ON CONFLICT (event_id) DO NOTHING RETURNING event_id, id
"""
# An endpoint deleted meanwhile gets none; the others are held until commit, so that none can be deleted in between.
_INSERT_DELIVERIES = """
INSERT INTO webhook_delivery (id, endpoint_id, message_id, order_key, status, attempts, tries, due_at, pending_since,
                              last_error, response_excerpt)
SELECT gen_random_uuid(), e.id, told.message_id, told.order_key, 'pending', 0, 0, clock_timestamp(), clock_timestamp(),
       '', ''
FROM unnest(%(endpoints)s::uuid[], %(messages)s::bigint[], %(keys)s::text[])
    AS told (endpoint_id, message_id, order_key)
JOIN (SELECT id FROM webhook_endpoint WHERE id = ANY(%(endpoints)s::uuid[]) ORDER BY id FOR KEY SHARE) e
    ON e.id = told.endpoint_id
ORDER BY told.message_id
ON CONFLICT (endpoint_id, message_id) DO NOTHING
"""


def _write(told: Sequence[_Told]) -> int:
    event_ids = [events.event_id(item.row.stream, item.row.sequence, item.row.at, item.index) for item in told]
    written: dict[str, int] = dict(
        bulk.fetch_all(
            _INSERT_MESSAGES,
            {
                "event_ids": event_ids,
                "types": [item.event.type for item in told],
                "users": [item.row.user_id for item in told],
                "agents": [item.event.agent_id for item in told],
                "rows": [item.row.id for item in told],
                "times": [item.row.at for item in told],
                "bodies": [
                    events.body(item.event, event_id=event_id, occurred_at=item.row.at)
                    for item, event_id in zip(told, event_ids, strict=True)
                ],
            },
        )
    )
    parcels = [
        (endpoint_id, written[event_id], item.event.order_key)
        for item, event_id in zip(told, event_ids, strict=True)
        if event_id in written
        for endpoint_id in item.endpoint_ids
    ]
    if not parcels:
        return 0
    endpoints, messages, keys = (list(column) for column in zip(*parcels, strict=True))
    return bulk.execute(_INSERT_DELIVERIES, {"endpoints": endpoints, "messages": messages, "keys": keys})
