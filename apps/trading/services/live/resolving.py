"""What became of signed bytes: the chain's word, and how much of it is enough.

Two nodes that show the same are believed at `confirmed`. One that shows a swap the other does not have is believed
after a while, because a landing can be reversed; that it failed, or that it can land no more, ends an order for good:
no single node that another contradicts is believed in that. Absence is proven by `chain.expiry` (CONCURRENCY 19).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
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

#: A node that lags gets this long before the other one's word on a landed swap is enough.
LONE_WORD_SECONDS = 3.0


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
        """Return what the chain says the order did; None while no node shows it, or it is not sure enough yet.

        Raises:
            UnreadableSwap: it landed as something else than the swap that was ordered.
        """
        told = await self._tell(order, CONFIRMED)
        document = told.document
        if document is None or told.contradict:
            return None
        order.shown_at = order.shown_at or time.monotonic()
        if _error(document) is not None and told.alone:
            return await self.sealed(order)  # only one node says that it failed: it has to be final, and undoubted
        if not told.doubted:
            return _read(order, document)
        if time.monotonic() - order.shown_at < LONE_WORD_SECONDS:
            return None
        try:
            return _read(order, document)
        except UnreadableSwap as error:
            log.warning("order_lone_word_unreadable", order_id=str(order.id), code=error.code)
            return None  # more likely that node is wrong than the chain

    async def sealed(self, order: LiveOrder) -> LandedSwap | None:
        """Return what the finalized chain says the order did, None while it does not say it.

        Raises:
            UnreadableSwap: as `landed`.
        """
        told = await self._tell(order, FINALIZED)
        if told.document is None or told.contradict or told.doubted:
            return None
        return _read(order, told.document)

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

    async def _tell(self, order: LiveOrder, commitment: str) -> _Told:
        signature = order.signature or ""
        told = await self._pool.each(lambda name: self._witness(name, signature, commitment))
        return _Told(tuple(each for each in told.values() if isinstance(each, _Witness)))

    async def _witness(self, node: str, signature: str, commitment: str) -> _Witness:
        """Ask one node for the transaction; one without it may still know how it went, having no history.

        Raises:
            NodeError: it does not answer.
        """
        document = await self._pool.transaction(signature, commitment, node=node, lane=Lane.EXIT_QUOTE)
        if document is not None:
            return _Witness(document, knows=True, failed=_error(document) is not None)
        (status,) = await self._pool.statuses([signature], search_history=True, node=node, lane=Lane.EXIT_QUOTE)
        if status is None or not (status.finalized if commitment == FINALIZED else status.confirmed):
            return _Witness(None, knows=False, failed=False)
        return _Witness(None, knows=True, failed=status.err is not None)


@dataclass(frozen=True, slots=True)
class _Witness:
    """What one node that answered says: the transaction, at least how it went, or that it knows nothing of it."""

    document: dict[str, Any] | None
    knows: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """What all nodes that answered say of one transaction."""

    witnesses: tuple[_Witness, ...]

    @property
    def document(self) -> dict[str, Any] | None:
        return next((each.document for each in self.witnesses if each.document is not None), None)

    @property
    def alone(self) -> bool:
        """Whether only one node knows it."""
        return sum(each.knows for each in self.witnesses) < 2

    @property
    def doubted(self) -> bool:
        """Whether only one node knows it although others were asked and answered."""
        return self.alone and len(self.witnesses) > 1

    @property
    def contradict(self) -> bool:
        """Whether one node says it failed and another that it went well: one is wrong, and nobody knows which."""
        return len({each.failed for each in self.witnesses if each.knows}) > 1


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
