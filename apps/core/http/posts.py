"""POSTs to addresses people chose (webhooks), many at once from one event loop.

Beside the clients of providers, because each address is a stranger's: no breaker, budget or retries here, so that none
can bar another; the caller's rows say when to try again. A guard sees the very address a socket is about to be
connected to; nothing is redirected, proxied or decompressed, and little of an answer is read.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from apps.core.http.answers import seconds_to_wait
from apps.core.http.provider import KEEP_ALIVE_SECONDS, tls_context
from apps.core.metrics_registry import PROVIDER_CALLS, PROVIDER_LATENCY

EXCERPT_BYTES = 1024
_EXCERPT_SECONDS = 1.0
_NAME_THREADS = 32

Forbids = Callable[[IPv4Address | IPv6Address], bool]


class ForbiddenAddress(OSError):
    """The guard refuses to connect to this address."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of one POST: a status, or else why there is none.

    `failure` is "" with a status, else one of timeout, forbidden_address, unknown_host, tls, unreachable, unreadable.
    `wait_seconds` is what a 429 or 503 asked for.
    """

    status: int | None
    failure: str
    excerpt: str
    elapsed_seconds: float
    wait_seconds: float | None = None

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class PostClient:
    """POSTs of one event loop under one name for the metrics; `forbids` says which addresses are never connected to."""

    def __init__(self, name: str, *, forbids: Forbids, user_agent: str, max_connections: int) -> None:
        self._name = name
        self._forbids = forbids
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=max_connections,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ssl=tls_context(),
                resolver=_Resolver(),
                socket_factory=self._socket,
            ),
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )

    async def post(
        self, operation: str, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Posted:
        """Send `body` once and return what came of it; raises nothing but cancellation."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(deadline_seconds), self._request(url, body, headers) as response:
                excerpt = await _excerpt(response)
                posted = Posted(
                    response.status, "", excerpt, time.monotonic() - started, _wish(response.status, response.headers)
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            posted = Posted(None, _failure(error), "", time.monotonic() - started)
        outcome = _outcome(posted)
        PROVIDER_CALLS.labels(self._name, operation, outcome).inc()
        PROVIDER_LATENCY.labels(self._name, operation, outcome).observe(posted.elapsed_seconds)
        return posted

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.close()

    def _request(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        return self._http.post(URL(url), data=body, headers=headers, allow_redirects=False)

    def _socket(self, address: Any) -> socket.socket:
        """Return a socket for an address the guard allows: called after names are resolved, right before connecting."""
        family, kind, protocol, _, where = address
        if self._forbids(ip_address(where[0])):
            raise ForbiddenAddress("not an address anything is posted to")
        return socket.socket(family=family, type=kind, proto=protocol)


class _Resolver(AbstractResolver):
    """Looks names up on threads of its own: a name server that hangs keeps the loop's own threads free.

    aiohttp asks once for all who wait for the same name.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_NAME_THREADS, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        def look_up() -> list[Any]:
            return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)

        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host, host=str(where[0]), port=int(where[1]), family=kind, proto=protocol, flags=_NUMERIC
            )
            for kind, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


async def _excerpt(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of an answer; a body that comes slowly or breaks changes nothing about the status."""
    text = b""
    try:
        async with asyncio.timeout(_EXCERPT_SECONDS):
            while len(text) < EXCERPT_BYTES and (chunk := await response.content.read(EXCERPT_BYTES - len(text))):
                text += chunk
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    if not response.content.at_eof():
        response.close()  # what is left is not worth reading
    return text.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _wish(status: int, headers: Mapping[str, str]) -> float | None:
    if status not in (429, 503) or not any(name in headers for name in ("retry-after", "x-ratelimit-reset")):
        return None
    return seconds_to_wait(headers, wall_seconds=time.time(), default=0.0)


def _failure(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unknown_host"
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)):
        return "tls"
    if isinstance(getattr(error, "os_error", error), ForbiddenAddress):
        return "forbidden_address"
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
        return "unreachable"
    return "unreadable"


def _outcome(posted: Posted) -> str:
    """Return one of the outcomes calls of providers have."""
    if posted.status is None:
        return {"timeout": "timeout", "unreadable": "malformed"}.get(posted.failure, "unavailable")
    if posted.ok:
        return "ok"
    return "rate_limited" if posted.status == 429 else "unavailable" if posted.status >= 500 else "rejected"
