"""The page at the root: its files, the token icons and the event stream that feeds it. Nothing comes from elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from apps.sandbox.domain import base58, noise
from apps.sandbox.http.control import state_document
from apps.sandbox.http.runtime import RUNTIME, Runtime

_FILES = Path(__file__).resolve().parent.parent / "page"
_ASSETS = ("sandbox.css", "sandbox.js", "charts.js", "chain.js")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'",
    "X-Content-Type-Options": "nosniff",
}
#: Events are sent at most this often, however fast the market ticks.
_LEAST_SECONDS_BETWEEN_EVENTS = 0.25
#: Of the tokens that were added, the page shows the newest; a bench may list hundreds.
_ADDED_SHOWN = 60
_WEBHOOKS_SHOWN = 8


async def index(_request: web.Request) -> web.Response:
    """GET /."""
    return _file("index.html")


async def asset(request: web.Request) -> web.Response:
    """GET /page/{name}: the page's script and style."""
    name = request.match_info["name"]
    if name not in _ASSETS:
        return web.Response(status=404, text="not found")
    return _file(name)


def _file(name: str) -> web.Response:
    path = _FILES / name
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=_HEADERS)


async def icon(request: web.Request) -> web.Response:
    """GET /icons/{mint}.svg: a coin with the token's initial, in colours of its own."""
    mint = request.match_info["mint"]
    listing = request.app[RUNTIME].market.listings.get(mint)
    if not base58.is_key(mint) or listing is None:
        return web.Response(status=404, text="not found")
    hue = int(noise.uniform("icon", mint) * 360)
    tilt = int(noise.uniform("icon", mint, "tilt") * 180)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<defs><linearGradient id="g" gradientTransform="rotate({tilt} .5 .5)">'
        f'<stop offset="0" stop-color="hsl({hue} 78% 62%)"/>'
        f'<stop offset="1" stop-color="hsl({(hue + 55) % 360} 72% 42%)"/></linearGradient></defs>'
        '<circle cx="32" cy="32" r="32" fill="url(#g)"/>'
        '<circle cx="32" cy="32" r="26" fill="none" stroke="#fff" stroke-opacity=".28" stroke-width="2"/>'
        '<text x="32" y="33" fill="#fff" font-family="system-ui,sans-serif" font-size="27" font-weight="700" '
        f'text-anchor="middle" dominant-baseline="central">{listing.token.symbol[0]}</text></svg>'
    )
    return web.Response(text=svg, content_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


async def events(request: web.Request) -> web.StreamResponse:
    """GET /control/stream: the page's state with price histories first, then every move."""
    runtime = request.app[RUNTIME]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    try:
        await _send(response, "state", {**_page_document(runtime), "history": _history(runtime)})
        while True:
            await asyncio.gather(runtime.engine.next_move(), asyncio.sleep(_LEAST_SECONDS_BETWEEN_EVENTS))
            await _send(response, "move", _page_document(runtime))
    except ConnectionResetError:  # the reader left
        return response


async def _send(response: web.StreamResponse, name: str, document: dict[str, Any]) -> None:
    await response.write(f"event: {name}\ndata: ".encode() + orjson.dumps(document) + b"\n\n")


def _page_document(runtime: Runtime) -> dict[str, Any]:
    document = state_document(runtime)
    added = [token for token in document["tokens"] if not token["is_demo"]]
    document["tokens"] = [token for token in document["tokens"] if token["is_demo"]] + added[-_ADDED_SHOWN:]
    document["added_total"] = len(added)
    document["webhooks"] = runtime.webhooks.as_document(_WEBHOOKS_SHOWN)
    return document


def _history(runtime: Runtime) -> dict[str, list[float]]:
    """Return the prices behind the charts; only demo tokens have one."""
    listings = runtime.market.listings
    return {mint: list(listings[mint].history) for mint in runtime.market.demo_mints}


def routes() -> list[web.RouteDef]:
    """Return the page's routes."""
    return [
        web.get("/", index),
        web.get("/page/{name}", asset),
        web.get("/icons/{mint}.svg", icon),
        web.get("/control/stream", events),
    ]
