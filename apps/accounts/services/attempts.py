"""Wrong passwords and codes, counted and locked: users on their own row, strangers on a row that looks the same.

One conditional statement each, so that no race passes the limit. What is counted must survive the refusal that follows:
callers raise after their transaction.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.accounts.errors import Locked
from apps.accounts.models import StrangerAttempts, User

_KEPT = timedelta(days=30)
_FAILURES = "CASE WHEN {row}.locked_until IS NULL THEN {row}.failed_logins + 1 ELSE 1 END"
_LOCK = "CASE WHEN {failures} >= %(limit)s THEN clock_timestamp() + make_interval(secs => %(seconds)s) END"
_OPEN = "({row}.locked_until IS NULL OR {row}.locked_until <= clock_timestamp())"


def _counting(row: str) -> str:
    failures = _FAILURES.format(row=row)
    return f"failed_logins = {failures}, locked_until = {_LOCK.format(failures=failures)}"


_FAIL = f"UPDATE account SET {_counting('account')} WHERE id = %(who)s AND {_OPEN.format(row='account')}"
_FAIL_STRANGER = f"""
INSERT INTO stranger_attempts AS row (email_hash, failed_logins, locked_until, updated_at)
VALUES (%(who)s, 1, {_LOCK.format(failures="1")}, clock_timestamp())
ON CONFLICT (email_hash) DO UPDATE SET {_counting("row")}, updated_at = clock_timestamp()
WHERE {_OPEN.format(row="row")}
"""
_SUCCEED = f"""
UPDATE account SET failed_logins = 0, locked_until = NULL, last_login = clock_timestamp()
WHERE id = %(who)s AND password = %(password)s AND is_active AND {_OPEN.format(row="account")}
"""


def email_hash(email: str) -> str:
    """Return the key of a stranger's row; `email` is lower-case."""
    return hashlib.sha256(email.encode("utf-8", "replace")).hexdigest()


def find_stranger(email: str) -> StrangerAttempts | None:
    return StrangerAttempts.objects.filter(pk=email_hash(email)).first()


def check_open(row: User | StrangerAttempts | None) -> None:
    """Raises:
    Locked: too many failures before; nothing is checked or counted until the lock runs out.
    """
    if row is not None and row.locked_until is not None and row.locked_until > timezone.now():
        raise Locked(row.locked_until)


def fail(user: User) -> datetime | None:
    """Count a wrong password or code. Return None, or until when others have closed the account meanwhile."""
    if _count(_FAIL, who=user.pk):
        return None
    user.refresh_from_db(fields=["locked_until"])
    return user.locked_until or timezone.now()


def fail_stranger(email: str) -> datetime | None:
    """Count a sign-in at an e-mail nobody has, as `fail` does."""
    if _count(_FAIL_STRANGER, who=email_hash(email)):
        return None
    row = find_stranger(email)
    return timezone.now() if row is None or row.locked_until is None else row.locked_until


def succeed(user: User) -> bool:
    """Begin to count anew after a whole sign-in. False when the account was closed, switched off or given another
    password since it was read.

    Locks the account's row until the transaction ends: a session opened in it is seen by whoever ends sessions.
    """
    return _count(_SUCCEED, who=user.pk, password=user.password)


def prune(*, now: datetime) -> int:
    """Delete strangers' rows that are long open again; return how many. For the clean-up task."""
    removed, _ = StrangerAttempts.objects.filter(updated_at__lt=now - _KEPT).delete()
    return removed


def _count(statement: str, **values: str | UUID) -> bool:
    limits: dict[str, int] = {"limit": settings.LOCKOUT_FAILURES, "seconds": settings.LOCKOUT_SECONDS}
    with connection.cursor() as cursor:
        cursor.execute(statement, {**limits, **values})
        return cursor.rowcount == 1
