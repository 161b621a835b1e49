"""The market's clock: ticks on the event loop, scripted prices at their own times, and those who wait for a move."""

from __future__ import annotations

import asyncio
import logging
import time

from apps.sandbox.attention import Attention
from apps.sandbox.domain.market import Market

log = logging.getLogger("sandbox.engine")


class Engine:
    """Drives a market in real time."""

    def __init__(self, market: Market, attention: Attention) -> None:
        self.market = market
        self._attention = attention
        self._waiting: asyncio.Future[None] | None = None
        self._script_timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Tick until cancelled. A late loop does not hurry: missed ticks are left out, not caught up."""
        loop = asyncio.get_running_loop()
        interval = self.market.tick_ms / 1000
        due = loop.time() + interval
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.market.step(time.time(), held=self._attention.held())
            self.follow_scripts()
            self._wake()
            due = max(due + interval, loop.time())

    def follow_scripts(self) -> None:
        """Show the scripted prices that are due and arm the timer for the next; call after what changes a script."""
        if self._script_timer is not None:
            self._script_timer.cancel()
            self._script_timer = None
        before = self.market.view
        next_due = self.market.follow_scripts(time.time())
        if self.market.view is not before:
            self._wake()
        if next_due is not None:
            delay = max(0.0, next_due - time.time())
            self._script_timer = asyncio.get_running_loop().call_later(delay, self.follow_scripts)

    def moved(self) -> None:
        """Tell those who wait that something was changed by hand."""
        self._wake()

    async def next_move(self) -> None:
        """Wait until the market has moved once more."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
