"""The client factory: one pooled sync client per provider and process, one async client per provider and event loop.

Safe for threads and forks: a forked child starts with none and opens its own. A change of the setting `PROVIDERS` (as
tests make it) starts over too. What a call may do is `attempts.py`'s and `gate.py`'s to say.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from django.conf import settings

from apps.core.http.async_calls import AsyncProviderClient
from apps.core.http.config import provider_config
from apps.core.http.gate import Gate
from apps.core.http.shared import SharedState, shared_state
from apps.core.http.sync_calls import ProviderClient


class _Clients:
    """Every client of this process, for one value of the setting `PROVIDERS`."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._shared: SharedState | None = None
        self._gates: dict[str, Gate] = {}
        self._sync: dict[str, ProviderClient] = {}
        self._async: dict[asyncio.AbstractEventLoop, dict[str, AsyncProviderClient]] = {}

    def sync(self, name: str) -> ProviderClient:
        found = self._sync.get(name)
        if found is None:
            with self._lock:
                found = self._sync.get(name) or ProviderClient(self._gate(name))
                self._sync[name] = found
        return found

    def asynchronous(self, name: str) -> AsyncProviderClient:
        loop = asyncio.get_running_loop()
        found = self._async.get(loop, {}).get(name)
        if found is None:
            with self._lock:
                for gone in [each for each in self._async if each.is_closed()]:
                    del self._async[gone]
                found = AsyncProviderClient(self._gate(name))
                self._async.setdefault(loop, {})[name] = found
        return found

    def _gate(self, name: str) -> Gate:
        if name not in self._gates:
            config = provider_config(name)
            if config.limits is not None and self._shared is None:
                self._shared = shared_state()
            self._gates[name] = Gate(config, self._shared)
        return self._gates[name]

    async def close_async(self) -> None:
        """Close the clients of the running loop."""
        for each in self._async.pop(asyncio.get_running_loop(), {}).values():
            await each.close()

    def let_go(self) -> None:
        """Close every client: the async ones in their own loops, those of ended loops not at all."""
        for each in self._sync.values():
            each.close()
        for loop, clients in self._async.items():
            for client in clients.values():
                if loop.is_running():
                    asyncio.run_coroutine_threadsafe(client.close(), loop)


_clients = _Clients(None)
_of_the_parent: list[_Clients] = []


def _current() -> _Clients:
    global _clients
    if _clients.source is not settings.PROVIDERS:
        _clients.let_go()
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


async def close_async_clients() -> None:
    """Close the clients of the running loop; for a loop that is about to end."""
    await _clients.close_async()


def forget_clients() -> None:
    """Start over with no client, no breaker state and no counted calls."""
    global _clients
    _clients.let_go()
    _clients = _Clients(None)


def _begin_in_child() -> None:
    """Leave the parent's clients alone: kept, so that nothing closes a connection the parent still uses."""
    global _clients
    _of_the_parent.append(_clients)
    _clients = _Clients(None)


os.register_at_fork(after_in_child=_begin_in_child)
