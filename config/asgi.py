"""Everything the web process serves on its one port, by kind of request.

HTTP goes to Django's WSGI application on a small fixed pool of threads that keep their database connections: several
times the requests of Django's own ASGI handler. What waits on the outside or streams has a pool of its own (a2wsgi),
health answers beside both, and the WebSocket is a Channels consumer in the event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import uuid
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)  # static files come from the apps
wsgi_application: Any = get_wsgi_application()

from django.conf import settings  # noqa: E402 - Django is set up by the line above
from django.urls import get_resolver  # noqa: E402

from apps.console import health  # noqa: E402
from apps.console.consumers import FeedConsumer, stop_feed  # noqa: E402
from apps.core import database_links, heartbeats  # noqa: E402
from apps.core.api import wire  # noqa: E402
from apps.core.api.middleware import PROTECTION, cors_headers  # noqa: E402
from config.wsgi_lane import WsgiLane  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SLOW_THREADS = 8
HEALTH_THREADS = 2
BODY_LIMIT_BYTES = 2 * 1024 * 1024
BODY_SECONDS = 30.0
_UUID = r"[0-9a-fA-F-]{36}"
_SLOW = re.compile(
    rf"POST /api/v1/agent-positions/{_UUID}/{_UUID}/close$"
    rf"|POST /api/v1/agents/{_UUID}/positions/{_UUID}/close$"
    r"|POST /api/v1/trades/execute$"
    r"|GET /api/v1/[a-z-]+/export$"
)
_HEALTH = {
    "/api/v1/health": health.report,
    "/api/v1/health/ready": health.ready,
    "/api/v1/health/live": health.live,
}


class TooLarge(Exception):
    """The body is longer than any route takes."""


class Web:
    """The ASGI application."""

    def __init__(self) -> None:
        self._quick = WsgiLane(wsgi_application, threads=settings.WEB_THREADS, name="web")
        self._slow = WSGIMiddleware(wsgi_application, workers=SLOW_THREADS)
        self._health = ThreadPoolExecutor(HEALTH_THREADS, thread_name_prefix="health")
        self._feed = FeedConsumer.as_asgi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        report = _HEALTH.get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if report is not None:
            status, answer = await asyncio.get_running_loop().run_in_executor(self._health, _ask, report)
            await _answer(scope, send, status, answer)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_body(scope, receive)
        except TooLarge:
            await _answer(scope, send, 413, _error("BODY_TOO_LARGE", "The body is too large."))
            return
        except TimeoutError:
            await _answer(scope, send, 408, _error("BODY_TOO_SLOW", "The body did not arrive in time."))
            return
        if body is None:
            return
        if _SLOW.match(f"{scope['method']} {scope['path']}"):
            await self._slow(scope, _replay(body, receive), send)  # type: ignore[arg-type]
        else:
            await self._quick(scope, body, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].rstrip("/") == "/ws":
            await self._feed(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        heartbeats.start("web")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await stop_feed()
        heartbeats.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _ask(report: Callable[[], health.Answer]) -> tuple[int, bytes]:
    """Return a health report as status and body; on a thread whose database connection may have died since."""
    database_links.drop_dead()
    status, document = report()
    return status, wire.encode(document)


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the whole body, so that a slow sender never occupies a thread; None when the client has gone."""
    headers = dict(scope["headers"])
    if int(headers.get(b"content-length", b"0") or 0) > BODY_LIMIT_BYTES:
        raise TooLarge
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BODY_LIMIT_BYTES:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once and then waits for the disconnect."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> dict[str, Any]:
        return pending.pop() if pending else await receive()

    return replayed


def _error(code: str, message: str) -> bytes:
    return b'{"error":"%s","code":"%s"}' % (message.encode(), code.encode())


async def _answer(scope: Scope, send: Send, status: int, body: bytes) -> None:
    request_id = dict(scope["headers"]).get(b"x-request-id") or str(uuid.uuid4()).encode()
    origin = dict(scope["headers"]).get(b"origin")
    shared = {**PROTECTION, **cors_headers(None if origin is None else origin.decode("latin-1"))}
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id),
        (b"x-content-type-options", b"nosniff"),
        *((name.lower().encode(), value.encode()) for name, value in shared.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


get_resolver().url_patterns  # noqa: B018 - imports every view now instead of in the first request
application = Web()
