"""Refusals of sign-in, second factors, sessions and keys."""

from __future__ import annotations

from datetime import datetime

from apps.core.api.wire import timestamp_text
from apps.core.errors import Conflict, Denied, Invalid, SoldeskError


class Unauthenticated(SoldeskError):
    """Who calls is not known, or no longer (401)."""

    status = 401


class WrongCredentials(Unauthenticated):
    """E-mail or password is wrong; never says which."""

    def __init__(self) -> None:
        super().__init__("INVALID_CREDENTIALS", "E-mail or password is wrong.")


class Locked(SoldeskError):
    """Too many wrong passwords; no attempt counts before `until` (423)."""

    status = 423

    def __init__(self, until: datetime) -> None:
        super().__init__(
            "ACCOUNT_LOCKED",
            "Too many wrong passwords: sign-in is closed for a while.",
            extra={"lockedUntil": timestamp_text(until)},
        )
        self.until = until


class TotpRequired(Unauthenticated):
    """The user's second factor is still missing: 401 at sign-in, 400 where somebody is signed in."""

    def __init__(self, *, status: int = 400) -> None:
        super().__init__("TOTP_REQUIRED", "Send the code of your authenticator app as `totpCode`.", status=status)


class WrongCode(SoldeskError):
    """The code is wrong, too old or was used before: 401 at sign-in, 400 where somebody is signed in."""

    def __init__(self, *, status: int = 400) -> None:
        super().__init__("TOTP_INVALID", "The code is wrong or was used before.", status=status)


class WrongPassword(Invalid):
    """Somebody signed in gave another password than their own (400, so that clients do not sign them out)."""

    def __init__(self) -> None:
        super().__init__("WRONG_PASSWORD", "This is not your password.")


class SecondFactorOn(Conflict):
    """There is a second factor already (409)."""

    def __init__(self) -> None:
        super().__init__("TOTP_ALREADY_ON", "A second factor is set up: turn it off first.")


class SecondFactorOff(Conflict):
    """What needs a second factor finds none (409)."""

    def __init__(self) -> None:
        super().__init__("TOTP_NOT_SET_UP", "No second factor is set up.")


class SecondFactorDemanded(Denied):
    """This desk demands a second factor of its operators (403)."""

    def __init__(self) -> None:
        super().__init__("TOTP_SETUP_REQUIRED", "Set up a second factor in the admin first: this desk demands it.")


class AddressDenied(Denied):
    """An API key is used from where it does not work (403)."""

    def __init__(self) -> None:
        super().__init__("API_KEY_ADDRESS_DENIED", "This API key does not work from your address.")
