"""DexScreener: a token's price in SOL as its deepest SOL pool has it, up to 30 tokens a call.

Rows may be about other tokens, other chains or other quote tokens: only a pool of ours against wrapped SOL counts. Its
rows carry no time; they are stamped on receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.core.http import Lane, ProviderError, ProviderMalformed, async_client
from apps.core.money import SOL_MINT
from apps.prices.adapters.source_answer import SourceAnswer, batches, merge
from apps.prices.domain.points import PricePoint, PriceSource, SolUsd, usable_price, usable_usd

PROVIDER = "dexscreener"
OPERATION = "pairs"
PATH = "/tokens/v1/solana/"
TOKENS_PER_CALL = 30
CHAIN = "solana"
#: What SOL is priced in dollars against: USDC and USDT.
DOLLAR_MINTS = frozenset(
    {"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"}
)

_UNKNOWN_DEPTH = (1, Decimal(0))
_EMPTY_DEPTH = (0, Decimal(0))


async def fetch(mints: Sequence[str], *, lane: Lane = Lane.HELD_PRICES, deadline_seconds: float) -> SourceAnswer:
    """Return the SOL prices of `mints`, batches at once; a failed batch is reported, not raised."""
    wanted = [mint for mint in mints if mint != SOL_MINT]
    answers = await asyncio.gather(
        *(_fetch_batch(part, lane, deadline_seconds) for part in batches(wanted, TOKENS_PER_CALL)),
        return_exceptions=True,
    )
    return merge(mints, answers)


async def sol_usd(*, deadline_seconds: float) -> SolUsd | None:
    """Return SOL in US dollars as its deepest pool against a dollar coin has it, or None when no answer told it."""
    try:
        rows = await _ask([SOL_MINT], Lane.REST, deadline_seconds)
    except ProviderError:
        return None
    return read_sol_usd(rows, received_at=datetime.now(UTC))


async def _fetch_batch(mints: Sequence[str], lane: Lane, deadline_seconds: float) -> SourceAnswer:
    return read_pairs(await _ask(mints, lane, deadline_seconds), mints, received_at=datetime.now(UTC))


async def _ask(mints: Sequence[str], lane: Lane, deadline_seconds: float) -> list[Any]:
    answer = await async_client(PROVIDER).get(
        OPERATION, PATH + ",".join(mints), lane=lane, deadline_seconds=deadline_seconds
    )
    if not isinstance(answer.payload, list):
        raise ProviderMalformed(PROVIDER, OPERATION, "dexscreener's pairs are not an array")
    return answer.payload


def read_pairs(rows: list[Any], mints: Sequence[str], *, received_at: datetime) -> SourceAnswer:
    """Return the price of each mint in its deepest SOL pool that has a price.

    A pool of known depth goes before one whose depth is not known, and that before one known to be empty.
    """
    wanted = set(mints)
    best: dict[str, tuple[tuple[int, Decimal], PricePoint]] = {}
    for row in rows:
        point = _point(row, wanted, received_at)
        if point is None:
            continue
        depth = _depth(row.get("liquidity"))
        if point.mint not in best or depth > best[point.mint][0]:
            best[point.mint] = (depth, point)
    points = {mint: point for mint, (_, point) in best.items()}
    return SourceAnswer(points=points, missing=frozenset(mints) - points.keys())


def read_sol_usd(rows: list[Any], *, received_at: datetime) -> SolUsd | None:
    """Return SOL's dollar price in its deepest pool against a dollar coin; like every price here, as of its receipt."""
    best: tuple[tuple[int, Decimal], Decimal] | None = None
    for row in rows:
        if not isinstance(row, dict) or row.get("chainId") != CHAIN or _address(row.get("baseToken")) != SOL_MINT:
            continue
        value = usable_usd(_decimal(row.get("priceUsd")))
        if value is None or _address(row.get("quoteToken")) not in DOLLAR_MINTS:
            continue
        depth = _depth(row.get("liquidity"))
        if best is None or depth > best[0]:
            best = (depth, value)
    return None if best is None else SolUsd(best[1], received_at, PriceSource.DEXSCREENER)


def _point(row: Any, wanted: set[str], received_at: datetime) -> PricePoint | None:
    if not isinstance(row, dict) or row.get("chainId") != CHAIN:
        return None
    mint = _address(row.get("baseToken"))
    if mint not in wanted or _address(row.get("quoteToken")) != SOL_MINT:
        return None
    price = usable_price(_decimal(row.get("priceNative")))
    if price is None:
        return None
    usd = usable_usd(_decimal(row.get("priceUsd")))
    return PricePoint(mint, price, usd, PriceSource.DEXSCREENER, None, received_at)


def _address(token: Any) -> str:
    address = token.get("address") if isinstance(token, dict) else None
    return address if isinstance(address, str) else ""


def _depth(liquidity: Any) -> tuple[int, Decimal]:
    usd = _decimal(liquidity.get("usd")) if isinstance(liquidity, dict) else None
    if usd is None or not usd.is_finite():
        return _UNKNOWN_DEPTH
    return (2, usd) if usd > 0 else _EMPTY_DEPTH


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None
