"""The chain's time as the orders process goes by it: a fresh blockhash, and the height until which it can be used.

Every node is asked, and none is believed alone: a wrong height would end an order that may still land, or keep one for
ever. Asked again when what is known is older than a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from apps.chain import cluster
from apps.chain.domain.answers import Blockhash
from apps.chain.errors import NodeError, NodeUnavailable
from apps.chain.pool import NodePool
from apps.core.http import Lane

VALID_BLOCKS = 150
#: Nodes are never at the very same block.
_MARGIN_BLOCKS = 10
_KEPT_SECONDS = 1.0
#: A node that hangs must not keep the others from being heard.
_PATIENCE_SECONDS = 1.0
_CLUSTER_CONFIRMED_FOR_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ChainTime:
    """A blockhash for new transactions, and what each node said of the last height at which it is taken."""

    blockhash: str
    heights: tuple[int, ...]

    @property
    def height(self) -> int:
        """A present height no single node decides."""
        return likely(self.heights) - VALID_BLOCKS

    def last_valid(self, told: int | None = None) -> int:
        """Return a height after which nothing signed now can land, `told` being a provider's word for it."""
        return likely((*self.heights, *(() if told is None else (told,)))) + _MARGIN_BLOCKS


def likely(heights: Sequence[int]) -> int:
    """Return the middle one of three or more, else the highest: one liar among three moves nothing.

    >>> likely([1200, 1203, 99]), likely([1200, 1203])
    (1200, 1203)
    """
    ordered = sorted(heights)
    return ordered[len(ordered) // 2] if len(ordered) > 2 else ordered[-1]


class ChainClock:
    """Asks the nodes for the time, once for everybody who wants it at the same moment."""

    def __init__(self, pool: NodePool) -> None:
        self._pool = pool
        self._known: tuple[float, ChainTime] | None = None
        self._confirmed_until = 0.0
        self._asking = asyncio.Lock()
        self._ahead: asyncio.Task[None] | None = None

    async def now(self) -> ChainTime:
        """Return the chain's time, at most a second old.

        Raises:
            NodeError: no node answers. NodesDisagree: they are of different clusters, and nothing is built.
        """
        async with self._asking:
            if self._known is None or time.monotonic() - self._known[0] > _KEPT_SECONDS:
                self._known = (time.monotonic(), await self._ask())
            return self._known[1]

    def ask_ahead(self) -> None:
        """Begin to ask, so that `now` need not wait; whether it can be told is said there."""
        if self._ahead is None or self._ahead.done():
            self._ahead = asyncio.ensure_future(self._ask_quietly())

    async def _ask_quietly(self) -> None:
        with suppress(NodeError):
            await self.now()

    async def _ask(self) -> ChainTime:
        if time.monotonic() >= self._confirmed_until:
            await cluster.confirm(self._pool)
            self._confirmed_until = time.monotonic() + _CLUSTER_CONFIRMED_FOR_SECONDS
        told = await asyncio.gather(*map(self._ask_one, self._pool.names))
        answered = [answer for answer in told if answer is not None]
        if not answered:
            raise NodeUnavailable("", "no node tells the chain's time")
        return ChainTime(answered[0].hash, tuple(answer.last_valid_block_height for answer in answered))

    async def _ask_one(self, node: str) -> Blockhash | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._pool.latest_blockhash(node=node, lane=Lane.EXIT_QUOTE)
        except (NodeError, TimeoutError):
            return None
