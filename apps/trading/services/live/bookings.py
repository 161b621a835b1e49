"""What the orders process asks of the books, each question together with those of other orders (`together`).

The services behind it wait for the database and run in threads; an order that ended or landed is booked in their own
transactions, under the locks of every booking.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from apps.trading.domain.landed_swap import LandedSwap
from apps.trading.services.live.together import Together

Landing = tuple[UUID, LandedSwap]
Ending = tuple[UUID, str, str, str]
Reclaim = tuple[UUID, str, str]
Item = TypeVar("Item", Landing, Ending)


@dataclass(frozen=True, slots=True)
class Sold:
    """A finalized sale that may have emptied its token account."""

    id: UUID
    wallet: str
    mint: str


class NotBooked(Exception):
    """The books could not take this order as it is; it stays where it was, and somebody has to look."""


@dataclass(frozen=True, slots=True)
class Services:
    """The booking services by what they do; see `gate_again`, `settling`, `reclaims`."""

    refusals: Callable[[list[UUID]], Mapping[UUID, str]]
    settle_landed: Callable[[list[Landing]], Collection[UUID]]
    settle_ended: Callable[[list[Ending]], Collection[UUID]]
    reverse_landed: Callable[[UUID], object]
    reserve_reclaim: Callable[[UUID, str, str], object]
    left_behind: Callable[[], list[Sold]]


class Bookings:
    """The books for one event loop."""

    def __init__(self, services: Services) -> None:
        def refusals(orders: Sequence[UUID]) -> list[str]:
            told = services.refusals(list(orders))
            return [told.get(order_id, "") for order_id in orders]

        def reverse(orders: Sequence[UUID]) -> list[None]:
            for order_id in orders:
                services.reverse_landed(order_id)
            return [None] * len(orders)

        def reclaim(wanted: Sequence[Reclaim]) -> list[None]:
            for each in wanted:
                services.reserve_reclaim(*each)
            return [None] * len(wanted)

        def left(asked: Sequence[None]) -> list[list[Sold]]:
            return [services.left_behind()] * len(asked)

        self._gate = Together("gate", refusals)
        self._landed = Together("landed", _each(services.settle_landed))
        self._ended = Together("ended", _each(services.settle_ended))
        self._reverse = Together("reversed", reverse)
        self._reclaim = Together("reclaim", reclaim)
        self._left = Together("left", left)

    async def refusal(self, order_id: UUID) -> str:
        """Return why the gate does not let an order on now, "" when it does.

        Raises:
            DatabaseAway: as everything here.
        """
        return await self._gate.ask(order_id)

    async def landed(self, order_id: UUID, fill: LandedSwap) -> None:
        """Book what landed; the row is `landed`, or `failed` if it landed with an error. Raises NotBooked."""
        _check(order_id, await self._landed.ask((order_id, fill)))

    async def ended(self, order_id: UUID, status: str, code: str, detail: str) -> None:
        """End an order that did not land, and give back what it held."""
        _check(order_id, await self._ended.ask((order_id, status, code, detail)))

    async def reverse(self, order_id: UUID) -> None:
        """Take a landing back that the finalized chain does not have."""
        await self._reverse.ask(order_id)

    async def reclaim(self, sale_id: UUID, token_account: str, program: str) -> None:
        """Reserve an order that closes an empty token account after a sale."""
        await self._reclaim.ask((sale_id, token_account, program))

    async def left_behind(self) -> list[Sold]:
        """Return the sales after which nobody looked for rent."""
        return await self._left.ask(None)

    def close(self) -> None:
        """Let the threads end when what they do is done."""
        for each in (self._gate, self._landed, self._ended, self._reverse, self._reclaim, self._left):
            each.close()


def _each(service: Callable[[list[Item]], Collection[UUID]]) -> Callable[[Sequence[Item]], list[bool]]:
    def work(items: Sequence[Item]) -> list[bool]:
        booked = service(list(items))
        return [item[0] in booked for item in items]

    return work


def _check(order_id: UUID, booked: bool) -> None:
    if not booked:
        raise NotBooked(str(order_id))
