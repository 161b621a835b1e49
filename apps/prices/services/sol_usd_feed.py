"""Following SOL/USD: Pyth's stream, Pyth by poll while the stream is down, the price sources while Pyth says nothing.

One asyncio loop follows, a thread of its own writes, so that a slow database delays no price and a newer value simply
replaces one not yet written. Nothing here is a record of money: a restart begins again.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.db import DatabaseError, connection

from apps.core.http import (
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    close_async_clients,
)
from apps.core.metrics_registry import SOL_USD_AGE
from apps.prices import selectors
from apps.prices.adapters import pyth
from apps.prices.domain.points import SolUsd
from apps.prices.services import fetching, sol_price

log = structlog.get_logger(__name__)

_REFUSED = (401, 403)
_ASK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How the feed waits, in seconds; the defaults are the provider's rules.

    A stream is opened again when no byte came for `idle`, and when no price came for `silence`: a connection that is
    only kept alive tells nothing.
    """

    first_backoff: float = 1.0
    longest_backoff: float = 60.0
    after_429: float = 60.0
    after_refusal: float = 300.0
    reopen_after: float = 23 * 3600.0
    idle: float = pyth.IDLE_SECONDS
    silence: float = 30.0
    poll: float = 5.0
    fallback: float = 10.0
    ask_second: float = 2.0
    tick: float = 1.0


class SolUsdFeed:
    """Keeps SOL/USD current until told to stop; `run` it once in an event loop."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._current: SolUsd | None = None
        self._writer = _Writer(self._patience.tick)
        self._stream_heard_at = 0.0
        self._refused_until = 0.0
        self._second_asked_at = -1e9

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the price until `stop` is set; returns within a second of it."""
        self._current = await asyncio.to_thread(_known)
        self._writer.start()
        tasks = [asyncio.create_task(self._follow_stream()), asyncio.create_task(self._watch())]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.wait(tasks, timeout=0.5)
            await close_async_clients()
            self._writer.stop()

    async def _follow_stream(self) -> None:
        backoff = self._patience.first_backoff
        while True:
            heard_before = self._stream_heard_at
            try:
                await self._read_stream()
                wait = 0.0
            except ProviderRejected as error:
                wait = backoff
                if error.http_status in _REFUSED:
                    wait = self._patience.after_refusal
                    self._refused_until = time.monotonic() + wait
                    log.warning(
                        "sol_usd_stream_refused", status=error.http_status, hint="set PYTH_API_KEY", retry_seconds=wait
                    )
            except ProviderRateLimited as error:
                wait = max(self._patience.after_429, error.retry_after_seconds)
            except ProviderError as error:
                wait = random.uniform(0.5, 1) * backoff  # noqa: S311 - spreads reconnections, guards nothing
                log.warning("sol_usd_stream_lost", code=error.code, reason=error.message, retry_seconds=round(wait, 2))
            if self._stream_heard_at > heard_before:
                backoff = self._patience.first_backoff
            else:
                backoff = min(backoff * 2, self._patience.longest_backoff)
            await asyncio.sleep(wait)

    async def _read_stream(self) -> None:
        """Take prices from one connection until it is due to be reopened.

        Raises:
            ProviderError: however else the connection ends.
        """
        reopen_at = time.monotonic() + self._patience.reopen_after * random.uniform(0.98, 1)  # noqa: S311
        async with pyth.updates(idle_seconds=self._patience.idle) as prices:
            log.info("sol_usd_stream_opened")
            while time.monotonic() < reopen_at:
                price = await self._next(prices)
                self._stream_heard_at = time.monotonic()
                await self._consider(price)

    async def _next(self, prices: AsyncIterator[SolUsd]) -> SolUsd:
        try:
            async with asyncio.timeout(self._patience.silence):
                return await anext(prices)
        except TimeoutError:
            silence = f"{self._patience.silence:g} s"
            raise ProviderTimeout(pyth.PROVIDER, "stream", f"pyth's stream told no price for {silence}") from None

    async def _watch(self) -> None:
        """Expose the price's age, and poll while it grows."""
        fallback_at = 0.0
        while True:
            self._expose_age()
            now = time.monotonic()
            if now - self._stream_heard_at > self._patience.poll or self._age() > self._patience.fallback:
                await self._poll_pyth()
                if now >= fallback_at and self._age() > self._patience.fallback:
                    fallback_at = now + self._patience.fallback
                    await self._fall_back()
                await asyncio.sleep(self._patience.poll)
            else:
                await asyncio.sleep(min(1.0, self._patience.poll))

    async def _poll_pyth(self) -> None:
        if time.monotonic() < self._refused_until:
            return
        try:
            price = await pyth.latest()
        except ProviderRejected as error:
            if error.http_status in _REFUSED:
                self._refused_until = time.monotonic() + self._patience.after_refusal
            return
        except ProviderError:
            return
        if price is not None:
            await self._consider(price)

    async def _fall_back(self) -> None:
        """Take a price source's price of wrapped SOL, unless the watch has stored one meanwhile."""
        known = await asyncio.to_thread(_known)
        if known is not None and self._newer(known):
            self._current = known
            if self._age() <= self._patience.fallback:
                return
        price = await _from_price_sources()
        if price is None or sol_price.leaps(price, self._current):
            return
        if self._age() > self._patience.fallback:  # Pyth may have spoken meanwhile
            self._take(price)

    async def _consider(self, price: SolUsd) -> None:
        """Take `price` if it is newer and plausible, or a second source says the same."""
        if not self._newer(price):
            return
        if self._current is not None and not sol_price.leaps(price, self._current):
            self._take(price)
            return
        if time.monotonic() - self._second_asked_at < self._patience.ask_second:
            return
        self._second_asked_at = time.monotonic()
        second = await _from_price_sources()
        if second is None and self._current is None:
            self._take(price)
        elif second is None or not sol_price.agrees(price, second):
            other = None if second is None else str(second.value)
            log.warning("sol_usd_refused", source=price.source, value=str(price.value), second=other)
        else:
            self._take(price)

    def _newer(self, price: SolUsd) -> bool:
        """Pyth counts in whole seconds: another value of the same second is newer too."""
        known = self._current
        if known is None or price.at > known.at:
            return True
        return price.at == known.at and price.source == known.source and price.value != known.value

    def _take(self, price: SolUsd) -> None:
        if self._current is None or self._current.source != price.source:
            log.info("sol_usd_source", source=price.source, value=str(price.value))
        self._current = price
        self._writer.put(price)
        self._expose_age()

    def _age(self) -> float:
        if self._current is None:
            return float("inf")
        return (datetime.now(UTC) - self._current.at) / timedelta(seconds=1)

    def _expose_age(self) -> None:
        SOL_USD_AGE.set(self._age())


