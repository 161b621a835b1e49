"""The client factory: one pooled sync client per provider and process, one async client per provider and event loop.

Safe for threads and forks: a forked child starts with none and opens its own. A change of the setting `PROVIDERS` (as
tests make it) starts over too. What a call may do is `attempts.py`'s and `gate.py`'s to say.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import httpx
from django.conf import settings

from apps.core.http.answers import LARGEST_BODY_BYTES, REQUEST_ID_HEADER, Answer, error_for_status, read_answer
from apps.core.http.attempts import Attempts
from apps.core.http.config import ProviderConfig, provider_config
from apps.core.http.errors import ProviderError, ProviderMalformed, ProviderTimeout, ProviderUnavailable
from apps.core.http.gate import Gate
from apps.core.http.plans import Lane
from apps.core.http.shared import SharedState, shared_state

Params = Mapping[str, str | int] | list[tuple[str, str | int]]

_KEEP_ALIVE_SECONDS = 30.0


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return the process's TLS context: making one takes 45 ms, so it is made once, and only for https."""
    return httpx.create_ssl_context()


def _transport_options(config: ProviderConfig) -> dict[str, Any]:
    return {
        "verify": _ssl_context() if config.secure else False,
        "trust_env": not config.local,
        "headers": config.headers(),
        "follow_redirects": False,
        "limits": httpx.Limits(
            max_connections=config.max_connections,
            max_keepalive_connections=config.max_connections,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
        ),
    }


class _Provider:
    """What the two clients have in common: how a request is made and how an outcome is read."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.config = gate.config
        self._base = httpx.URL(self.config.base_url.rstrip("/"))

    def _url(self, path: str, params: Params | None) -> str:
        query = urlencode(list(params.items()) if isinstance(params, Mapping) else params) if params else ""
        return f"{self._base}{path}?{query}" if query else f"{self._base}{path}"

    def _timeout(self, seconds: float) -> dict[str, float]:
        return {
            "connect": min(seconds, self.config.connect_timeout_seconds),
            "read": seconds,
            "write": seconds,
            "pool": seconds,
        }

    def _read(self, operation: str, response: httpx.Response, body: bytes) -> Any:
        return read_answer(
            self.config.name,
            operation,
            status=response.status_code,
            headers=response.headers,
            body=body,
            wall_seconds=time.time(),
            pause_seconds=self.config.pause_after_429_seconds,
        )

    def _too_large(self, operation: str) -> ProviderMalformed:
        return ProviderMalformed(self.config.name, operation, f"{self.config.name} answered with too large a body")

    def _translate(self, operation: str, error: Exception) -> ProviderError:
        name = self.config.name
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            return ProviderTimeout(name, operation, f"{name} did not answer {operation} in time")
        if isinstance(error, httpx.TransportError):
            return ProviderUnavailable(name, operation, f"{name} cannot be reached: {type(error).__name__}")
        return ProviderMalformed(name, operation, f"{name} answered unreadably: {type(error).__name__}")


class ProviderClient(_Provider):
    """GETs to one provider from threads."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self._http = httpx.Client(**_transport_options(self.config))

    def get(
        self,
        operation: str,
        path: str,
        params: Params | None = None,
        *,
        lane: Lane = Lane.REST,
        deadline_seconds: float,
    ) -> Answer:
        """Return the parsed answer of GET `path`, retried within `deadline_seconds`.

        `operation` names the call in metrics, logs and breakers: a fixed word, never a mint or an id.

        Raises:
            ProviderError: see `apps.core.http.errors`.
        """
        attempts = Attempts(self.gate, operation, lane, deadline_seconds)
        url = self._url(path, params)
        while True:
            seconds = attempts.begin()
            response: httpx.Response | None = None
            try:
                request = self._http.build_request("GET", url, extensions={"timeout": self._timeout(seconds)})
                response = self._http.send(request, stream=True)
                try:
                    body = self._collect(operation, response, attempts.started + seconds)
                finally:
                    response.close()
                payload = self._read(operation, response, body)
            except (ProviderError, httpx.HTTPError) as error:
                ours = error if isinstance(error, ProviderError) else self._translate(operation, error)
                time.sleep(attempts.failed(ours, request_id=_request_id(response)))
                continue
            except BaseException:
                attempts.abandoned()
                raise
            return Answer(payload, response.status_code, attempts.succeeded(), response.headers)

    def _collect(self, operation: str, response: httpx.Response, until: float) -> bytes:
        """Return the body; a body that drips past `until` is a time-out, as a silent one is."""
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                raise self._too_large(operation)
            if time.monotonic() > until:
                raise ProviderTimeout(self.config.name, operation, f"{self.config.name} answered too slowly")
        return b"".join(chunks)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()


