"""The orders process: claims due orders, drives each from where it is to its end, hundreds at once in one event loop.

Start-up and recovery are one path: what is not ended and whose lease has run out is claimed, at start, when somebody
says so, and each second. An order of this process whose lease is not surely ours any more is dropped where it stands.
What one order goes through is `driving`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import structlog

from apps.trading import order_metrics
from apps.trading.domain import order_machine
from apps.trading.services.live import claims as claiming
from apps.trading.services.live.claims import Claims, LeaseLost, StoreAway
from apps.trading.services.live.driving import Drive
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.together import DatabaseAway

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 1.0
RENT_SECONDS = 60.0
MOST_ORDERS = 1_000
_CLAIMED_AT_ONCE = 200
_RELISTEN_SECONDS = 1.0
_BROKEN_SECONDS = 5.0
_STOP_SECONDS = 2.0


@dataclass(slots=True)
class _Held:
    order: LiveOrder
    task: asyncio.Task[None]


class Driver:
    """Everything one process does for live orders. `run` ends when `stop` is set."""

    def __init__(self, claims: Claims, drive: Drive) -> None:
        self._claims = claims
        self._drive = drive
        self._held: dict[UUID, _Held] = {}
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Drive orders until `stop`; what is under way then is given back by its lease, as after a death."""
        async with asyncio.TaskGroup() as group:
            claiming_always = group.create_task(self._claim_always())
            standing = [
                group.create_task(work())
                for work in (self._claims.run, self._listen, self._renew_always, self._bring_rent_always)
            ]
            await stop.wait()
            claiming_always.cancel()
            await self._finish()
            for task in standing:
                task.cancel()

    @property
    def count(self) -> int:
        """How many orders this process drives now."""
        return len(self._held)

    async def _listen(self) -> None:
        """Be woken by whoever reserves orders; while nobody can be heard, the sweep finds them."""
        while True:
            try:
                connection = await claiming.connect("soldesk-orders-ears")
                try:
                    await connection.execute(f"LISTEN {claiming.CHANNEL}")
                    self._wake.set()
                    async for _ in connection.notifies():
                        self._wake.set()
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                log.warning("orders_ears_away", error=type(error).__name__)
            await asyncio.sleep(_RELISTEN_SECONDS)

    async def _claim_always(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self._claim() == _CLAIMED_AT_ONCE:
                    pass
            except StoreAway:
                pass  # said by the writer; the next round asks again
            self._measure()
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _claim(self) -> int:
        room = min(_CLAIMED_AT_ONCE, MOST_ORDERS - len(self._held))
        if room <= 0:
            return 0
        orders = await self._claims.claim(room)
        for order in orders:
            self._drop(order.id)
            self._held[order.id] = _Held(order, asyncio.create_task(self._go(order)))
        return len(orders)

    async def _renew_always(self) -> None:
        while True:
            await asyncio.sleep(self._claims.renew_seconds)
            mine = [held.order for held in self._held.values()]
            try:
                lost = await self._claims.renew(mine)
            except StoreAway:
                lost = mine  # in a moment somebody else may have them
            for order in lost:
                if order.status in order_machine.TERMINAL:
                    continue  # it has ended here, with the lease it had; what follows an end needs none
                if self._held.get(order.id) is not None and self._held[order.id].order is order:
                    order_metrics.LEASES_LOST.inc()
                    log.warning("order_lease_lost", order_id=str(order.id), status=order.status)
                    self._drop(order.id)

    async def _bring_rent_always(self) -> None:
        """Look after the rent of sales whose process ended before it could."""
        while True:
            await self._drive.bring_left_rent()
            await asyncio.sleep(RENT_SECONDS)

    async def _go(self, order: LiveOrder) -> None:
        """Drive one order; whatever goes wrong ends this drive only, and the order is claimed anew."""
        causes = {"signal_id": order.signal_id, "position_id": order.position_id and str(order.position_id)}
        known = {name: value for name, value in causes.items() if value is not None}
        structlog.contextvars.bind_contextvars(order_id=str(order.id), **known)  # in each line about it from here on
        try:
            await self._drive.drive(order)
        except LeaseLost:
            order_metrics.LEASES_LOST.inc()
            log.warning("order_lease_lost", status=order.status)
        except (StoreAway, DatabaseAway) as error:
            log.warning("order_put_down", status=order.status, reason=str(error))
        except Exception as error:
            log.error("order_broke", status=order.status, exc_info=error)
            await self._give_back(order, type(error).__name__)
        finally:
            held = self._held.get(order.id)
            if held is not None and held.order is order:
                del self._held[order.id]

    async def _give_back(self, order: LiveOrder, reason: str) -> None:
        if order.status in order_machine.TERMINAL:
            return  # what has ended never changes
        with suppress(LeaseLost, StoreAway):  # else its lease runs out by itself
            await self._claims.let_go(order, due_in_seconds=_BROKEN_SECONDS, code="INTERNAL_ERROR", detail=reason)

    def _drop(self, order_id: UUID) -> None:
        held = self._held.pop(order_id, None)
        if held is not None:
            held.task.cancel()

    async def _finish(self) -> None:
        """Let go of every order at once; the next process claims them when their leases have run out, or sooner."""
        mine = list(self._held.values())
        for held in mine:
            held.task.cancel()
        await asyncio.gather(*(held.task for held in mine), return_exceptions=True)
        giving = (
            self._claims.let_go(held.order, due_in_seconds=0)
            for held in mine
            if held.order.status not in order_machine.TERMINAL
        )
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await asyncio.gather(*giving, return_exceptions=True)
        except TimeoutError:
            pass

    def _measure(self) -> None:
        counts = Counter(held.order.status for held in self._held.values())
        for status in order_machine.STEPS:
            order_metrics.ORDERS.labels(status).set(counts[status])
        now = datetime.now(UTC)
        ages = [
            (now - held.order.created_at).total_seconds()
            for held in self._held.values()
            if held.order.status == order_machine.UNRESOLVED
        ]
        order_metrics.UNRESOLVED_AGE.set(max(ages, default=0.0))
