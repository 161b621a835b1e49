"""A receiver of the desk's webhooks, as anybody's program would be one: it verifies signatures and keeps the last.

Written from docs/webhooks.md alone, with nothing of the desk's: what the desk sends must be verifiable by a stranger.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson

KEPT = 50
_TOLERANCE_SECONDS = 300


class Webhooks:
    """The last webhooks that came, newest first, and how often each was repeated."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret
        self._received: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._total = 0

    def take(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep one webhook; False when its signature does not fit."""
        verified = self._verify(headers, body)
        event = _read(body) if verified else {}
        event_id = headers.get("webhook-id", "")[:80]
        self._total += 1
        self._received.appendleft(
            {
                "id": event_id,
                "at": time.time(),
                "verified": verified,
                "repeated": any(known["id"] == event_id and known["verified"] for known in self._received),
                "type": str(event.get("type", ""))[:40],
                "summary": _summary(event.get("data")),
            }
        )
        return verified

    def as_document(self, most: int = KEPT) -> dict[str, Any]:
        """Return the last that came, for the page and the control API."""
        return {"total": self._total, "received": list(self._received)[:most]}

    def _verify(self, headers: Mapping[str, str], body: bytes) -> bool:
        event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if self._secret is None or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12):
            return False
        if abs(time.time() - int(timestamp)) > _TOLERANCE_SECONDS:
            return False
        key = b64decode(self._secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        expected = b"v1," + b64encode(digest)
        return any(
            hmac.compare_digest(expected, given.encode()) for given in headers.get("webhook-signature", "").split(" ")
        )


def _read(body: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


def _summary(data: Any) -> str:
    """Return the few words of an event that a person looks for."""
    if not isinstance(data, dict):
        return ""
    position = data.get("position")
    token = data.get("tokenSymbol") or (position.get("tokenSymbol") if isinstance(position, dict) else None)
    trade = data.get("trade")
    profit = f"{trade.get('profitLossSol')} SOL" if isinstance(trade, dict) else None
    words = [token, data.get("closeReason"), profit, data.get("code"), data.get("state"), data.get("verdict")]
    return " · ".join(str(word).replace("_", " ") for word in words if word)[:120]
