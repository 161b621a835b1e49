"""The way to the nodes: `pool()` inside an event loop, `sync_pool()` elsewhere. Nodes come from SOLANA_RPC_URLS.

What a process learnt of a node (budget, breaker, health) is shared by its event loops; connections belong to one.
A process with nodes of its own, as the signer has, makes its pool with `open_pool`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from django.conf import settings

from apps.chain.adapters.addresses import node_addresses
from apps.chain.adapters.json_rpc import NodeState
from apps.chain.pool import NodePool
from apps.chain.waiting import POLL_SECONDS
from apps.core.http import call_loop
from apps.core.http.shared import shared_state

Result = TypeVar("Result")

SYNC_SECONDS = 30.0


class _Registry:
    """The nodes of this process for one value of the settings, and a pool per event loop."""

    def __init__(self, configured: tuple[Any, ...]) -> None:
        self.configured = configured
        addresses = node_addresses(configured[0], configured[1], calls_per_second=configured[2])
        shared = None if all(address.local for address in addresses) else shared_state()
        self._states = [NodeState(address, place, shared) for place, address in enumerate(addresses)]
        self.names = tuple(address.name for address in addresses)
        self._pools: dict[asyncio.AbstractEventLoop, NodePool] = {}
        self._lock = threading.Lock()

    def pool(self) -> NodePool:
        loop = asyncio.get_running_loop()
        with self._lock:
            for gone in [each for each in self._pools if each.is_closed()]:
                del self._pools[gone]
            if loop not in self._pools:
                self._pools[loop] = NodePool(self._states)
            return self._pools[loop]

    def take(self) -> NodePool | None:
        return self._pools.pop(asyncio.get_running_loop(), None)

    def let_go(self) -> None:
        for loop, pool in self._pools.items():
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.close(), loop)


_registry: _Registry | None = None
_of_the_parent: list[_Registry | None] = []
_lock = threading.Lock()


def _current() -> _Registry:
    global _registry
    configured = (tuple(settings.SOLANA_RPC_URLS), tuple(settings.SOLANA_WS_URLS), settings.SOLANA_RPC_CALLS_PER_SECOND)
    with _lock:
        if _registry is None or _registry.configured != configured:
            if _registry is not None:
                _registry.let_go()
            _registry = _Registry(configured)
        return _registry


def names() -> tuple[str, ...]:
    """Return the names of the configured nodes, without asking any."""
    return _current().names


def pool() -> NodePool:
    """Return the pool of the running event loop.

    Raises:
        RuntimeError: outside an event loop.
    """
    return _current().pool()


async def close_pool() -> None:
    """Close the pool of the running loop; for a loop that is about to end."""
    if _registry is not None and (mine := _registry.take()) is not None:
        await mine.close()


def open_pool(
    rpc_urls: Sequence[str],
    ws_urls: Sequence[str] = (),
    *,
    calls_per_second: int | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> NodePool:
    """Return a pool of nodes of the caller's own, in the running event loop; budgets are this process's alone."""
    addresses = node_addresses(rpc_urls, ws_urls, calls_per_second=calls_per_second)
    states = [NodeState(address, place, None) for place, address in enumerate(addresses)]
    return NodePool(states, poll_seconds=poll_seconds)


def ask(
    question: Callable[[NodePool], Coroutine[Any, Any, Result]], *, timeout_seconds: float = SYNC_SECONDS
) -> Result:
    """Run a question to the pool from a thread without an event loop, e.g. `ask(lambda pool: pool.slot())`.

    Raises:
        NodeError: see `apps.chain.errors`. TimeoutError. RuntimeError: in an event loop.
    """

    async def asked() -> Result:
        return await question(pool())

    return call_loop.run(asked(), timeout_seconds=timeout_seconds)


def forget_nodes() -> None:
    """Start over with nothing learnt, as tests do between chains on one port."""
    global _registry
    with _lock:
        if _registry is not None:
            _registry.let_go()
        _registry = None


def _begin_in_child() -> None:
    """Leave the parent's connections alone: kept, so that nothing closes one the parent still uses."""
    global _registry, _lock
    _of_the_parent.append(_registry)
    _registry, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_begin_in_child)
