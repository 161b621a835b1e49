"""People: made, changed, given a password. The first administrator is made once, when there is nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import User
from apps.accounts.services import audit, sessions, sign_in
from apps.core.errors import Conflict, Invalid

_FIRST_ADMINISTRATOR_LOCK = 7_340_001
_FACTS = ("email", "is_active", "is_staff", "is_superuser")


def create_user(*, email: str, password: str, actor: User | None, staff: bool = False) -> User:
    """Make a user; `staff` also makes them an administrator.

    Raises:
        Invalid: INVALID_EMAIL, INVALID_PASSWORD. Conflict: EMAIL_TAKEN.
    """
    address = _address(email)
    _check_password(password, None)
    make = User.objects.create_superuser if staff else User.objects.create_user
    try:
        with transaction.atomic():
            user = make(address, password)
            _record(actor, "user.created", user, before=None, after=_facts(user))
    except IntegrityError:
        raise Conflict("EMAIL_TAKEN", "A user with this e-mail exists.") from None
    return user


def update_user(*, user: User, actor: User | None, **changes: Any) -> User:
    """Change e-mail, is_active, is_staff or is_superuser; who is switched off or no operator any more is signed out.

    Locks the account's row. Raises:
        Invalid: INVALID_EMAIL. Conflict: EMAIL_TAKEN.
    """
    if "email" in changes:
        changes["email"] = _address(changes["email"])
    try:
        with transaction.atomic():
            locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
            before = _facts(locked)
            for name, value in changes.items():
                setattr(locked, name, value)
            after = _facts(locked)
            if after == before:
                return locked
            locked.save(update_fields=[*changes])
            if before["is_active"] and not locked.is_active:
                sessions.end_all(user=locked, reason="deactivated")
            elif before["is_staff"] and not locked.is_staff:
                sessions.end_all(user=locked, reason="no_operator_any_more")
            _record(actor, "user.updated", locked, before=before, after=after)
    except IntegrityError:
        raise Conflict("EMAIL_TAKEN", "A user with this e-mail exists.") from None
    return locked


def unlock(*, user: User, actor: User | None) -> None:
    """Forget the failed sign-ins of a user."""
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        before = {"failed_logins": locked.failed_logins, "locked_until": locked.locked_until}
        locked.failed_logins, locked.locked_until = 0, None
        locked.save(update_fields=["failed_logins", "locked_until"])
        _record(actor, "user.unlocked", locked, before=before, after={"failed_logins": 0, "locked_until": None})


def change_password(*, user: User, current: str, password: str, keep: UUID | None) -> None:
    """Give oneself a new password for the present one; every session but `keep`, the one that asks, ends.

    Raises:
        WrongPassword, Locked: the present one is checked, and counted, as at a sign-in. Invalid: INVALID_PASSWORD.
    """
    sign_in.confirm_password(user=user, password=current)
    set_password(user=user, password=password, actor=user, keep=keep)


def set_password(*, user: User, password: str, actor: User | None, keep: UUID | None = None) -> None:
    """Give a new password; every session of the user but `keep` ends and the lock opens.

    Raises:
        Invalid: INVALID_PASSWORD.
    """
    _check_password(password, user)
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        locked.set_password(password)
        locked.failed_logins = 0
        locked.locked_until = None
        locked.save(update_fields=["password", "failed_logins", "locked_until"])
        ended = sessions.end_all(user=locked, reason="password_changed", keep=keep)
        _record(actor, "user.password_changed", locked, before=None, after={"sessions_ended": ended})


def ensure_administrator(*, email: str, password: str) -> User | None:
    """Make the first administrator if there is no user at all; otherwise change nothing and return None.

    Holds an advisory lock, so that two starts at once make one. Raises:
        Invalid: INVALID_EMAIL, INVALID_PASSWORD (any non-blank password is taken).
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_FIRST_ADMINISTRATOR_LOCK])
        if User.objects.exists():
            return None
        if not password.strip():
            raise Invalid("INVALID_PASSWORD", "The administrator's password is empty.")
        user = User.objects.create_superuser(_address(email), password)
        _record(None, "user.created", user, before=None, after=_facts(user))
        return user


def _address(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Invalid("INVALID_EMAIL", "This is not an e-mail address.") from None
    return address


def _check_password(password: str, user: User | None) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("INVALID_PASSWORD", " ".join(error.messages)) from None


def _facts(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in _FACTS}


def _record(actor: User | None, action: str, user: User, *, before: Any, after: Any) -> None:
    audit.record(actor=actor, action=action, object_type="user", object_id=user.pk, before=before, after=after)
