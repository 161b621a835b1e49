"""Signing in: password, then the second factor where there is one. The API and the admin come through here.

One answer and one time for a wrong password and an unknown e-mail: both cost two reads, one hash and one write.
Counting and locking are `attempts`', codes `second_factor`'s, what a sign-in gives `sessions`'.
"""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.core import signing
from django.db import transaction
from django.utils.crypto import constant_time_compare

from apps.accounts import sealing, selectors
from apps.accounts.errors import Locked, SecondFactorDemanded, WrongCredentials, WrongPassword
from apps.accounts.models import User
from apps.accounts.services import attempts, second_factor, sessions
from apps.core.errors import SoldeskError

#: How long the admin's second step may take.
SECOND_STEP_SECONDS = 300
_SALT = "apps.accounts.second_step"


def sign_in(
    *, email: str, password: str, remember: bool, code: str | None = None, client: sessions.Client = sessions.UNKNOWN
) -> tuple[User, sessions.TokenPair]:
    """Check password and second factor and start a session of the API.

    Raises:
        WrongCredentials: unknown e-mail or wrong password. Locked: too many of them before. TotpRequired, WrongCode:
        the second factor. SecondFactorDemanded: this desk demands one that is not set up.
    """
    user = _holder(email, password)
    if selectors.lacks_second_factor(user):
        raise SecondFactorDemanded
    pair = None
    with transaction.atomic(durable=True):
        refusal = _settle(user, code)
        if refusal is None:
            pair = sessions.open_session(user=user, remember=remember, client=client)
    if pair is None:
        raise refusal or WrongCredentials()
    return user, pair


def verify(*, email: str, password: str, code: str | None = None) -> User:
    """Return the user whose password and second factor these are, counting the attempt. For the admin's sign-in.

    Raises:
        WrongCredentials, Locked, TotpRequired, WrongCode: as `sign_in`.
    """
    return _finish(_holder(email, password), code)


def confirm_password(*, user: User, password: str) -> None:
    """Check the password of somebody signed in, before something that a stolen session must not do.

    Raises:
        WrongPassword, Locked.
    """
    attempts.check_open(user)
    if user.check_password(password):
        return
    locked_until = attempts.fail(user)
    raise WrongPassword if locked_until is None else Locked(locked_until)


def first_step(*, email: str, password: str) -> User | str:
    """Return the user whose password this is, or, where a second factor is to follow, a voucher that it was right.

    The voucher is good for `finish_second_step`, for five minutes. Raises:
        WrongCredentials, Locked.
    """
    user = _holder(email, password)
    if selectors.has_second_factor(user):
        return signing.dumps({"user": str(user.pk), "proof": _proof(user)}, salt=_SALT)
    return _finish(user, None)


def finish_second_step(*, voucher: str, code: str) -> User:
    """Return the user whose voucher and code these are, counting the attempt.

    Raises:
        WrongCredentials: the voucher is too old, or the password was changed. Locked, TotpRequired, WrongCode.
    """
    try:
        said = signing.loads(voucher, salt=_SALT, max_age=SECOND_STEP_SECONDS)
    except signing.BadSignature:
        raise WrongCredentials from None
    user = User.objects.filter(pk=said["user"], is_active=True).first()
    if user is None or not constant_time_compare(said["proof"], _proof(user)):
        raise WrongCredentials
    attempts.check_open(user)
    return _finish(user, code)


def _finish(user: User, code: str | None) -> User:
    with transaction.atomic(durable=True):
        refusal = _settle(user, code)
    if refusal is not None:
        raise refusal
    return user


def _settle(user: User, code: str | None) -> SoldeskError | None:
    """Check the code if there is a second factor, count what came of it, and return the refusal, if any."""
    refusal = second_factor.check(user, code, status=401)
    if refusal is not None:
        return refusal
    if attempts.succeed(user):
        return None
    user.refresh_from_db(fields=["locked_until"])
    return WrongCredentials() if user.locked_until is None else Locked(user.locked_until)


def _holder(email: str, password: str) -> User:
    """Return the user whose password this is; a wrong one is counted.

    Raises:
        WrongCredentials, Locked.
    """
    email = email.strip().lower()
    user, stranger = selectors.find_user_by_email(email), attempts.find_stranger(email)
    attempts.check_open(stranger if user is None else user)
    if user is None:
        make_password(password)
        locked_until = attempts.fail_stranger(email)
    elif user.check_password(password) and user.is_active:
        return user
    else:
        locked_until = attempts.fail(user)
    raise WrongCredentials if locked_until is None else Locked(locked_until)


def _proof(user: User) -> str:
    return sealing.digest(user.password, bound_to=str(user.pk), length=32)
