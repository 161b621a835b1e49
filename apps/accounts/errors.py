"""Refusals of sign-in, sessions and keys."""

from __future__ import annotations

from datetime import datetime

from apps.core.api.wire import timestamp_text
from apps.core.errors import SoldeskError


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
