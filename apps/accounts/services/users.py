"""People: made, given a password. The first administrator is made once, when there is nobody."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import User
from apps.accounts.services import audit, sessions
from apps.core.errors import Conflict, Invalid

_FIRST_ADMINISTRATOR_LOCK = 7_340_001


def create_user(*, email: str, password: str, actor: User | None, staff: bool = False) -> User:
    """Make a user; `staff` also makes them an administrator.

    Raises:
        Invalid: INVALID_EMAIL, INVALID_PASSWORD. Conflict: EMAIL_TAKEN.
    """
    address = _address(email)
    _check_password(password)
    make = User.objects.create_superuser if staff else User.objects.create_user
    try:
        with transaction.atomic():
            user = make(address, password)
            audit.record(
                actor=actor,
                action="user.created",
                object_type="user",
                object_id=user.pk,
                after={"email": user.email, "is_staff": user.is_staff},
            )
    except IntegrityError:
        raise Conflict("EMAIL_TAKEN", "A user with this e-mail exists.") from None
    return user


def set_password(*, user: User, password: str, actor: User | None) -> None:
    """Give a new password; every session of the user ends and the lock opens.

    Raises:
        Invalid: INVALID_PASSWORD.
    """
    _check_password(password)
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        locked.set_password(password)
        locked.failed_logins = 0
        locked.locked_until = None
        locked.save(update_fields=["password", "failed_logins", "locked_until"])
        sessions.end_all(user=locked, reason="password_changed")
        audit.record(actor=actor, action="user.password_changed", object_type="user", object_id=locked.pk)


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
        audit.record(
            actor=None, action="user.created", object_type="user", object_id=user.pk, after={"email": user.email}
        )
        return user


def _address(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Invalid("INVALID_EMAIL", "This is not an e-mail address.") from None
    return address


def _check_password(password: str) -> None:
    try:
        validate_password(password)
    except ValidationError as error:
        raise Invalid("INVALID_PASSWORD", " ".join(error.messages)) from None
