"""What became of signed bytes: the chain's word, and how much of it is enough.

A landed swap is believed from one node's transaction at `confirmed`, because it can be reversed; that it failed, or
that it can land no more, ends an order for good and must be said by two nodes, or be final. Nobody's word is proof of
absence but `chain.expiry`'s (CONCURRENCY 19).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import structlog

from apps.chain import expiry
from apps.chain.errors import NodeError
from apps.chain.pool import CONFIRMED, FINALIZED, NodePool
from apps.core.http import Lane
from apps.trading.domain.landed_swap import LandedSwap, UnreadableSwap
from apps.trading.services.live.chain_clock import ChainClock
from apps.trading.services.live.live_order import LiveOrder

log = structlog.get_logger(__name__)


class Fate(StrEnum):
    """What is known of bytes whose time is over."""

    LANDED = "landed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Resolver:
    """Asks the nodes of one event loop about orders. A node that does not answer is "not known yet", never an error."""

    def __init__(self, pool: NodePool, clock: ChainClock) -> None:
        self._pool = pool
        self._clock = clock

    async def appears(self, order: LiveOrder, seconds: float, commitment: str = CONFIRMED) -> bool:
        """Wait until a node reports the signature at `commitment`; one node's word, to be followed by a look."""
        assert order.signature is not None  # noqa: S101 - a constraint of the table
        try:
            return await self._pool.wait_for_signature(order.signature, seconds, commitment=commitment) is not None
        except NodeError:
            return False

    async def landed(self, order: LiveOrder) -> LandedSwap | None:
        """Return what the chain says the order did; None while no node shows it, or a failure is not sure yet.

        Raises:
            UnreadableSwap: it landed as something else than the swap that was ordered.
        """
        document = await self._transaction(order, CONFIRMED)
        if document is None:
            return None
        if _error(document) is not None:
            document = await self._sure_failure(order)
        return None if document is None else _read(order, document)

    async def sealed(self, order: LiveOrder) -> LandedSwap | None:
        """Return what the finalized chain says the order did, None while it does not say it.

        Raises:
            UnreadableSwap: as `landed`.
        """
        document = await self._transaction(order, FINALIZED)
        return None if document is None else _read(order, document)

    async def past_its_height(self, order: LiveOrder) -> bool:
        """Whether the chain's height is beyond the last one at which the order's bytes are taken; False if unknown."""
        try:
            return (await self._clock.now()).height > (order.last_valid_block_height or 0)
        except NodeError:
            return False

    async def fate(self, order: LiveOrder) -> Fate:
        """Return what can be proven of bytes whose time is over."""
        assert order.signature is not None and order.last_valid_block_height is not None  # noqa: S101 - a constraint
        try:
            proven = await expiry.can_land_no_more(
                self._pool,
                order.signature,
                order.last_valid_block_height,
                blockhash=order.blockhash or None,
                address=order.wallet,
                lane=Lane.EXIT_QUOTE,
            )
        except NodeError as error:
            log.warning("order_expiry_unknown", order_id=str(order.id), reason=error.code)
            return Fate.UNKNOWN
        if isinstance(proven, expiry.Expired):
            return Fate.EXPIRED
        return Fate.LANDED if isinstance(proven, expiry.Landed) else Fate.UNKNOWN

    async def _transaction(self, order: LiveOrder, commitment: str) -> dict[str, Any] | None:
        assert order.signature is not None  # noqa: S101 - a constraint of the table
        try:
            return await self._pool.transaction(order.signature, commitment, lane=Lane.EXIT_QUOTE)
        except NodeError as error:
            log.warning("order_transaction_unknown", order_id=str(order.id), reason=error.code)
            return None

    async def _sure_failure(self, order: LiveOrder) -> dict[str, Any] | None:
        """Return the failed transaction if two nodes show it and none shows it well, or if it is final."""
        signature = order.signature or ""
        told = await self._pool.each(
            lambda name: self._pool.transaction(signature, CONFIRMED, node=name, lane=Lane.EXIT_QUOTE)
        )
        seen = [document for document in told.values() if isinstance(document, dict)]
        failed = [document for document in seen if _error(document) is not None]
        if len(failed) == len(seen) >= 2:
            return failed[0]
        return await self._transaction(order, FINALIZED)


def _error(document: dict[str, Any]) -> Any:
    return (document.get("meta") or {}).get("err")


def _read(order: LiveOrder, document: dict[str, Any]) -> LandedSwap | None:
    try:
        fill = order.read(document)
    except UnreadableSwap as error:
        if error.code == "NO_BALANCES":
            return None
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        log.warning("order_transaction_unreadable", order_id=str(order.id), reason=type(error).__name__)
        return None
    if fill.signature != order.signature:
        log.error("order_other_transaction", order_id=str(order.id), told=fill.signature)
        return None
    return fill
