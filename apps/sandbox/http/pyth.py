"""Pyth Hermes: latest prices, the stream, the list of feeds. Integers as strings with an exponent; errors are text.

SOL/USD is the market's own; the other majors drift quietly so that a client that asks for several gets them.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from math import pi, sin
from typing import Any

import orjson
from aiohttp import web

from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.views import SOL_USD_EXPONENT, MarketView
from apps.sandbox.faults import OUTAGES, Effects, FaultKind, effects_of
from apps.sandbox.http.gateway import Voice, provided, refusal
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response

KEEP_ALIVE_SECONDS = 15.0

_SOL_USD = "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"


@dataclass(frozen=True, slots=True)
class _Feed:
    base: str
    description: str
    anchor: float
    swing: float


_FEEDS = {
    _SOL_USD: _Feed("SOL", "SOLANA / US DOLLAR", 0, 0),
    "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43": _Feed(
        "BTC", "BITCOIN / US DOLLAR", 97_400.0, 0.004
    ),
    "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace": _Feed(
        "ETH", "ETHEREUM / US DOLLAR", 3_620.0, 0.005
    ),
    "eaa020c61cc479712813461ce153894a96a6c00b21ed0cfc2798d1f9a9e9c94a": _Feed(
        "USDC", "USD COIN / US DOLLAR", 1.0, 0.0001
    ),
    "2b89b9dc8fdf9f34709a5b106b472f0f39bb6ca9ce04b0fd7f2e971688e2e53b": _Feed(
        "USDT", "TETHER / US DOLLAR", 1.0, 0.0002
    ),
}

VOICE = Voice(
    rate_limited=lambda _seconds: web.Response(status=429, text="Too Many Requests"),
    failed=lambda status: web.Response(status=status, text="Internal server error"),
    unauthorized=lambda: web.Response(status=401, text="unauthorized"),
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    ids: list[str]
    encoding: str
    parsed: bool


class _BadQuery(Exception):
    """The query cannot be answered; carries the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = web.Response(status=status, text=text)


@provided(Source.PYTH, VOICE)
def latest(request: web.Request, _runtime: Runtime, effects: Effects) -> web.Response:
    """GET /v2/updates/price/latest?ids[]=."""
    try:
        wanted = _wanted(request)
    except _BadQuery as refused:
        return refused.response
    return json_response(_update(wanted, effects))


@provided(Source.PYTH, VOICE)
def feeds(request: web.Request, _runtime: Runtime, _effects: Effects) -> web.Response:
    """GET /v2/price_feeds?query=&asset_type=."""
    text = request.query.get("query", "").lower()
    asset_type = request.query.get("asset_type", "crypto").lower()
    rows = [
        {
            "id": feed_id,
            "attributes": {
                "asset_type": "Crypto",
                "base": feed.base,
                "description": feed.description,
                "display_symbol": f"{feed.base}/USD",
                "generic_symbol": f"{feed.base}USD",
                "quote_currency": "USD",
                "schedule": "America/New_York;O,O,O,O,O,O,O;",
                "symbol": f"Crypto.{feed.base}/USD",
            },
        }
        for feed_id, feed in _FEEDS.items()
        if text in f"crypto.{feed.base}/usd".lower() or text in feed.description.lower()
    ]
    return json_response(rows if asset_type == "crypto" else [])


async def stream(request: web.Request) -> web.StreamResponse:
    """GET /v2/updates/price/stream?ids[]=: one event per move of the market, a comment when nothing moves for long."""
    runtime = request.app[RUNTIME]
    met = runtime.faults.draw(Source.PYTH)
    refused = await refusal(request, met, VOICE) if met else None
    if refused is not None:
        return refused
    try:
        wanted = _wanted(request)
    except _BadQuery as bad:
        return bad.response
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    try:
        await _send_updates(response, wanted, runtime)
    except ConnectionResetError:  # the reader left
        return response
    return response


