"""Pyth Hermes: SOL/USD by poll and by event stream. For dollars only, never for the price of a token.

Without a key, or with one that may not read the feed, the real host answers 401 or 403: that is a matter of
configuration, not of waiting, and the caller turns to its fallback.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.core.http import Lane, ProviderMalformed, ProviderUnavailable, async_client
from apps.core.http.answers import parse_json
from apps.core.money import MONEY
from apps.prices.domain.points import PriceSource, SolUsd, usable_usd

PROVIDER = "pyth"
SOL_USD_FEED = "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"
LATEST_PATH = "/v2/updates/price/latest"
STREAM_PATH = "/v2/updates/price/stream"
#: Hermes sends a keep-alive about every 15 s; this long without a byte the connection is dead.
IDLE_SECONDS = 30.0

_LARGEST_EXPONENT = 30
_INTEGER = re.compile(r"-?\d{1,30}", re.ASCII)


async def latest(*, deadline_seconds: float = 5.0) -> SolUsd | None:
    """Return the newest SOL/USD price, or None when the answer holds none.

    Raises:
        ProviderError: ProviderRejected with http_status 401 or 403 when the key is missing or not entitled.
    """
    answer = await async_client(PROVIDER).get(
        "latest", LATEST_PATH, [("ids[]", SOL_USD_FEED)], deadline_seconds=deadline_seconds
    )
    return read_update(answer.payload)


@asynccontextmanager
async def updates(*, idle_seconds: float = IDLE_SECONDS) -> AsyncIterator[AsyncIterator[SolUsd]]:
    """Open the event stream and yield its SOL/USD prices; it ends by raising, never silently.

    Raises:
        ProviderError: the stream could not be opened, fell silent, was ended by the server or broke.
    """
    client = async_client(PROVIDER)
    stream = client.lines("stream", STREAM_PATH, [("ids[]", SOL_USD_FEED)], lane=Lane.REST, idle_seconds=idle_seconds)
    async with stream as lines, aclosing(_prices(lines)) as prices:
        yield prices


async def _prices(lines: AsyncIterator[str]) -> AsyncGenerator[SolUsd, None]:
    event, data = "", []
    async for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)
            continue
        text = "\n".join(data)
        if event == "error":
            raise ProviderUnavailable(PROVIDER, "stream", f"pyth ended the stream: {text[:100]}")
        if data:
            price = read_update(_parse(text))
            if price is not None:
                yield price
        event, data = "", []
    raise ProviderUnavailable(PROVIDER, "stream", "pyth closed the stream")


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ProviderMalformed(PROVIDER, "stream", "pyth sent an event that is not JSON") from error


def read_update(payload: Any) -> SolUsd | None:
    """Return the SOL/USD price of one update, or None when there is none in it.

    The value is `price` times ten to the `expo`; zero is an exponent like any other.

    >>> feed = {"id": "0x" + SOL_USD_FEED, "price": {"price": "16423190500", "expo": -8, "publish_time": 1789650012}}
    >>> read_update({"parsed": [feed]}).value
    Decimal('164.23190500')
    """
    parsed = payload.get("parsed") if isinstance(payload, dict) else None
    for feed in parsed if isinstance(parsed, list) else []:
        if isinstance(feed, dict) and feed_id(feed.get("id")) == SOL_USD_FEED:
            return _sol_usd(feed.get("price"))
    return None


def feed_id(text: object) -> str:
    """Return a feed id as both sides can compare it: lower-case hex without `0x`."""
    return text.lower().removeprefix("0x") if isinstance(text, str) else ""


def _sol_usd(price: Any) -> SolUsd | None:
    if not isinstance(price, dict):
        return None
    digits, exponent, published = price.get("price"), price.get("expo"), price.get("publish_time")
    if not isinstance(digits, (str, int)) or isinstance(digits, bool) or not _INTEGER.fullmatch(str(digits)):
        return None
    if type(exponent) is not int or abs(exponent) > _LARGEST_EXPONENT or type(published) is not int:
        return None
    try:
        value = usable_usd(Decimal(digits).scaleb(exponent, context=MONEY))
        at = datetime.fromtimestamp(published, UTC)
    except (InvalidOperation, OverflowError, OSError, ValueError):
        return None
    return None if value is None else SolUsd(value, at, PriceSource.PYTH)
