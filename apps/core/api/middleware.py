"""What every request gets: an id, one log line at its end, CORS and the headers of an API answer."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from apps.core.api.errors import TooLarge, respond

log = structlog.get_logger("http")

REQUEST_ID = "x-request-id"
API_PREFIX = "/api/"
_GOOD_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")
_METHODS = "GET,POST,PUT,DELETE,PATCH,OPTIONS"
_REQUEST_HEADERS = "Content-Type,Authorization,X-API-Key,Idempotency-Key,X-Request-Id"
_EXPOSED = "X-Total-Count,X-Total-Capped,X-Next-Cursor,Link,Retry-After,x-request-id,Idempotent-Replayed"
#: What every JSON answer says beside its own headers.
PROTECTION = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


class RequestContext:
    """Outermost middleware. `request.request_id` is what logs and audit entries of this request carry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _GOOD_ID.fullmatch(given) else str(uuid.uuid4())
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self._answer(request)
        response[REQUEST_ID] = request_id
        log.info(
            "request_finished",
            method=request.method,
            path=request.path,
            status=response.status_code,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
        )
        structlog.contextvars.clear_contextvars()
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        is_api = request.path.startswith(API_PREFIX) or request.path == "/health"
        if not is_api:
            return self.get_response(request)
        response: HttpResponseBase
        if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META:
            response = HttpResponse(status=204)
        elif _content_length(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            response = respond(TooLarge())
        else:
            response = self.get_response(request)
        _allow_origin(request, response)
        if response.get("Content-Type", "").startswith("application/json"):
            for name, value in PROTECTION.items():
                response.setdefault(name, value)
        return response


def _content_length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() else 0


def cors_headers(origin: str | None, *, preflight: bool = False) -> dict[str, str]:
    """Return the headers that let pages of a known origin read an answer; none for a request without an origin."""
    if origin is None:
        return {}
    headers = {"Vary": "Origin"}
    if origin not in settings.CORS_ORIGINS:
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Allow-Credentials"] = "true"
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if preflight:
        headers["Access-Control-Allow-Methods"] = _METHODS
        headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
        headers["Access-Control-Max-Age"] = "600"
    return headers


def _allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    headers = cors_headers(request.META.get("HTTP_ORIGIN"), preflight=request.method == "OPTIONS")
    varies = headers.pop("Vary", None)
    if varies is not None:
        response["Vary"] = ", ".join(filter(None, [response.get("Vary", ""), varies]))
    for name, value in headers.items():
        response[name] = value
