"""Everything the web process serves on its one port, by kind of request.

HTTP goes to Django's WSGI application on a small fixed pool of threads that keep their database connections: several
times the requests of Django's own ASGI handler. What waits on the outside has a pool of its own, what streams another,
health answers beside them, and the WebSocket is a Channels consumer in the event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)  # static files come from the apps
wsgi_application: Any = get_wsgi_application()

from django.conf import settings  # noqa: E402 - Django is set up by the line above
from django.urls import get_resolver  # noqa: E402

from apps.console import health  # noqa: E402
from apps.console.consumers import FeedConsumer, stop_feed  # noqa: E402
from apps.core import database_links, heartbeats  # noqa: E402
from apps.core.api import errors, request_metrics, wire  # noqa: E402
from apps.core.api.middleware import PROTECTION, cors_headers, request_id_of  # noqa: E402
from apps.core.errors import SoldeskError  # noqa: E402
from config.wsgi_lane import Abandoned, StreamLane, WsgiLane  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

WAITING_THREADS = 16
STREAM_THREADS = 2
STREAM_STALLED_SECONDS = 60.0
HEALTH_THREADS = 2
#: A report is given to everybody who asks within this time: monitors need no newer one, and floods cost nothing.
HEALTH_SECONDS = 0.25
BODY_LIMIT_BYTES = 2 * 1024 * 1024
BODY_SECONDS = 30.0
_UUID = r"[0-9a-fA-F-]{36}"
_WAITS = re.compile(
    rf"POST /api/v1/agent-positions/{_UUID}/{_UUID}/close$"
    rf"|POST /api/v1/agents/{_UUID}/positions/{_UUID}/close$"
    r"|POST /api/v1/trades/execute$"
    r"|POST /api/v1/wallets/[^/]+/(check-deposits|reset)$"
    r"|GET /api/v1/metrics$"
)
_STREAMS = re.compile(r"GET /api/v1/[a-z-]+/export$")
_HEALTH = {
    "/api/v1/health": health.report,
    "/api/v1/health/ready": health.ready,
    "/api/v1/health/live": health.live,
}


class TooLarge(Exception):
    """The body is longer than any route takes."""


class Reports:
    """The health reports, each asked for once at a time and kept for `HEALTH_SECONDS`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(HEALTH_THREADS, thread_name_prefix="health")
        self._kept: dict[str, tuple[float, asyncio.Future[tuple[int, bytes]]]] = {}

    def get(self, path: str) -> asyncio.Future[tuple[int, bytes]]:
        """Return status and body, which may be under way already."""
        now = time.monotonic()
        kept = self._kept.get(path)
        if kept is not None and (not kept[1].done() or now - kept[0] < HEALTH_SECONDS):
            return kept[1]
        asked = asyncio.get_running_loop().run_in_executor(self._threads, _ask, _HEALTH[path])
        self._kept[path] = now, asked
        return asked


class Web:
    """The ASGI application."""

    def __init__(self) -> None:
        self._quick = WsgiLane(wsgi_application, threads=settings.WEB_THREADS, name="web")
        self._waiting = WsgiLane(wsgi_application, threads=WAITING_THREADS, name="waiting")
        self._streams = StreamLane(
            wsgi_application, threads=STREAM_THREADS, name="streams", stalled_seconds=STREAM_STALLED_SECONDS
        )
        self._reports = Reports()
        self._feed = FeedConsumer.as_asgi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _HEALTH and scope["method"] in ("GET", "HEAD"):
            asked_at = time.perf_counter()
            status, answer = await asyncio.shield(self._reports.get(scope["path"]))
            await _answer(scope, send, status, answer)
            request_metrics.record(scope["method"], scope["path"][1:], status, time.perf_counter() - asked_at)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_body(scope, receive)
        except TooLarge:
            await _refuse(scope, send, errors.TooLarge())
            return
        except TimeoutError:
            await _refuse(scope, send, errors.TooSlow())
            return
        if body is None:
            return
        asked = f"{scope['method']} {scope['path']}"
        if _STREAMS.match(asked):
            await self._streams(scope, body, receive, send)
            return
        lane = self._waiting if _WAITS.match(asked) else self._quick
        try:
            await lane(scope, body, send)
        except Abandoned:
            await _refuse(scope, send, errors.Stopping())

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


async def _refuse(scope: Scope, send: Send, error: SoldeskError) -> None:
    await _answer(scope, send, error.status, wire.encode(errors.body_of(error)), errors.headers_of(error))


_SHARED_HEADERS = [(name.lower().encode(), value.encode()) for name, value in PROTECTION.items()] + [
    (b"content-type", b"application/json"),
]


async def _answer(scope: Scope, send: Send, status: int, body: bytes, more: Mapping[str, str] | None = None) -> None:
    given = dict(scope["headers"])
    headers = [
        *_SHARED_HEADERS,
        *((name.lower().encode(), value.encode()) for name, value in (more or {}).items()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id_of(given.get(b"x-request-id", b"").decode("latin-1")).encode()),
    ]
    if b"origin" in given:
        allowed = cors_headers(given[b"origin"].decode("latin-1"))
        headers += [(name.lower().encode(), value.encode()) for name, value in allowed.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


get_resolver().url_patterns  # noqa: B018 - imports every view now instead of in the first request
application = Web()
