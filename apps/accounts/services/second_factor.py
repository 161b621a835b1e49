"""Second factors: an authenticator app (TOTP), and recovery codes for when it is lost; by django-otp.

The app's secret is sealed in the database, recovery codes are kept as digests. A code counts once: the account's row is
locked while it is checked. Wrong codes count for the lockout like wrong passwords.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

from apps.accounts import sealing, selectors
from apps.accounts.errors import Locked, SecondFactorOff, SecondFactorOn, TotpRequired, WrongCode
from apps.accounts.models import SecondFactor, User
from apps.accounts.services import attempts, audit, sessions
from apps.core.errors import SoldeskError

RECOVERY_CODES = 10
_SECRET_BYTES = 20
_RECOVERY_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_RECOVERY_LENGTH = 10
_DIGEST_LENGTH = 16
_DIGITS = 6
_DEVICE_NAME = "authenticator app"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app is set up with; shown once."""

    secret: str
    url: str


def verify(user: User, code: str | None) -> None:
    """Make somebody signed in prove their second factor again, before something that cannot be taken back.

    Call it outside any transaction: a wrong code is counted whatever becomes of the caller's work. Raises:
        SecondFactorOff: none is set up. TotpRequired, WrongCode, Locked.
    """
    user = User.objects.get(pk=user.pk)
    attempts.check_open(user)
    if not selectors.has_second_factor(user):
        raise SecondFactorOff
    with transaction.atomic(durable=True):
        refusal = check(user, code)
    if refusal is not None:
        raise refusal


def check(user: User, code: str | None, *, status: int = 400) -> SoldeskError | None:
    """Spend a code of the user's second factor and return the refusal, if any; without a factor nothing is refused.

    Inside a transaction, whose refusal is raised after its end. Locks the account's row. A wrong code is counted.
    """
    if not selectors.has_second_factor(user):
        return None
    if not code or not code.strip():
        return TotpRequired(status=status)
    _lock(user)
    if _spend(user, "".join(code.split()).replace("-", "").lower()):
        return None
    locked_until = attempts.fail(user)
    return WrongCode(status=status) if locked_until is None else Locked(locked_until)


def begin(*, user: User) -> Enrolment:
    """Make a secret that waits for its first code; one that waited before is forgotten. Locks the account's row.

    Raises:
        SecondFactorOn.
    """
    with transaction.atomic():
        _lock(user)
        if selectors.has_second_factor(user):
            raise SecondFactorOn
        SecondFactor.objects.filter(user=user, confirmed=False).delete()
        secret = secrets.token_bytes(_SECRET_BYTES)
        device = SecondFactor.objects.create(
            user=user, name=_DEVICE_NAME, confirmed=False, key=sealing.seal(secret, bound_to=str(user.pk))
        )
    return Enrolment(b32encode(secret).decode(), device.config_url)


def confirm(*, user: User, code: str, keep: UUID | None) -> list[str]:
    """Turn the second factor on with its first code and return the recovery codes, which nobody can read again.

    Every other session of the user ends: `keep` is the one that asks. Locks the account's row. Raises:
        SecondFactorOn. SecondFactorOff: `begin` first. WrongCode.
    """
    with transaction.atomic():
        _lock(user)
        if selectors.has_second_factor(user):
            raise SecondFactorOn
        device = SecondFactor.objects.select_for_update().filter(user=user, confirmed=False).first()
        if device is None:
            raise SecondFactorOff
        if not _is_totp(code) or not device.verify_token(code.strip()):
            raise WrongCode
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        codes = _give_recovery_codes(user)
        sessions.end_all(user=user, reason="second_factor_on", keep=keep)
        _record(user, "user.second_factor.on", user, before={"second_factor": False}, after={"second_factor": True})
    return codes


def new_recovery_codes(*, user: User, code: str | None) -> list[str]:
    """Replace the recovery codes and return the new ones. Call it outside any transaction.

    Raises:
        SecondFactorOff, TotpRequired, WrongCode, Locked.
    """
    verify(user, code)
    with transaction.atomic():
        _lock(user)
        before = codes_left(user)
        codes = _give_recovery_codes(user)
        _record(
            user,
            "user.recovery_codes.replaced",
            user,
            before={"recovery_codes": before},
            after={"recovery_codes": len(codes)},
        )
    return codes


def turn_off(*, user: User, code: str | None) -> None:
    """Take the user's own second factor away, for one of its codes. Call it outside any transaction.

    Raises:
        SecondFactorOff, TotpRequired, WrongCode, Locked.
    """
    verify(user, code)
    with transaction.atomic():
        _lock(user)
        _remove(user)
        _record(user, "user.second_factor.off", user, before={"second_factor": True}, after={"second_factor": False})


def reset(*, user: User, actor: User | None) -> None:
    """Take a user's second factor away on an operator's word, for whoever lost it; every session of theirs ends.

    Raises:
        SecondFactorOff.
    """
    with transaction.atomic():
        _lock(user)
        if not selectors.has_second_factor(user):
            raise SecondFactorOff
        _remove(user)
        sessions.end_all(user=user, reason="second_factor_reset")
        _record(user, "user.second_factor.reset", actor, before={"second_factor": True}, after={"second_factor": False})


def codes_left(user: User) -> int:
    """Return how many recovery codes the user still has."""
    return StaticToken.objects.filter(device__user=user).count()


def _lock(user: User) -> None:
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)


def _spend(user: User, code: str) -> bool:
    """Check a code against app or recovery codes and spend it. The account is locked."""
    if _is_totp(code):
        device = SecondFactor.objects.select_for_update().filter(user=user, confirmed=True).first()
        return device is not None and bool(device.verify_token(code))
    for recovery in StaticDevice.objects.select_for_update().filter(user=user, confirmed=True):
        if recovery.verify_token(_digest(user, code)):
            left = codes_left(user)
            _record(
                user,
                "user.recovery_code.used",
                user,
                before={"recovery_codes": left + 1},
                after={"recovery_codes": left},
            )
            return True
    return False


def _is_totp(code: str) -> bool:
    """Tell an app's code from a recovery code by its form.

    >>> _is_totp("123456"), _is_totp("abcdefghjk"), _is_totp("1234567")
    (True, False, False)
    """
    text = code.strip()
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def _give_recovery_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery codes")
    plain = ["".join(secrets.choice(_RECOVERY_LETTERS) for _ in range(_RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(user, code)) for code in plain)
    half = _RECOVERY_LENGTH // 2
    return [f"{code[:half]}-{code[half:]}" for code in plain]


def _remove(user: User) -> None:
    StaticDevice.objects.filter(user=user).delete()
    SecondFactor.objects.filter(user=user).delete()


def _digest(user: User, code: str) -> str:
    return sealing.digest(code, bound_to=str(user.pk), length=_DIGEST_LENGTH)


def _record(user: User, action: str, actor: User | None, *, before: object, after: object) -> None:
    audit.record(actor=actor, action=action, object_type="user", object_id=user.pk, before=before, after=after)
