"""The signal source: posts a trading signal every few seconds, as any outside strategy would, with an API key.

Whatever the other side answers, it goes on: it backs off, reads its key again and counts the outcomes for the page.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter, deque
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from apps.core.money import LAMPORTS_PER_SOL
from apps.sandbox.domain import signals
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.signals import Candidate, Outcome, Signal
from apps.sandbox.options import Options

log = logging.getLogger("sandbox.signals")

_PATH = "/api/v1/trading-signals"
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
_KEY_POLL_SECONDS = 0.5
_DESK_POLL_SECONDS = 1.0
_WINDOW_SECONDS = 30.0
_KEPT = 12
#: A token among this many last signals counts as called lately.
_LATELY = 4
#: A Soldesk that has never answered may be starting: its silence is no failure for this long.
_START_SECONDS = 60.0
#: A token is called only while its pool holds at least this share of what it was launched with.
_LEAST_DEPTH = 0.2


class SignalSource:
    """Posts signals about the demo market to one Soldesk."""

    def __init__(self, options: Options, market: Market) -> None:
        self._options = options
        self._market = market
        self._enabled = options.signals
        self._interval_seconds = options.signal_interval_seconds
        self._status = "paused"
        self._number = 0
        self._failures = 0
        self._patient_until = time.monotonic() + _START_SECONDS
        self._outcomes: Counter[Outcome] = Counter()
        self._recent: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._steered = asyncio.Event()

    async def run(self) -> None:
        """Post until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False) as session:
            while True:
                started = time.monotonic()
                pause = await self._turn(session)
                await self._wait(max(0.0, pause - (time.monotonic() - started)))

    def steer(self, *, enabled: bool | None, interval_seconds: float | None) -> None:
        """Pause, resume or change the pace; takes effect at once."""
        if enabled is not None:
            self._enabled = enabled
        if interval_seconds is not None:
            self._interval_seconds = interval_seconds
        self._steered.set()

    def as_document(self) -> dict[str, Any]:
        """Return the source's state for the page and the control API."""
        return {
            "enabled": self._enabled,
            "status": self._status,
            "interval_seconds": self._interval_seconds,
            "url": self._options.soldesk_url + _PATH,
            "outcomes": {outcome.value: self._outcomes[outcome] for outcome in Outcome},
            "recent": list(self._recent),
        }

    async def _turn(self, session: aiohttp.ClientSession) -> float:
        """Do what is due now; returns the seconds until the next turn."""
        if not self._enabled:
            self._status = "paused"
            return 3_600.0
        key = self._key()
        if key is None:
            self._status = "waiting_for_key"
            return _KEY_POLL_SECONDS
        signal = signals.choose(self._market.seed, self._number, self.candidates())
        if signal is None:
            self._status = "no_token"
            return self._interval_seconds
        self._number += 1
        outcome, status, retry_after = await self._post(session, signal, key)
        if outcome is Outcome.UNREACHABLE and time.monotonic() < self._patient_until:
            self._status = "waiting_for_desk"
            return _DESK_POLL_SECONDS
        self._patient_until = 0.0
        failed = signals.is_failure(outcome)
        self._failures = self._failures + 1 if failed else 0
        self._status = "backing_off" if failed else "posting"
        self._outcomes[outcome] += 1
        self._recent.appendleft(
            {
                "at": time.time(),
                "mint": signal.mint,
                "symbol": signal.symbol,
                "signal_type": signal.signal_type,
                "strength": signal.strength,
                "reason": signal.reason,
                "outcome": outcome,
                "status": status,
            }
        )
        return signals.pause_seconds(
            outcome,
            failures=self._failures,
            interval_seconds=self._interval_seconds,
            retry_after_seconds=retry_after,
        )

    async def _post(
        self, session: aiohttp.ClientSession, signal: Signal, key: str
    ) -> tuple[Outcome, int | None, float | None]:
        request_id = str(uuid.uuid4())
        body = {
            "tokenAddress": signal.mint,
            "symbol": signal.symbol,
            "signalType": signal.signal_type,
            "signalStrength": signal.strength,
            "activationReason": signal.reason,
            "source": "sandbox",
        }
        headers = {"X-API-Key": key, "X-Request-Id": request_id, "Content-Type": "application/json"}
        url = self._options.soldesk_url + _PATH
        try:
            async with session.post(url, data=orjson.dumps(body), headers=headers) as response:
                await response.read()
                status = response.status
                retry_after = _seconds(response.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            level = logging.DEBUG if time.monotonic() < self._patient_until else logging.WARNING
            log.log(level, "signal_unreachable request_id=%s error=%s", request_id, type(error).__name__)
            return Outcome.UNREACHABLE, None, None
        outcome = signals.outcome_of(status)
        log.info(
            'signal_posted symbol=%s type="%s" strength=%d status=%d outcome=%s request_id=%s',
            signal.symbol,
            signal.signal_type,
            signal.strength,
            status,
            outcome,
            request_id,
        )
        return outcome, status, retry_after

    def _key(self) -> str | None:
        """Return the key; a file is read anew each time, so that a new key is taken up without a restart."""
        if self._options.signal_key is not None:
            return self._options.signal_key
        if self._options.signal_key_file is None:
            return None
        try:
            text = self._options.signal_key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text or None

    def candidates(self) -> list[Candidate]:
        """Return the demo tokens that may be called: those whose pools are deep enough to trade."""
        market = self._market
        listings = (market.listings[mint] for mint in market.demo_mints)
        lately = {called["mint"] for called in list(self._recent)[:_LATELY]}
        return [self._candidate(listing, lately) for listing in listings if _is_deep(listing)]

    def _candidate(self, listing: Listing, lately: set[str]) -> Candidate:
        ticks = int(_WINDOW_SECONDS * 1000 / self._market.tick_ms)
        now = listing.pool.price_number()
        before = listing.history[-min(ticks, len(listing.history))] if listing.history else now
        return Candidate(
            mint=listing.token.mint,
            symbol=listing.token.symbol,
            change_percent=(now / before - 1) * 100,
            age_days=listing.token.age_seconds / 86_400,
            liquidity_sol=listing.pool.sol_reserve // LAMPORTS_PER_SOL,
            called_lately=listing.token.mint in lately,
        )

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._steered.wait(), seconds)
        self._steered.clear()


def _is_deep(listing: Listing) -> bool:
    launched = listing.token.launch_pool.sol_reserve
    return listing.drained_since_tick is None and listing.pool.sol_reserve >= launched * _LEAST_DEPTH


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else None
