"""The one place where errors become responses, in the dialect's two families.

Handler errors are `{error, code, ...}`; middleware errors (shape of a body, unknown route, malformed body) are
`{success: false, error, code, details}`. Every body has `error` and a stable `code`; nothing internal leaks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from apps.core import database_errors
from apps.core.api import wire
from apps.core.errors import Invalid, NotFound, SoldeskError

log = structlog.get_logger(__name__)


class MiddlewareError(SoldeskError):
    """An error of the second family: `success: false` and details in an object of their own."""


class ValidationFailed(MiddlewareError):
    """A body breaks the shape of its route; `errors` names each field (routes of the second family)."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__("VALIDATION_ERROR", "Validation failed", details={"errors": list(errors)})


class InvalidField(Invalid):
    """A field, path part or query parameter is wrong; the code names the first one (INVALID_TOKEN_ADDRESS)."""

    def __init__(self, field: str, message: str, *, code: str | None = None, errors: Sequence[Any] = ()) -> None:
        super().__init__(
            code or field_code(field),
            f"{field}: {message}",
            details={"errors": list(errors) or [{"field": field, "message": message}]},
            extra={"field": field},
        )


class MalformedBody(MiddlewareError):
    """The body cannot be read at all."""

    def __init__(self, message: str = "The body is not valid JSON.") -> None:
        super().__init__("MALFORMED_JSON", message, details={"errors": [{"field": "body", "message": message}]})


class TooLarge(MiddlewareError):
    """The body is beyond 1 MB."""

    status = 413

    def __init__(self) -> None:
        super().__init__("BODY_TOO_LARGE", "The body is larger than 1 MB.")


class TooSlow(MiddlewareError):
    """The body did not arrive in time."""

    status = 408

    def __init__(self) -> None:
        super().__init__("BODY_TOO_SLOW", "The body did not arrive in time.")


class TooLong(MiddlewareError):
    """Path and query are longer than any route needs."""

    status = 414

    def __init__(self, most: int) -> None:
        super().__init__("URI_TOO_LONG", f"Path and query are longer than {most} characters.")


class Stopping(SoldeskError):
    """The web process ends before it has an answer; what was begun may be done all the same."""

    status = 503

    def __init__(self) -> None:
        super().__init__("DESK_STOPPING", "The desk stops: look whether it was done before you ask again.")


class RateLimited(SoldeskError):
    """Too many requests; `retry_after` whole seconds until the next is allowed, `limit` how many a minute are."""

    status = 429

    def __init__(self, retry_after: int, *, limit: int | None = None) -> None:
        super().__init__(
            "RATE_LIMITED",
            f"Too many requests: try again in {retry_after} s.",
            extra={"retryAfter": retry_after},
        )
        self.retry_after = retry_after
        self.limit = limit


def field_code(field: str) -> str:
    """Return the stable code of a wrong field.

    >>> field_code("tokenAddress"), field_code("config.dca"), field_code("agentId")
    ('INVALID_TOKEN_ADDRESS', 'INVALID_CONFIG_DCA', 'INVALID_AGENT_ID')
    """
    words = "".join(f"_{c}" if c.isupper() else c if c.isalnum() else "_" for c in field)
    return f"INVALID_{words.strip('_').upper()}"


def body_of(error: SoldeskError) -> dict[str, Any]:
    """Return the JSON body of an error, in its family."""
    body: dict[str, Any] = {"error": error.message, "code": error.code}
    if isinstance(error, MiddlewareError):
        return {"success": False, **body, "details": error.details or {}}
    if error.details is not None:
        body["details"] = error.details
    return {**body, **error.extra}


