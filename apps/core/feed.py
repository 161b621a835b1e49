"""The channels of the live feed: what the relay and the watch say, and every web process hears.

Committed changes go through the outbox and `core.relay`; prices are worth nothing a second later and go straight here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NotRequired, TypedDict

import orjson
from redis import Redis

from apps.core.api import wire
from apps.core.money import D, quantize_price
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
    """A trusted price: SOL and US dollars per whole token (Decimal; dollars None while unknown) and who gave it.

    `at` is the price's own time; without one, that of its sending. `tick` is the number under which it was recorded:
    it counts for the peaks of positions that begin before it.
    """

    mint: str
    price_sol: Any
    price_usd: Any
    source: str
    at: NotRequired[datetime]
    tick: NotRequired[int | None]


def publish_prices(updates: Iterable[PriceUpdate]) -> bool:
    """Tell every web process new prices, leaving out what has not changed in two seconds; False when Redis is away.

    SOL itself goes as its mint at price 1 with `price_usd` SOL/USD.
    """
    now = time.monotonic()
    fresh = [update for update in updates if _is_news(update, now)]
    if not fresh:
        return True
    frame = orjson.dumps([_row(update) for update in fresh])
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


def _row(update: PriceUpdate) -> tuple[Any, ...]:
    """Return a price as web processes read it, rounded as it is stored: peaks told and peaks stored are the same."""
    usd, at = update["price_usd"], update.get("at")
    return (
        update["mint"],
        _number(quantize_price(D(update["price_sol"]))),
        None if usd is None else _number(D(usd)),
        update["source"],
        None if at is None else wire.timestamp_text(at),
        update.get("tick"),
    )


def _number(value: Decimal) -> orjson.Fragment:
    return orjson.Fragment(str(value))