async def _from_price_sources() -> SolUsd | None:
    """Ask the source that has calls to spare on this plan, then the other one."""
    for source in fetching.sources():
        price: SolUsd | None = await source.sol_usd(deadline_seconds=_ASK_SECONDS)
        if price is not None:
            return price
    return None


def _known() -> SolUsd | None:
    """Read what is known; on a thread of the loop's pool, so the connection is not kept."""
    try:
        return selectors.sol_usd()
    except DatabaseError:
        return None
    finally:
        connection.close()


class _Writer(threading.Thread):
    """Writes the newest value, at most one tick a second; values that come faster replace each other."""

    def __init__(self, tick_seconds: float) -> None:
        super().__init__(name="sol-usd-writer", daemon=True)
        self._tick_seconds = tick_seconds
        self._waiting = threading.Condition()
        self._value: SolUsd | None = None
        self._stopping = False

    def put(self, price: SolUsd) -> None:
        with self._waiting:
            self._value = price
            self._waiting.notify()

    def stop(self) -> None:
        with self._waiting:
            self._stopping = True
            self._waiting.notify()
        self.join(timeout=0.3)

    def run(self) -> None:
        tick_at = 0.0
        while True:
            with self._waiting:
                while self._value is None and not self._stopping:
                    self._waiting.wait()
                if self._value is None:
                    break
                price, self._value = self._value, None
            due = time.monotonic() >= tick_at
            try:
                sol_price.record_sol_usd(price, tick=due)
            except DatabaseError as error:
                log.warning("sol_usd_not_stored", error=type(error).__name__)
                connection.close()
            if due:
                tick_at = time.monotonic() + self._tick_seconds
        connection.close()
