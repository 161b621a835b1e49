"""Jupiter Price V3: dollar prices of up to 50 mints a call, SOL among them.

Every call asks for wrapped SOL too, so that a token's SOL price is a quotient of two prices of one response, never of
two clocks. A mint without a reliable price is left out by Jupiter and reported as missing here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.core.http import Lane, ProviderMalformed, async_client
from apps.core.money import SOL_MINT
from apps.prices.adapters.source_answer import SourceAnswer, batches, merge
from apps.prices.domain.block_clock import BlockClock
from apps.prices.domain.points import PricePoint, PriceSource, SolUsd, price_in_sol, usable_usd

PROVIDER = "jupiter"
OPERATION = "prices"
PATH = "/price/v3"
IDS_PER_CALL = 50
#: Wrapped SOL takes a place in each call.
TOKENS_PER_CALL = IDS_PER_CALL - 1

_clock = BlockClock()
_clock_lock = threading.Lock()


async def fetch(mints: Sequence[str], *, lane: Lane = Lane.HELD_PRICES, deadline_seconds: float) -> SourceAnswer:
    """Return the prices of `mints`, batches at once; a failed batch is reported, not raised."""
    wanted = [mint for mint in mints if mint != SOL_MINT]
    parts = batches(wanted, TOKENS_PER_CALL) or [[]]
    answers = await asyncio.gather(
        *(_fetch_batch(part, lane, deadline_seconds) for part in parts), return_exceptions=True
    )
    return merge(mints, answers)


async def sol_usd(*, deadline_seconds: float) -> SolUsd | None:
    """Return SOL in US dollars, or None when no answer told it."""
    return (await fetch([], lane=Lane.REST, deadline_seconds=deadline_seconds)).sol_usd


async def _fetch_batch(mints: Sequence[str], lane: Lane, deadline_seconds: float) -> SourceAnswer:
    answer = await async_client(PROVIDER).get(
        OPERATION, PATH, [("ids", ",".join([SOL_MINT, *mints]))], lane=lane, deadline_seconds=deadline_seconds
    )
    if not isinstance(answer.payload, dict):
        raise ProviderMalformed(PROVIDER, OPERATION, "jupiter's prices are not an object")
    return read_prices(answer.payload, mints, received_at=datetime.now(UTC))


def read_prices(payload: dict[str, Any], mints: Sequence[str], *, received_at: datetime) -> SourceAnswer:
    """Return what one response says about `mints`; without a SOL price it says nothing."""
    provider_at = _provider_time(payload, received_at)
    sol_usd = _usd(payload.get(SOL_MINT))
    if sol_usd is None:
        return SourceAnswer(missing=frozenset(mints))
    points = {
        SOL_MINT: PricePoint(SOL_MINT, Decimal(1), sol_usd, PriceSource.JUPITER, provider_at, received_at),
    }
    for mint in mints:
        usd = _usd(payload.get(mint))
        price = None if usd is None else price_in_sol(usd, sol_usd)
        if price is not None:
            points[mint] = PricePoint(mint, price, usd, PriceSource.JUPITER, provider_at, received_at)
    return SourceAnswer(
        points=points,
        missing=frozenset(mints) - points.keys(),
        sol_usd=SolUsd(sol_usd, provider_at or received_at, PriceSource.JUPITER),
    )


def newest_block() -> tuple[int, datetime] | None:
    """Return the newest block this process saw and when, to be handed to a process that starts."""
    with _clock_lock:
        return _clock.newest


def know_block(block: int, seen_at: datetime) -> None:
    """Take over what another process saw, so that a feed standing still is known as such from the first poll."""
    with _clock_lock:
        _clock.learn(block, seen_at)


def forget() -> None:
    """Forget how far the feed has come."""
    global _clock
    with _clock_lock:
        _clock = BlockClock()


def _provider_time(payload: dict[str, Any], received_at: datetime) -> datetime | None:
    blocks = [
        row["blockId"]
        for row in payload.values()
        if isinstance(row, dict) and isinstance(row.get("blockId"), int) and not isinstance(row["blockId"], bool)
    ]
    with _clock_lock:
        return _clock.observe(max(blocks, default=None), received_at)


def _usd(row: object) -> Decimal | None:
    price = row.get("usdPrice") if isinstance(row, dict) else None
    return usable_usd(price) if isinstance(price, (int, Decimal)) else None
