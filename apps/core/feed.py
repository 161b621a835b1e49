"""The channels of the live feed: what the relay and the watch say, and every web process hears.

Committed changes go through the outbox and `core.relay`; prices are worth nothing a second later and go straight here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any, TypedDict

import orjson
from redis import Redis

from apps.core.money import D
from apps.core.quick_redis import RedisAway, quick_redis
from apps.core.redis import name

FEED_CHANNEL = "feed"
PRICES_CHANNEL = "prices"
#: An unchanged price is said again after this long, so that its age stays honest on screens.
REPEAT_SECONDS = 2.0

_lock = threading.Lock()
_said: dict[str, tuple[Any, Any, float]] = {}
_SAID_LIMIT = 20_000


class PriceUpdate(TypedDict):
    """A trusted price: SOL and US dollars per whole token (Decimal; dollars None while unknown) and who gave it."""

    mint: str
    price_sol: Any
    price_usd: Any
    source: str


def publish_prices(updates: Iterable[PriceUpdate]) -> bool:
    """Tell every web process new prices, leaving out what has not changed in two seconds; False when Redis is away.

    SOL itself goes as its mint at price 1 with `price_usd` SOL/USD.
    """
    now = time.monotonic()
    fresh = [update for update in updates if _is_news(update, now)]
    if not fresh:
        return True
    frame = orjson.dumps(
        [
            (update["mint"], _number(update["price_sol"]), _number(update["price_usd"]), update["source"])
            for update in fresh
        ]
    )
    try:
        quick_redis().ask(lambda client: client.publish(name(PRICES_CHANNEL), frame), operation="publish")
    except RedisAway:
        return False
    return True


def publish_frames(client: Redis, frames: Iterable[bytes]) -> None:
    """Publish frames of the relay in order, in one round trip."""
    pipeline = client.pipeline(transaction=False)
    for frame in frames:
        pipeline.publish(name(FEED_CHANNEL), frame)
    pipeline.execute()


def _is_news(update: PriceUpdate, now: float) -> bool:
    mint, price = update["mint"], (update["price_sol"], update["price_usd"])
    with _lock:
        said = _said.get(mint)
        if said is not None and said[:2] == price and now - said[2] < REPEAT_SECONDS:
            return False
        if len(_said) >= _SAID_LIMIT:
            _said.clear()
        _said[mint] = (*price, now)
    return True


def _number(value: Any) -> Any:
    return None if value is None else orjson.Fragment(str(D(value)))
