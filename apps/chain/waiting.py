"""Waiting for signatures, many at once: one status call for all of them per round, sooner when a socket says so.

Polling is the truth, in turn of every node, so that one that keeps silent about a signature hides it for a round only;
sockets merely end the pause between rounds. What comes out is one node's word: believe it with the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from apps.chain.adapters.addresses import NodeAddress
from apps.chain.adapters.signature_socket import SignatureSocket
from apps.chain.domain.answers import SignatureStatus
from apps.chain.errors import NodeError
from apps.core.http import Lane

POLL_SECONDS = 0.4
_LEVELS = ("processed", "confirmed", "finalized")
_Waiter = tuple[str, asyncio.Future[SignatureStatus]]


class AsksStatuses(Protocol):
    """The pool, asked by name."""

    def in_order(self) -> list[str]: ...

    async def statuses(
        self,
        signatures: Sequence[str],
        search_history: bool = False,
        node: str | None = None,
        *,
        lane: Lane = Lane.REST,
    ) -> list[SignatureStatus | None]: ...


class Waiting:
    """Who waits for which signature in one event loop."""

    def __init__(self, pool: AsksStatuses, addresses: Sequence[NodeAddress], poll_seconds: float) -> None:
        self._pool = pool
        self._poll_seconds = poll_seconds
        self._waiting: dict[str, list[_Waiter]] = {}
        self._hint = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._sockets = [SignatureSocket(address, self._seen) for address in addresses]
        self._round = 0

    async def wait(self, signature: str, seconds: float, commitment: str) -> SignatureStatus | None:
        """Return the status of `signature` once a node reports it at `commitment`; None after `seconds`."""
        future: asyncio.Future[SignatureStatus] = asyncio.get_running_loop().create_future()
        waiter = (commitment, future)
        self._waiting.setdefault(signature, []).append(waiter)
        for socket in self._sockets:
            socket.watch(signature, commitment)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.ensure_future(self._poll())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting[signature].remove(waiter)
            if not self._waiting[signature]:
                del self._waiting[signature]
                for socket in self._sockets:
                    socket.forget(signature)

    async def close(self) -> None:
        """Stop polling and hang up; whoever still waits gets nothing until their time is over."""
        for socket in self._sockets:
            await socket.close()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    def _seen(self, signature: str) -> None:
        if signature in self._waiting:
            self._hint.set()

    async def _poll(self) -> None:
        while self._waiting:
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()
            await self._ask_once()

    async def _ask_once(self) -> None:
        wanted, order = list(self._waiting), self._pool.in_order()
        if not wanted or not order:
            return
        self._round += 1
        try:
            told = await self._pool.statuses(wanted, node=order[self._round % len(order)])
        except NodeError:
            return
        for signature, status in zip(wanted, told, strict=True):
            if status is not None:
                self._tell(signature, status)

    def _tell(self, signature: str, status: SignatureStatus) -> None:
        for commitment, future in self._waiting.get(signature, ()):
            if not future.done() and _reaches(status.commitment, commitment):
                future.set_result(status)


def _reaches(reached: str, wanted: str) -> bool:
    return reached in _LEVELS and _LEVELS.index(reached) >= _LEVELS.index(wanted)
