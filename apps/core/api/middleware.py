"""What every request gets: an id, a log line and a count at its end, limits of its size, CORS, protecting headers."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from apps.core.api import headers, limits, request_metrics
from apps.core.api.errors import RateLimited, TooLarge, TooLong, respond
from apps.core.api.headers import PROTECTION, cors_headers

__all__ = ["PROTECTION", "RequestContext", "cors_headers", "request_id_of"]

log = structlog.get_logger("http")

REQUEST_ID = "x-request-id"
API_PREFIX = "/api/"
LONGEST_URL = 8192
_GOOD_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")


def request_id_of(given: str) -> str:
    """Return the id a request goes by: its own where that has the form of one, else a new one."""
    return given if _GOOD_ID.fullmatch(given) else str(uuid.uuid4())


class RequestContext:
    """Outermost middleware. `request.request_id` is what logs and audit entries of this request carry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = request_id_of(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        log.debug("request_started", method=request.method, path=request.path[:LONGEST_URL])
        response = self._answer(request)
        response[REQUEST_ID] = request_id
        seconds = time.perf_counter() - started
        method, match = request.method or "", request.resolver_match
        request_metrics.record(method, None if match is None else match.route, response.status_code, seconds)
        log.info(
            "request_finished",
            method=method,
            path=request.path[:LONGEST_URL],
            status=response.status_code,
            duration_ms=round(seconds * 1000, 2),
        )
        structlog.contextvars.clear_contextvars()
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path
        is_api = path.startswith(API_PREFIX) or path in ("/api", "/health")
        refusal = _refusal(request) if is_api else None
        response: HttpResponseBase = self.get_response(request) if refusal is None else refusal
        if is_api:
            _allow_origin(request, response)
        kind = response.get("Content-Type", "")
        if kind.startswith("text/html"):
            _protect(response, headers.of_page(path))
        elif is_api:
            _protect(response, PROTECTION)
        return response


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to what needs no route: preflights, and requests no route could serve."""
    meta = request.META
    if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in meta:
        return HttpResponse(status=204)
    if _content_length(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return respond(TooLarge())
    if len(request.path) + len(meta.get("QUERY_STRING", "")) > LONGEST_URL:
        return respond(TooLong(LONGEST_URL))
    wait = limits.ceiling_wait(request)
    return None if wait is None else respond(RateLimited(wait))


def _protect(response: HttpResponseBase, protection: dict[str, str]) -> None:
    for name, value in protection.items():
        response.headers.setdefault(name, value)


def _content_length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() else 0


def _allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    allowed = cors_headers(request.META.get("HTTP_ORIGIN"), preflight=request.method == "OPTIONS")
    varies = allowed.pop("Vary", None)
    if varies is not None:
        response["Vary"] = ", ".join(filter(None, [response.get("Vary", ""), varies]))
    for name, value in allowed.items():
        response[name] = value
