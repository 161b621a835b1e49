"""The orders process of the matrix: the desk's own, except that it stops itself (SIGSTOP) at the points it is told.

They stand in a file, a line each, with the purpose and the wallet of the order they are about:
`before:sent close:<wallet id>`. A line is taken away when its point is reached.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import django

django.setup()

from django.conf import settings  # noqa: E402

from apps.chain import nodes  # noqa: E402
from apps.core import http  # noqa: E402 - needs Django's settings
from apps.trading.services.live import landing, running  # noqa: E402
from apps.trading.services.live.bookings import Bookings, Ending, Landing  # noqa: E402
from apps.trading.services.live.claims import Claims  # noqa: E402
from apps.trading.services.live.live_order import LiveOrder  # noqa: E402
from apps.trading.services.live.safety import Judging  # noqa: E402
from apps.wallets.signer_client import AsyncSigner, ReclaimToSign, Signed, SwapToSign  # noqa: E402
from tests.kill_matrix.processes import write_whole  # noqa: E402

LEASE_SECONDS = 1.0


class Halt:
    """Stops this process where it is wanted to be stopped."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys: dict[str, str] = {}
        self._one = threading.Lock()

    def know(self, order: LiveOrder) -> None:
        self._keys[str(order.id)] = f"{order.purpose}:{order.wallet_id}"

    def at(self, point: str, order_id: object) -> None:
        line = f"{point} {self._keys.get(str(order_id))}"
        with self._one:
            wanted = self._wanted()
            if line not in wanted:
                return
            write_whole(self._file, "\n".join(other for other in wanted if other != line))
            os.kill(os.getpid(), signal.SIGSTOP)

    def _wanted(self) -> list[str]:
        try:
            return self._file.read_text().splitlines()
        except OSError:
            return []


class HaltingClaims(Claims):
    """Claims that stop around each step."""

    def __init__(self, halt: Halt) -> None:
        super().__init__(lease_seconds=LEASE_SECONDS)
        self._halt = halt

    async def claim(self, most: int) -> list[LiveOrder]:
        orders = await super().claim(most)
        for order in orders:
            self._halt.know(order)
            self._halt.at("after:reserved", order.id)
        return orders

    async def step(self, order: LiveOrder, after: str, **columns: Any) -> None:
        self._halt.at(f"before:{after}", order.id)
        await super().step(order, after, **columns)
        self._halt.at(f"after:{after}", order.id)


class HaltingSigner:
    """The signer's door, stopped at before the question and between the answer and its being written down."""

    def __init__(self, halt: Halt) -> None:
        self._halt, self._signer = halt, AsyncSigner(settings.SIGNER_SOCKET)

    async def sign_swap(self, swap: SwapToSign) -> Signed:
        self._halt.at("before:sign", swap.order_id)
        try:
            return await self._signer.sign_swap(swap)
        finally:
            self._halt.at("after:sign", swap.order_id)

    async def sign_reclaim(self, reclaim: ReclaimToSign) -> Signed:
        self._halt.at("before:sign", reclaim.order_id)
        try:
            return await self._signer.sign_reclaim(reclaim)
        finally:
            self._halt.at("after:sign", reclaim.order_id)


def halting_sends(halt: Halt) -> None:
    for route in (landing.NodeLanding, landing.ExecuteLanding):

        def halting(original: Any) -> Any:
            async def send(self: Any, order: LiveOrder, raw: bytes) -> landing.Sent:
                halt.at("before:send", order.id)
                try:
                    sent: landing.Sent = await original(self, order, raw)
                finally:  # answered, or given up because the chain has told what became of it
                    halt.at("after:send", order.id)
                return sent

            return send

        route.send = halting(route.send)  # type: ignore[method-assign]


def halting_services(halt: Halt) -> Any:
    services = running.services()

    def settle_landed(landed: list[Landing]) -> Any:
        for order_id, _ in landed:
            halt.at("before:landed", order_id)
        settled = services.settle_landed(landed)
        for order_id, _ in landed:
            halt.at("after:landed", order_id)
        return settled

    def settle_ended(ended: list[Ending]) -> Any:
        for ending in ended:
            halt.at(f"before:{ending[1]}", ending[0])
        settled = services.settle_ended(ended)
        for ending in ended:
            halt.at(f"after:{ending[1]}", ending[0])
        return settled

    def reverse(order_id: UUID) -> object:
        halt.at("before:reversed", order_id)
        reversed_ = services.reverse_landed(order_id)
        halt.at("after:reversed", order_id)
        return reversed_

    return replace(services, settle_landed=settle_landed, settle_ended=settle_ended, reverse_landed=reverse)


def show_tasks() -> None:
    """Tell where every task stands: what a stuck order leaves behind for whoever looks."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=4)


async def main() -> None:
    halt = Halt(Path(sys.argv[1]))
    halting_sends(halt)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, show_tasks)
    bookings, judging = Bookings(halting_services(halt)), Judging(nodes.pool())
    driver = running.make_driver(
        bookings, signer=HaltingSigner(halt), judge=judging.judge_order, claims=HaltingClaims(halt)
    )
    try:
        await driver.run(stop)
    finally:
        bookings.close()
        judging.close()
        await nodes.close_pool()
        await http.close_async_clients()


if __name__ == "__main__":
    asyncio.run(main())