async def _send_updates(response: web.StreamResponse, wanted: _Wanted, runtime: Runtime) -> None:
    silent_since = asyncio.get_running_loop().time()
    while True:
        # Drawn anew for each event, so that a fault switched on now reaches streams that are open already.
        met = runtime.faults.draw(Source.PYTH)
        outage = next((fault for fault in met if fault.kind in OUTAGES), None)
        if outage is not None:
            await response.write(b"event: error\ndata: Stream closed by server\n\n")
            return
        for fault in met:
            if fault.kind is FaultKind.LATENCY:
                await asyncio.sleep(fault.latency_ms / 1000)
        if not any(fault.kind is FaultKind.HANG for fault in met):
            document = _update(wanted, effects_of(met, runtime.market.view))
            await response.write(b"data:" + orjson.dumps(document) + b"\n\n")
            silent_since = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(runtime.engine.next_move(), KEEP_ALIVE_SECONDS)
        except TimeoutError:
            if asyncio.get_running_loop().time() - silent_since >= KEEP_ALIVE_SECONDS and not met:
                await response.write(b":\n\n")


def _wanted(request: web.Request) -> _Wanted:
    raw_ids = request.query.getall("ids[]", [])
    if not raw_ids:
        raise _BadQuery(400, "Failed to deserialize query string: missing field `ids`")
    encoding = request.query.get("encoding", "hex")
    if encoding not in ("hex", "base64"):
        raise _BadQuery(400, "Failed to deserialize query string: unknown encoding")
    ids: list[str] = []
    unknown: list[str] = []
    for raw in raw_ids:
        feed_id = raw.removeprefix("0x").lower()
        if len(feed_id) != 64 or any(character not in "0123456789abcdef" for character in feed_id):
            raise _BadQuery(400, "Failed to deserialize query string: invalid price id")
        (ids if feed_id in _FEEDS else unknown).append(feed_id)
    if unknown and request.query.get("ignore_invalid_price_ids", "false") != "true":
        raise _BadQuery(404, f"Price ids not found: {', '.join('0x' + feed_id for feed_id in unknown)}")
    return _Wanted(list(dict.fromkeys(ids)), encoding, request.query.get("parsed", "true") != "false")


def _update(wanted: _Wanted, effects: Effects) -> dict[str, Any]:
    # Not a signed update: the bytes only look like one. Nothing here verifies them.
    accumulator = b"PNAU" + effects.view.slot.to_bytes(8, "big")
    data = accumulator.hex() if wanted.encoding == "hex" else base64.b64encode(accumulator).decode()
    document: dict[str, Any] = {"binary": {"encoding": wanted.encoding, "data": [data]}}
    if not wanted.parsed or effects.null:
        document["parsed"] = None
    else:
        document["parsed"] = [] if effects.missing else [_parsed(feed_id, effects) for feed_id in wanted.ids]
    return document


def _parsed(feed_id: str, effects: Effects) -> dict[str, Any]:
    view = effects.view
    price = int(_price_e8(feed_id, view) * effects.sol_usd_factor)
    publish_time = int(view.observed_at)
    return {
        "id": feed_id,
        "price": {
            "price": str(price),
            "conf": str(price // 2_000),
            "expo": SOL_USD_EXPONENT,
            "publish_time": publish_time,
        },
        "ema_price": {
            "price": str(price - price // 500),
            "conf": str(price // 1_900),
            "expo": SOL_USD_EXPONENT,
            "publish_time": publish_time,
        },
        "metadata": {
            "slot": view.slot,
            "proof_available_time": publish_time + 1,
            "prev_publish_time": publish_time - 1,
        },
    }


def _price_e8(feed_id: str, view: MarketView) -> int:
    if feed_id == _SOL_USD:
        return view.sol_usd_e8
    feed = _FEEDS[feed_id]
    # A slow swing with a period of its own; nothing of ours trades these.
    period = 400 + len(feed.description) * 17
    return round(feed.anchor * (1 + feed.swing * sin(2 * pi * view.observed_at / period)) * 10**8)


def routes(prefix: str) -> list[web.RouteDef]:
    """Return Hermes' routes under a path prefix."""
    return [
        web.get(f"{prefix}/v2/updates/price/latest", latest),
        web.get(f"{prefix}/v2/updates/price/stream", stream),
        web.get(f"{prefix}/v2/price_feeds", feeds),
    ]
