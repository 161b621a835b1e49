"""Calls to one provider from one event loop, many at once, over pooled aiohttp connections.

aiohttp and not httpx's async client: a call costs a quarter of the processor time, and its pool does not slow down with
the number of calls that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from apps.core.http.answers import LARGEST_BODY_BYTES, REQUEST_ID_HEADER, Answer
from apps.core.http.attempts import Attempts
from apps.core.http.errors import ProviderError, ProviderMalformed, ProviderTimeout, ProviderUnavailable
from apps.core.http.gate import Gate
from apps.core.http.plans import Lane
from apps.core.http.provider import KEEP_ALIVE_SECONDS, Params, Provider, tls_context

_LARGEST_LINE_BYTES = 1024 * 1024

#: Makes of (operation, status, headers, body) the payload of an answer, or raises the ProviderError it stands for.
Reader = Callable[[str, int, Mapping[str, str], bytes], Any]


class AsyncProviderClient(Provider):
    """Calls of the event loop it was made in."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.config.max_connections,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ssl=tls_context() if self.config.secure else False,
            ),
            headers=self.config.headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.config.connect_timeout_seconds),
            trust_env=not self.config.local,
        )

    async def get(
        self,
        operation: str,
        path: str,
        params: Params | None = None,
        *,
        lane: Lane = Lane.REST,
        deadline_seconds: float,
    ) -> Answer:
        """Do as `ProviderClient.get`; the deadline holds to the millisecond, and a cancelled call lets go at once.

        Raises:
            ProviderError: see `apps.core.http.errors`.
        """
        return await self._call("GET", operation, self.url(path, params), None, self.read, lane, deadline_seconds)

    async def post(
        self,
        operation: str,
        body: bytes,
        *,
        path: str = "",
        read: Reader | None = None,
        lane: Lane = Lane.REST,
        deadline_seconds: float,
    ) -> Answer:
        """POST JSON to `path`, or the base URL itself; only what may be repeated, as a node's JSON-RPC may.

        `read` says what an answer means where the status alone does not, so that the breaker and the pause learn it.

        Raises:
            ProviderError: see `apps.core.http.errors`.
        """
        url = self.url(path, None) if path else self.config.base_url
        return await self._call("POST", operation, url, body, read or self.read, lane, deadline_seconds)

    async def _call(
        self,
        method: str,
        operation: str,
        url: str,
        body: bytes | None,
        read: Reader,
        lane: Lane,
        deadline_seconds: float,
    ) -> Answer:
        attempts = Attempts(self.gate, operation, lane, deadline_seconds)
        where = URL(url, encoded=True)
        headers = None if body is None else {"Content-Type": "application/json"}
        while True:
            seconds = attempts.begin()
            response: aiohttp.ClientResponse | None = None
            try:
                async with (
                    asyncio.timeout(seconds),
                    self._http.request(method, where, data=body, headers=headers, allow_redirects=False) as response,
                ):
                    answered = await self._collect(operation, response)
                payload = read(operation, response.status, response.headers, answered)
            except (ProviderError, aiohttp.ClientError, TimeoutError, OSError) as error:
                ours = error if isinstance(error, ProviderError) else self._translate(operation, error)
                await asyncio.sleep(attempts.failed(ours, request_id=_request_id(response)))
                continue
            except BaseException:
                attempts.abandoned()
                raise
            return Answer(payload, response.status, attempts.succeeded(), response.headers)

    async def _collect(self, operation: str, response: aiohttp.ClientResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                raise self.too_large(operation)
        return b"".join(chunks)

    @asynccontextmanager
    async def lines(
        self,
        operation: str,
        path: str,
        params: Params | None = None,
        *,
        lane: Lane = Lane.REST,
        connect_seconds: float = 10.0,
        idle_seconds: float = 45.0,
    ) -> AsyncIterator[AsyncIterator[str]]:
        """Open an event stream and yield its lines; no retries here, reconnecting is the caller's rule.

        `idle_seconds` without a byte is a ProviderTimeout. How the stream ended is counted once, when it ends.

        Raises:
            ProviderError: on opening or while reading.
        """
        attempts = Attempts(self.gate, operation, lane, connect_seconds)
        attempts.begin()
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(connect_seconds):
                response = await self._http.get(
                    URL(self.url(path, params), encoded=True),
                    headers={"Accept": "text/event-stream"},
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_read=idle_seconds),
                )
                if response.status != 200:
                    body = await self._collect(operation, response)
                    raise self.refusal(operation, response.status, response.headers, body)
            attempts.succeeded()
            yield self._split(operation, response)
        except (ProviderError, aiohttp.ClientError, TimeoutError, OSError) as error:
            ours = error if isinstance(error, ProviderError) else self._translate(operation, error)
            self.gate.failed(operation, lane, ours, time.monotonic() - attempts.started, attempt=1)
            raise ours from error
        except BaseException:
            attempts.abandoned()
            raise
        finally:
            if response is not None:
                response.close()

    async def _split(self, operation: str, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        rest = b""
        async for chunk in response.content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.removesuffix(b"\r").decode("utf-8", "replace")
            if len(rest) > _LARGEST_LINE_BYTES:
                raise self.too_large(operation)

    def _translate(self, operation: str, error: Exception) -> ProviderError:
        name = self.config.name
        if isinstance(error, TimeoutError):
            return ProviderTimeout(name, operation, f"{name} did not answer {operation} in time")
        if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
            return ProviderUnavailable(name, operation, f"{name} cannot be reached: {type(error).__name__}")
        return ProviderMalformed(name, operation, f"{name} answered unreadably: {type(error).__name__}")

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.close()


def _request_id(response: aiohttp.ClientResponse | None) -> str:
    return response.headers.get(REQUEST_ID_HEADER, "") if response is not None else ""