class AsyncProviderClient(_Provider):
    """GETs to one provider from one event loop, many at once."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self._http = httpx.AsyncClient(**_transport_options(self.config))

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
        attempts = Attempts(self.gate, operation, lane, deadline_seconds)
        url = self._url(path, params)
        while True:
            seconds = attempts.begin()
            response: httpx.Response | None = None
            try:
                async with asyncio.timeout(seconds):
                    request = self._http.build_request("GET", url, extensions={"timeout": self._timeout(seconds)})
                    response = await self._http.send(request, stream=True)
                    try:
                        body = await self._collect(operation, response)
                    finally:
                        await response.aclose()
                payload = self._read(operation, response, body)
            except (ProviderError, httpx.HTTPError, TimeoutError) as error:
                ours = error if isinstance(error, ProviderError) else self._translate(operation, error)
                await asyncio.sleep(attempts.failed(ours, request_id=_request_id(response)))
                continue
            except BaseException:
                attempts.abandoned()
                raise
            return Answer(payload, response.status_code, attempts.succeeded(), response.headers)

    async def _collect(self, operation: str, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                raise self._too_large(operation)
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

        `idle_seconds` without a byte is a ProviderTimeout. What ends the stream is counted once, when it ends.

        Raises:
            ProviderError: on opening or while reading.
        """
        attempts = Attempts(self.gate, operation, lane, connect_seconds)
        attempts.begin()
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(connect_seconds):
                timeout = {**self._timeout(connect_seconds), "read": idle_seconds}
                request = self._http.build_request(
                    "GET",
                    self._url(path, params),
                    headers={"Accept": "text/event-stream"},
                    extensions={"timeout": timeout},
                )
                response = await self._http.send(request, stream=True)
                if response.status_code != 200:
                    body = (await response.aread())[:LARGEST_BODY_BYTES]
                    raise error_for_status(
                        self.config.name,
                        operation,
                        status=response.status_code,
                        headers=response.headers,
                        body=body,
                        wall_seconds=time.time(),
                        pause_seconds=self.config.pause_after_429_seconds,
                    )
            attempts.succeeded()
            yield response.aiter_lines()
        except (ProviderError, httpx.HTTPError, TimeoutError) as error:
            ours = error if isinstance(error, ProviderError) else self._translate(operation, error)
            self.gate.failed(operation, ours, time.monotonic() - attempts.started, attempt=1)
            raise ours from error
        except BaseException:
            attempts.abandoned()
            raise
        finally:
            if response is not None:
                await response.aclose()

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()


def _request_id(response: httpx.Response | None) -> str:
    return response.headers.get(REQUEST_ID_HEADER, "") if response is not None else ""


class _Clients:
    """Every client of this process, for one value of the setting `PROVIDERS`."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._shared: SharedState | None = None
        self._gates: dict[str, Gate] = {}
        self._sync: dict[str, ProviderClient] = {}
        self._async: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncProviderClient]] = WeakKeyDictionary()

    def sync(self, name: str) -> ProviderClient:
        found = self._sync.get(name)
        if found is None:
            with self._lock:
                found = self._sync.get(name) or ProviderClient(self._gate(name))
                self._sync[name] = found
        return found

    def asynchronous(self, name: str) -> AsyncProviderClient:
        loop = asyncio.get_running_loop()
        with self._lock:
            of_loop = self._async.setdefault(loop, {})
            if name not in of_loop:
                of_loop[name] = AsyncProviderClient(self._gate(name))
            return of_loop[name]

    def _gate(self, name: str) -> Gate:
        if name not in self._gates:
            config = provider_config(name)
            if config.limits is not None and self._shared is None:
                self._shared = shared_state()
            self._gates[name] = Gate(config, self._shared)
        return self._gates[name]


_clients = _Clients(None)


def _current() -> _Clients:
    global _clients
    if _clients.source is not settings.PROVIDERS:
        _clients = _Clients(settings.PROVIDERS)
    return _clients


def client(provider: str) -> ProviderClient:
    """Return this process's client of `provider`, with its pooled connections.

    Raises:
        ValueError: when `PROVIDERS` has no usable entry for it.
    """
    return _current().sync(provider)


def async_client(provider: str) -> AsyncProviderClient:
    """Return the client of `provider` for the running event loop.

    Raises:
        RuntimeError: outside an event loop. ValueError: when `PROVIDERS` has no usable entry for it.
    """
    return _current().asynchronous(provider)


def forget_clients() -> None:
    """Start over with no client, no breaker state and no counted calls; connections close as they are let go."""
    global _clients
    _clients = _Clients(None)


os.register_at_fork(after_in_child=forget_clients)
