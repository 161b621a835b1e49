"""Requests that must not run twice: the first answer to an Idempotency-Key is kept and given again.

A key belongs to a user. While the first request runs, its row says so; if the process dies, the row is taken over after
its lock has run out. Work that books and this row's answer may share one transaction: then nothing can be done twice.
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
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer as it was given; `body` is JSON bytes."""

    status: int
    body: bytes


def fingerprint(method: str, path: str, body: Any) -> str:
    """Return what tells one request from another: method, path and the meaning of the body, not its spacing."""
    text = json.dumps(body, default=str, sort_keys=True)
    return hashlib.sha256(f"{method} {path}\n{text}".encode("utf-8", "replace")).hexdigest()


def claim(*, user: User, key: str, fingerprint: str) -> int | Answer:
    """Take the key for a first run and return its row's id, or return the answer given before.

    Raises:
        Invalid: INVALID_IDEMPOTENCY_KEY. SoldeskError 422: IDEMPOTENCY_KEY_REUSED. Conflict: IDEMPOTENCY_IN_PROGRESS.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise Invalid("INVALID_IDEMPOTENCY_KEY", f"Idempotency-Key must be 1 to {LONGEST_KEY} printable characters.")
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"user": user.pk, "key": key, "fingerprint": fingerprint, "seconds": LOCKED_SECONDS})
        claimed = cursor.fetchone()
    if claimed is not None:
        return int(claimed[0])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fingerprint, status, response::text FROM idempotency_key WHERE user_id = %s AND key = %s",
            [user.pk, key],
        )
        known = cursor.fetchone()
    if known is not None and known[0] != fingerprint:
        raise SoldeskError("IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key was used for another request.", status=422)
    if known is None or known[1] is None:
        raise Conflict("IDEMPOTENCY_IN_PROGRESS", "The first request with this Idempotency-Key still runs.")
    return Answer(known[1], known[2].encode())


def keep(claim_id: int, answer: Answer) -> None:
    """Store the final answer of a claimed key, every digit of it: as JSON text, never through floats."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE idempotency_key SET status = %s, response = %s::jsonb WHERE id = %s",
            [answer.status, answer.body.decode() or "null", claim_id],
        )


def release(claim_id: int) -> None:
    """Forget a claim whose request failed without effect, so that it may be tried again."""
    IdempotencyKey.objects.filter(pk=claim_id, status=None).delete()


def prune(*, now: datetime) -> int:
    """Delete keys older than a day; return how many. For the clean-up task."""
    removed, _ = IdempotencyKey.objects.filter(created_at__lt=now - timedelta(hours=KEPT_HOURS)).delete()
    return removed
