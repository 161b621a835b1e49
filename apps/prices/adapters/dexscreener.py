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

from apps.core.http import Lane, ProviderMalformed, async_client
from apps.core.money import SOL_MINT
from apps.prices.adapters.source_answer import SourceAnswer, batches, merge
from apps.prices.domain.points import PricePoint, PriceSource, usable_price, usable_usd

PROVIDER = "dexscreener"
OPERATION = "pairs"
PATH = "/tokens/v1/solana/"
ADDRESSES_PER_CALL = 30
CHAIN = "solana"

_UNKNOWN_DEPTH = (1, Decimal(0))
_EMPTY_DEPTH = (0, Decimal(0))


async def fetch(mints: Sequence[str], *, lane: Lane = Lane.HELD_PRICES, deadline_seconds: float) -> SourceAnswer:
    """Return the SOL prices of `mints`, batches at once; a failed batch is reported, not raised."""
    wanted = [mint for mint in mints if mint != SOL_MINT]
    answers = await asyncio.gather(
        *(_fetch_batch(part, lane, deadline_seconds) for part in batches(wanted, ADDRESSES_PER_CALL)),
        return_exceptions=True,
    )
    return merge(mints, answers)


async def _fetch_batch(mints: Sequence[str], lane: Lane, deadline_seconds: float) -> SourceAnswer:
    answer = await async_client(PROVIDER).get(
        OPERATION, PATH + ",".join(mints), lane=lane, deadline_seconds=deadline_seconds
    )
    if not isinstance(answer.payload, list):
        raise ProviderMalformed(PROVIDER, OPERATION, "dexscreener's pairs are not an array")
    return read_pairs(answer.payload, mints, received_at=datetime.now(UTC))


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