def handle(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any exception of a view (DRF's EXCEPTION_HANDLER)."""
    request = context.get("request")
    error = translate(exc, method=getattr(request, "method", "") or "", path=getattr(request, "path", ""))
    headers = headers_of(error)
    if error.status >= 500:
        log.error("request_failed", code=error.code, exc_info=exc if error.code == "INTERNAL_ERROR" else None)
    return Response(body_of(error), status=error.status, headers=headers)


def translate(exc: Exception, *, method: str, path: str) -> SoldeskError:
    """Return the coded error an exception stands for."""
    match exc:
        case SoldeskError():
            return exc
        case exceptions.AuthenticationFailed() | exceptions.NotAuthenticated():
            code = exc.get_codes()
            if not isinstance(code, str) or not code.isupper():
                code = "AUTH_HEADER_MISSING"
            return SoldeskError(code, str(exc.detail), status=401)
        case exceptions.PermissionDenied() | PermissionDenied():
            return SoldeskError("AUTHORIZATION_ERROR", "You may not do this.", status=403)
        case exceptions.MethodNotAllowed():
            return unknown_route_error(method, path)
        case Http404():
            return NotFound("NOT_FOUND", "There is no such object.")
        case exceptions.ParseError():
            return MalformedBody()
        case exceptions.UnsupportedMediaType():
            message = "Send the body as application/json."
            return MiddlewareError("UNSUPPORTED_MEDIA_TYPE", message, status=415)
        case RequestDataTooBig():
            return TooLarge()
        case exceptions.APIException():
            return SoldeskError(exc.default_code.upper(), str(exc.detail), status=exc.status_code)
        case OperationalError() | InterfaceError():
            return _database_error(exc)
        case DataError():
            return Invalid("BAD_REQUEST", "A value of the request cannot be stored: too large, or not text.")
    return SoldeskError("INTERNAL_ERROR", "Internal server error", status=500)


def _database_error(exc: BaseException) -> SoldeskError:
    """Return what a database error means for the caller; one that only waits for others' work is not down."""
    if database_errors.is_busy(exc):
        message = "Other work holds what this needs in the database: try again shortly."
        return SoldeskError(database_errors.DATABASE_BUSY, message, status=503)
    message = "The database does not answer: try again shortly."
    return SoldeskError(database_errors.DATABASE_UNAVAILABLE, message, status=503)


def unknown_route_error(method: str, path: str) -> SoldeskError:
    return MiddlewareError("NOT_FOUND", f"There is no route {method} {path}", status=404)


@csrf_exempt  # no cookie of a browser does anything here, and other clients have no CSRF token to send
def unknown_route(request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
    """Answer any path under /api/ that nothing serves."""
    return respond(unknown_route_error(request.method or "GET", request.path))


def respond(error: SoldeskError) -> HttpResponse:
    """Return an error as a plain Django response, for doors outside REST framework."""
    response = HttpResponse(wire.encode(body_of(error)), status=error.status, content_type="application/json")
    for name, value in headers_of(error).items():
        response[name] = value
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view could (Django's handler500): JSON under /api/, else a page; 503 without a database."""
    cause = sys.exception()
    error = translate(cause, method="", path="") if isinstance(cause, OperationalError | InterfaceError) else None
    if request.path.startswith("/api"):
        return respond(error or SoldeskError("INTERNAL_ERROR", "Internal server error", status=500))
    if error is None:
        return defaults.server_error(request)
    return HttpResponse(f"<h1>{error.message}</h1>", status=error.status, headers=headers_of(error))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request Django itself refuses (handler400), e.g. for an unknown host name."""
    if request.path.startswith("/api"):
        return respond(Invalid("BAD_REQUEST", "The request cannot be served: check its host name and headers."))
    return defaults.bad_request(request, exception)


def headers_of(error: SoldeskError) -> dict[str, str]:
    """Return the headers an error is answered with beside its body."""
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
        if error.limit is not None:
            headers |= {
                "RateLimit-Limit": str(error.limit),
                "RateLimit-Remaining": "0",
                "RateLimit-Reset": str(error.retry_after),
            }
    if error.status == 503:
        headers["Retry-After"] = "1"
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return headers
