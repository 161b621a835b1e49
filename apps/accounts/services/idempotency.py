"""Requests that must not run twice: the first answer to an Idempotency-Key is kept and given again.

A key belongs to a user. While the first request runs, its row says so; if the process dies, the row is taken over after
its lock has run out. An answer is kept in the transaction that books what it tells of: then nothing can be done twice,
whoever dies when. Work that goes on elsewhere is remembered when it is begun, and a repeat goes on with it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.accounts.models import IdempotencyKey, User
from apps.core.errors import Conflict, Invalid, SoldeskError

LOCKED_SECONDS = 60
LONGEST_KEY = 255
KEPT_HOURS = 24

_CLAIM = """
INSERT INTO idempotency_key AS kept (user_id, key, fingerprint, locked_until, created_at)
VALUES (%(user)s, %(key)s, %(fingerprint)s, clock_timestamp() + make_interval(secs => %(seconds)s), clock_timestamp())
ON CONFLICT (user_id, key) DO UPDATE SET locked_until = EXCLUDED.locked_until
WHERE kept.status IS NULL AND kept.locked_until <= clock_timestamp() AND kept.fingerprint = EXCLUDED.fingerprint
RETURNING id, locked_until, begun::text
"""
_HELD = " WHERE id = %s AND status IS NULL AND locked_until = %s"


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer as it was given; `body` is JSON bytes."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a request until it is taken over; `begun` is what an earlier run began and did not finish.

    `locked_until` tells this run from the one that took it over.
    """

    id: int
    locked_until: datetime
    begun: Any = None


def fingerprint(method: str, path: str, body: Any) -> str:
    """Return what tells one request from another: method, path and the meaning of the body, not its spacing."""
    text = json.dumps(body, default=str, sort_keys=True)
    return hashlib.sha256(f"{method} {path}\n{text}".encode("utf-8", "replace")).hexdigest()


def claim(*, user: User, key: str, fingerprint: str) -> Claim | Answer:
    """Take the key for a run, or return the answer given before.

    Raises:
        Invalid: INVALID_IDEMPOTENCY_KEY. SoldeskError 422: IDEMPOTENCY_KEY_REUSED. Conflict: IDEMPOTENCY_IN_PROGRESS.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Invalid(
            "INVALID_IDEMPOTENCY_KEY", f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters."
        )
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"user": user.pk, "key": key, "fingerprint": fingerprint, "seconds": LOCKED_SECONDS})
        claimed = cursor.fetchone()
    if claimed is not None:
        number, locked_until, begun = claimed
        return Claim(number, locked_until, None if begun is None else json.loads(begun))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fingerprint, status, response::text FROM idempotency_key WHERE user_id = %s AND key = %s",
            [user.pk, key],
        )
        known = cursor.fetchone()
    if known is not None and known[0] != fingerprint:
        raise SoldeskError("IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key was used for another request.", status=422)
    if known is None or known[1] is None:
        raise _in_progress()
    return Answer(known[1], known[2].encode())


def keep(claim: Claim, answer: Answer) -> None:
    """Store the final answer of a claimed key, every digit of it: as JSON text, never through floats.

    Belongs into the transaction that books what the answer tells of.

    Raises:
        Conflict: IDEMPOTENCY_IN_PROGRESS: this run took so long that another took over; it must book nothing.
    """
    _hold(
        claim,
        "UPDATE idempotency_key SET status = %s, response = %s::jsonb",
        answer.status,
        answer.body.decode() or "null",
    )


def begin(claim: Claim, work: Any) -> None:
    """Remember what was begun, JSON-ready, in the transaction that begins it: a repeat finds it in its `begun`.

    Raises:
        Conflict: IDEMPOTENCY_IN_PROGRESS, as in `keep`.
    """
    _hold(claim, "UPDATE idempotency_key SET begun = %s::jsonb", json.dumps(work))


def release(claim: Claim) -> None:
    """Let the request be tried again: forgotten if it had no effect, else to be gone on with."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM idempotency_key" + _HELD + " AND begun IS NULL", [claim.id, claim.locked_until])
        cursor.execute(
            "UPDATE idempotency_key SET locked_until = clock_timestamp()" + _HELD, [claim.id, claim.locked_until]
        )


def _hold(claim: Claim, statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement + _HELD, [*values, claim.id, claim.locked_until])
        if cursor.rowcount != 1:
            raise _in_progress()


def _in_progress() -> Conflict:
    return Conflict("IDEMPOTENCY_IN_PROGRESS", "Another request with this Idempotency-Key still runs.")


def prune(*, now: datetime) -> int:
    """Delete keys older than a day; return how many. For the clean-up task."""
    removed, _ = IdempotencyKey.objects.filter(created_at__lt=now - timedelta(hours=KEPT_HOURS)).delete()
    return removed
