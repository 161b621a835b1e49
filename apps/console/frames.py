"""What the feed writes: WebSocket frames, encoded once for everybody who gets them, and prices as they go out.

Frames of the server are never masked and, compression being off, depend on their text alone (RFC 6455, section 5.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

_WHOLE_TEXT = 0x81


def text_frame(payload: bytes) -> bytes:
    """Return one whole text frame.

    >>> text_frame(b"{}")
    b'\\x81\\x02{}'
    """
    length = len(payload)
    if length < 126:
        return bytes((_WHOLE_TEXT, length)) + payload
    if length < 65_536:
        return struct.pack("!BBH", _WHOLE_TEXT, 126, length) + payload
    return struct.pack("!BBQ", _WHOLE_TEXT, 127, length) + payload


def message_frame(kind: str, data: Any = None, **top_level: Any) -> bytes:
    """Return a message of the feed as a frame."""
    message = {"type": kind, **({} if data is None else {"data": data}), **top_level}
    return text_frame(orjson.dumps(message))


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Price:
    """A price as it goes out; USD per token None while SOL/USD is unknown.

    `high` and `low` are the highest and lowest since the price that was told before it; `tick` is the number it was
    recorded under, None if it was not.
    """

    mint: str
    price: float
    price_usd: float | None
    source: str
    at: str
    tick: int | None
    high: float
    low: float
    text: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        told = {
            "tokenAddress": self.mint.lower(),
            "mint": self.mint,
            "price": self.price,
            "priceUsd": self.price_usd,
            "high": self.high,
            "low": self.low,
            "tick": self.tick,
            "source": self.source,
            "timestamp": self.at,
        }
        object.__setattr__(self, "text", orjson.dumps(told))

    def following(self, untold: Price | None) -> Price:
        """Return this price in the place of an older one that was never told."""
        if untold is None:
            return self
        return replace(self, high=max(self.high, untold.high), low=min(self.low, untold.low))


class PriceBatch:
    """Prices for every client that holds the same tokens: encoded once, but for each socket's own number."""

    def __init__(self, prices: Iterable[Price], at: str) -> None:
        self.prices = {price.mint: price for price in prices}
        updates = b",".join(price.text for price in self.prices.values())
        self._head = b'{"type":"price_update_batch","data":{"updates":[%b],"timestamp":"%b","sequence":' % (
            updates,
            at.encode(),
        )
        self._frames: dict[int, bytes] = {}

    def frame(self, sequence: int) -> bytes:
        """Return the batch as the frame number `sequence` of a socket."""
        frame = self._frames.get(sequence)
        if frame is None:
            frame = self._frames[sequence] = text_frame(b"%b%d}}" % (self._head, sequence))
        return frame
