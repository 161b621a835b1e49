"""How Jupiter's gateway and products answer and refuse: the request id on everything, two shapes of error.

The gateway says `{"code", "message"}`; a product says `{"error"}`, with fields of its own beside it.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from apps.sandbox.http.gateway import Voice
from apps.sandbox.http.runtime import json_response

SOL_CREATED_AT = "2024-06-05T08:55:25.527Z"

_STATUS_TEXT = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


def gateway_error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error of the gateway in front of every product."""
    return json_response({"code": status, "message": message}, status=status, headers=with_id(headers))


def with_id(headers: dict[str, str] | None = None) -> dict[str, str]:
    """Return headers with the id every answer carries."""
    return {"x-api-gateway-request-id": uuid.uuid4().hex, **(headers or {})}


def _rate_limited(retry_after_seconds: int) -> web.Response:
    resets_at = int(time.time()) + retry_after_seconds
    headers = {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-current": "60",
        "x-ratelimit-reset": str(resets_at),
    }
    return gateway_error(429, "[API Gateway] Too many requests", headers)


VOICE = Voice(
    rate_limited=_rate_limited,
    failed=lambda status: gateway_error(status, _STATUS_TEXT.get(status, "Server Error")),
    unauthorized=lambda: gateway_error(401, "Unauthorized"),
)


def answer(document: Any) -> web.Response:
    """Return a product's answer."""
    return json_response(document, headers=with_id())


def bad(error: str, **fields: Any) -> web.Response:
    """Return a product's refusal of a request."""
    return json_response({**fields, "error": error}, status=400, headers=with_id())


def iso(at: float) -> str:
    """Return a Unix time as Jupiter writes times."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
