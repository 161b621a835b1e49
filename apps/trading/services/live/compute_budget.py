"""What a swap through our own nodes may use and pays for it: a limit measured by trying it, a price by recent fees.

The provider's own limit is generous, and what is not used is paid for all the same. A node that cannot try the swap or
tell of fees changes nothing: then it goes as it was offered.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

import structlog
from solders.message import MessageV0

from apps.chain.errors import NodeError
from apps.chain.pool import NodePool
from apps.core.http import Lane
from apps.trading.domain.landed_swap import LAMPORTS_PER_SIGNATURE
from apps.trading.services.live import swap_bytes, trial_bytes
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.swap_bytes import MOST_UNITS, SwapBytes

log = structlog.get_logger(__name__)

#: What a swap uses at most, for turning a price per unit into lamports before there is a transaction to measure.
_USUAL_UNITS = 300_000
#: Beyond what was measured: prices move between the measurement and the landing, and a longer way costs more units.
_MARGIN_PERCENT = 30
_LEAST_PRIORITY_LAMPORTS = 1_000
_LEAST_PRICE = 10_000
_FEES_KEPT_SECONDS = 2.0
#: So old a price is not bid any more: a newer one is waited for.
_FEES_OLD_SECONDS = 10.0
_MOST_KEPT = 1_000
_PERCENTILE = 0.75
_MICRO = 1_000_000
_SECONDS = 1.0
#: Attempts double their price as the ladder doubles their cap; after so many steps every cap is reached.
_LAST_STEP = 20


@dataclass(slots=True)
class _Price:
    """Micro-lamports per unit that were enough of late."""

    told_at: float = -math.inf
    micro_lamports: int = 0
    asking: asyncio.Task[None] | None = None


class ComputeBudgets:
    """One per process, so that what many orders of a token ask is asked once."""

    def __init__(self, pool: NodePool) -> None:
        self._pool = pool
        self._prices: dict[str, _Price] = {}
        self._tables: dict[str, list[str]] = {}

    async def usual_lamports(self, order: LiveOrder) -> int:
        """Return the priority fee of a swap of the usual size, for a provider that wants it beforehand."""
        price = await self._price("", [])
        return max(_LEAST_PRIORITY_LAMPORTS, -(-price * _USUAL_UNITS // _MICRO)) << _step(order)

    async def fitted(self, order: LiveOrder, swap: SwapBytes, fee_cap_lamports: int) -> SwapBytes:
        """Return a swap with a limit and a price of our own, all its fees within `fee_cap_lamports`."""
        message = swap.transaction.message
        if not isinstance(message, MessageV0):
            return swap
        lane = Lane.ENTRY_QUOTE if order.is_buy else Lane.EXIT_QUOTE
        units, price = await asyncio.gather(self._units(order, swap, lane), self._local_price(order, message))
        if units is None:
            return swap
        limit = min(units * (100 + _MARGIN_PERCENT) // 100, MOST_UNITS)
        least = -(-_LEAST_PRIORITY_LAMPORTS * _MICRO // limit)
        return swap_bytes.with_budget(swap, limit, _bid(order, max(price, least), limit, fee_cap_lamports))

    async def price(self, order: LiveOrder, units: int, fee_cap_lamports: int) -> int:
        """Return micro-lamports per unit for a transaction that needs so many, all its fees within the cap."""
        return _bid(order, max(await self._price("", []), _LEAST_PRICE), units, fee_cap_lamports)

    async def _units(self, order: LiveOrder, swap: SwapBytes, lane: Lane) -> int | None:
        """Return the units a swap uses now; None when no node says so, or it would fail: the signer judges that."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._pool.units(swap.raw, lane=lane) or None
        except (NodeError, TimeoutError) as error:
            log.info("order_not_measured", order_id=str(order.id), reason=getattr(error, "code", "TIMEOUT"))
            return None

    async def _local_price(self, order: LiveOrder, message: MessageV0) -> int:
        """Return what writing the accounts of this token's market cost of late, at least what any writing did."""
        try:
            async with asyncio.timeout(_SECONDS):
                keys = trial_bytes.writable_keys(message, await self._tables_of(message))
        except (NodeError, TimeoutError, ValueError, IndexError):
            keys = []
        everywhere, here = await asyncio.gather(self._price("", []), self._price(order.mint, keys))
        return max(everywhere, here)

    async def _tables_of(self, message: MessageV0) -> dict[str, list[str]]:
        """Return the message's lookup tables; they only ever grow, so that one is read again when it is too short."""
        wanted = {str(lookup.account_key): lookup for lookup in message.address_table_lookups}
        unread = [
            key
            for key, lookup in wanted.items()
            if len(self._tables.get(key, ())) <= max(bytes(lookup.writable_indexes) + bytes(lookup.readonly_indexes))
        ]
        if unread:
            if len(self._tables) > _MOST_KEPT:
                self._tables.clear()
            self._tables |= {key: list(addresses) for key, addresses in (await self._read_tables(unread)).items()}
        return {key: self._tables.get(key, []) for key in wanted}

    async def _read_tables(self, keys: list[str]) -> dict[str, list[str]]:
        told = await self._pool.lookup_tables(sorted(keys), lane=Lane.EXIT_QUOTE)
        return {key: list(addresses) for key, addresses in told.items()}

    async def _price(self, name: str, keys: list[str]) -> int:
        """Return the price of late for writing `keys`, kept by `name`; one a little old while a newer is asked for."""
        if len(self._prices) > _MOST_KEPT:
            self._prices.clear()
        price = self._prices.setdefault(name, _Price())
        age = time.monotonic() - price.told_at
        if age > _FEES_KEPT_SECONDS:
            if price.asking is None or price.asking.done():
                price.asking = asyncio.ensure_future(self._ask_price(price, keys))
            if age > _FEES_OLD_SECONDS:
                await asyncio.shield(price.asking)
        return price.micro_lamports

    async def _ask_price(self, price: _Price, keys: list[str]) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                told = sorted(await self._pool.recent_fees(keys, lane=Lane.EXIT_QUOTE))
            price.micro_lamports = told[int(len(told) * _PERCENTILE)] if told else 0
        except (NodeError, TimeoutError):
            pass  # the last known figure is as good as any
        price.told_at = time.monotonic()


def _bid(order: LiveOrder, price: int, units: int, fee_cap_lamports: int) -> int:
    """Return the price of this attempt, no higher than the cap lets it be."""
    most = (fee_cap_lamports - LAMPORTS_PER_SIGNATURE) * _MICRO // units
    return max(min(price << _step(order), most), 0)


def _step(order: LiveOrder) -> int:
    return min(max(order.attempt, 1) - 1, _LAST_STEP)
