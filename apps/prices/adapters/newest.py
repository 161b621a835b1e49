"""The newest price of each token, and of SOL in dollars: in Redis for every process, in memory for this one.

A copy only: `Tick` is the record. Writes go to memory first, so that a Redis that is away costs this process nothing it
knows itself. Readers are told whether Redis answered, and look further if it did not. In Redis a UTC day's prices are
one hash: five hundred are written by one command, and a token nobody asks for any more goes with its day.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from apps.core.quick_redis import RedisAway, quick_redis
from apps.prices.domain.points import PricePoint, SolUsd

KEPT_SECONDS = 86_400
_DAY_SECONDS = 86_400
MEMORY_TOKENS = 5_000

_PRICES_KEY = "soldesk:prices:"
_SOL_USD_KEY = "soldesk:sol_usd"
_BLOCK_KEY = "soldesk:price_block"

_lock = threading.Lock()
_memory: OrderedDict[str, PricePoint] = OrderedDict()
_sol_usd: SolUsd | None = None


def remember(points: Iterable[PricePoint], *, block: tuple[int, datetime] | None = None) -> None:
    """Keep `points` as the newest, here and in Redis in one round trip; an older one never replaces a newer here.

    `block` is the newest block of the price feed and when it was seen.
    """
    newest = _keep(points)
    try:
        redis = quick_redis()
        redis.ask(lambda client: _write(client, newest, block), operation="set")
    except RedisAway:
        return


def recall(mints: Sequence[str]) -> tuple[dict[str, PricePoint], bool]:
    """Return the newest points known here or in Redis, and whether Redis answered."""
    with _lock:
        found = {mint: _memory[mint] for mint in mints if mint in _memory}
    if not mints:
        return found, True
    try:
        days = quick_redis().ask(lambda client: _read(client, mints), operation="get")
    except RedisAway:
        return found, False
    for rows in days:
        for mint, row in zip(mints, rows, strict=True):
            point = _read_point(mint, row) if row is not None else None
            if point is not None and (mint not in found or point.received_at > found[mint].received_at):
                found[mint] = point
    return found, True


def recall_here(mints: Iterable[str]) -> dict[str, PricePoint]:
    """Return the points this process knows itself, without asking Redis."""
    with _lock:
        return {mint: _memory[mint] for mint in mints if mint in _memory}


def remember_sol_usd(price: SolUsd) -> None:
    """Keep SOL/USD, here and in Redis."""
    global _sol_usd
    _sol_usd = price
    document = orjson.dumps([str(price.value), price.at.isoformat(), price.source])
    try:
        quick_redis().ask(lambda client: client.set(_SOL_USD_KEY, document, ex=KEPT_SECONDS), operation="set")
    except RedisAway:
        return


def recall_sol_usd() -> tuple[SolUsd | None, bool]:
    """Return the newest SOL/USD known here or in Redis, and whether Redis answered."""
    here = _sol_usd
    try:
        row = quick_redis().ask(lambda client: client.get(_SOL_USD_KEY), operation="get")
    except RedisAway:
        return here, False
    there = _read_sol_usd(row) if row is not None else None
    if here is None or (there is not None and there.at >= here.at):
        return there, True
    return here, True


def recall_block() -> tuple[int, datetime] | None:
    """Return the newest block of the price feed any process saw, and when."""
    try:
        row = quick_redis().ask(lambda client: client.get(_BLOCK_KEY), operation="get")
        if row is None:
            return None
        block, seen_at = orjson.loads(row)
        return int(block), datetime.fromisoformat(seen_at)
    except (RedisAway, ValueError, TypeError):
        return None


def forget() -> None:
    """Forget what this process knows itself."""
    global _sol_usd
    with _lock:
        _memory.clear()
    _sol_usd = None


def _keep(points: Iterable[PricePoint]) -> list[PricePoint]:
    kept = []
    with _lock:
        for point in points:
            known = _memory.get(point.mint)
            if known is not None and known.received_at > point.received_at:
                continue
            _memory[point.mint] = point
            _memory.move_to_end(point.mint)
            kept.append(point)
        while len(_memory) > MEMORY_TOKENS:
            _memory.popitem(last=False)
    return kept


def _write(client: Any, points: Sequence[PricePoint], block: tuple[int, datetime] | None) -> None:
    today, _ = _days()
    with client.pipeline(transaction=False) as pipe:
        if points:
            pipe.hset(today, mapping={point.mint: _write_point(point) for point in points})
            pipe.expire(today, 2 * _DAY_SECONDS)
        if block is not None:
            pipe.set(_BLOCK_KEY, orjson.dumps([block[0], block[1].isoformat()]), ex=KEPT_SECONDS)
        pipe.execute()


def _read(client: Any, mints: Sequence[str]) -> list[list[bytes | None]]:
    with client.pipeline(transaction=False) as pipe:
        for day in _days():
            pipe.hmget(day, mints)
        rows: list[list[bytes | None]] = pipe.execute()
    return rows


def _days() -> tuple[str, str]:
    """Return the keys of today's prices and of yesterday's."""
    today = int(time.time() // _DAY_SECONDS)
    return f"{_PRICES_KEY}{today}", f"{_PRICES_KEY}{today - 1}"


def _write_point(point: PricePoint) -> bytes:
    return orjson.dumps(
        [
            str(point.price_sol),
            None if point.price_usd is None else str(point.price_usd),
            point.source,
            None if point.provider_at is None else point.provider_at.isoformat(),
            point.received_at.isoformat(),
        ]
    )


def _read_point(mint: str, row: bytes | str) -> PricePoint | None:
    try:
        price_sol, price_usd, source, provider_at, received_at = orjson.loads(row)
        return PricePoint(
            mint=mint,
            price_sol=Decimal(price_sol),
            price_usd=None if price_usd is None else Decimal(price_usd),
            source=source,
            provider_at=None if provider_at is None else datetime.fromisoformat(provider_at),
            received_at=datetime.fromisoformat(received_at),
        )
    except (ValueError, TypeError, ArithmeticError):
        return None


def _read_sol_usd(row: bytes | str) -> SolUsd | None:
    try:
        value, at, source = orjson.loads(row)
        return SolUsd(Decimal(value), datetime.fromisoformat(at).astimezone(UTC), source)
    except (ValueError, TypeError, ArithmeticError):
        return None


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
