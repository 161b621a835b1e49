"""Signing in with e-mail and password: one answer and one time for a wrong password and an unknown e-mail.

Failures of a user are counted on the user's row by one conditional update, so that no race passes the limit. Guesses at
e-mails nobody has are counted the same way in Redis, only to look the same from outside.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.utils import timezone

from apps.accounts.errors import Locked, WrongCredentials
from apps.accounts.models import User
from apps.accounts.services import sessions
from apps.core import redis

_COUNT_FAILURE = """
UPDATE account SET
    failed_logins = CASE WHEN locked_until IS NULL THEN failed_logins + 1 ELSE 1 END,
    locked_until = CASE
        WHEN (CASE WHEN locked_until IS NULL THEN failed_logins + 1 ELSE 1 END) >= %(failures)s
        THEN clock_timestamp() + make_interval(secs => %(seconds)s)
    END
WHERE id = %(user)s AND (locked_until IS NULL OR locked_until <= clock_timestamp())
"""
_COUNT_SUCCESS = """
UPDATE account SET failed_logins = 0, locked_until = NULL, last_login = clock_timestamp()
WHERE id = %(user)s AND (locked_until IS NULL OR locked_until <= clock_timestamp())
"""
_GUESSES_LAST_SECONDS = 30 * 24 * 3600


def sign_in(*, email: str, password: str, remember: bool) -> tuple[User, sessions.TokenPair]:
    """Check the password and start a session.

    Raises:
        WrongCredentials: unknown e-mail or wrong password. Locked: too many of them before.
    """
    user = verify(email=email, password=password)
    return user, sessions.open_session(user=user, remember=remember)


def verify(*, email: str, password: str) -> User:
    """Return the user whose password this is, counting the attempt.

    Raises:
        WrongCredentials: unknown e-mail or wrong password. Locked: too many of them before.
    """
    email = email.strip().lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        _refuse_stranger(email, password)
    if user.locked_until is not None and user.locked_until > timezone.now():
        raise Locked(user.locked_until)
    right = user.check_password(password) and user.is_active
    if _count(_COUNT_SUCCESS if right else _COUNT_FAILURE, user):
        if right:
            return user
        raise WrongCredentials
    user.refresh_from_db(fields=["locked_until"])
    raise Locked(user.locked_until or timezone.now())


def _count(statement: str, user: User) -> bool:
    """Run one of the counting updates; False when the account is locked by now."""
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {"user": user.pk, "failures": settings.LOCKOUT_FAILURES, "seconds": settings.LOCKOUT_SECONDS},
        )
        return cursor.rowcount == 1


def _refuse_stranger(email: str, password: str) -> NoReturn:
    """Refuse an e-mail nobody has, at the cost and with the answers of one somebody has."""
    key = redis.name("stranger", hashlib.sha256(email.encode("utf-8", "replace")).hexdigest())
    locked = redis.get(f"{key}:lock")
    if locked is not None:
        raise Locked(datetime.fromtimestamp(float(locked), tz=UTC))
    make_password(password)
    turn = (redis.get(f"{key}:turn") or b"0").decode()
    failures = redis.count(f"{key}:{turn}", seconds=_GUESSES_LAST_SECONDS)
    if failures < settings.LOCKOUT_FAILURES:
        raise WrongCredentials
    if failures == settings.LOCKOUT_FAILURES:
        until = timezone.now() + timedelta(seconds=settings.LOCKOUT_SECONDS)
        redis.put(f"{key}:lock", repr(until.timestamp()), seconds=settings.LOCKOUT_SECONDS)
        redis.put(f"{key}:turn", secrets.token_hex(4), seconds=_GUESSES_LAST_SECONDS)
        raise WrongCredentials
    locked = redis.get(f"{key}:lock")
    until = timezone.now() + timedelta(seconds=settings.LOCKOUT_SECONDS)
    raise Locked(until if locked is None else datetime.fromtimestamp(float(locked), tz=UTC))
