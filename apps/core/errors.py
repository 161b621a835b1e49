"""The errors Soldesk answers with: a stable code, a sentence a person can act on, an HTTP status.

Pure. Apps derive their own; `apps.core.api.errors` is the one place that turns them into responses.
"""

from __future__ import annotations

from typing import Any


class SoldeskError(Exception):
    """A refusal or failure with a stable `code`; `details` is JSON-ready and safe to show to the caller."""

    status = 400

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        details: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.extra = extra or {}
        if status is not None:
            self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            self.code,
            self.message,
            self.status,
            self.details,
            self.extra,
        )


def _rebuild(
    kind: type[SoldeskError],
    code: str,
    message: str,
    status: int,
    details: Any,
    extra: Any,
) -> SoldeskError:
    error = kind.__new__(kind)
    SoldeskError.__init__(error, code, message, status=status, details=details, extra=extra)
    return error


class Invalid(SoldeskError):
    """The request is malformed or breaks a rule of its own shape (400)."""

    status = 400


class Denied(SoldeskError):
    """The caller may not do this (403)."""

    status = 403


class NotFound(SoldeskError):
    """The object does not exist, or not for this caller (404)."""

    status = 404


class Conflict(SoldeskError):
    """The request clashes with the present state (409)."""

    status = 409
