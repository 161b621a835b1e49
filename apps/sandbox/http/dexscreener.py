"""DexScreener: pairs by token, by pair and by text. Prices are strings, what is not listed is simply missing.

A token's main pair trades against SOL; some have a small second one against USDC. SOL itself is listed against USDC.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from aiohttp import web

from apps.core.money import LAMPORTS_PER_SOL, SOL_MINT
from apps.sandbox.domain import noise, tokens
from apps.sandbox.domain.activity import Window
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import USDC_MINT
from apps.sandbox.faults import Effects
from apps.sandbox.http.gateway import Voice, provided
from apps.sandbox.http.runtime import Runtime, json_response

CHAIN = "solana"
ADDRESSES_LIMIT = 30
SEARCH_LIMIT = 30

_SCHEMA_VERSION = "1.0.0"
_SOL = {"address": SOL_MINT, "name": "Wrapped SOL", "symbol": "SOL"}
_USDC = {"address": USDC_MINT, "name": "USD Coin", "symbol": "USDC"}
#: Prices carry this many significant digits.
_PRICE_DIGITS = Context(prec=16)
#: The second pool's depth as a share of the main one's, and the share of tokens that have one.
_SECOND_POOL_SHARE = 0.07
_SECOND_POOL_ODDS = 0.4

VOICE = Voice(
    rate_limited=lambda _seconds: web.Response(status=429, text="Too Many Requests"),
    failed=lambda status: web.Response(status=status, text="error"),
    unauthorized=lambda: web.Response(status=403, text="Forbidden"),
)


@provided(Source.DEXSCREENER, VOICE)
def token_rows(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v1/{chain}/{addresses}: each token's main pair, an array."""
    addresses = _addresses(request)
    if len(addresses) > ADDRESSES_LIMIT:
        return web.Response(status=400, text=f"at most {ADDRESSES_LIMIT} addresses")
    if request.match_info["chain"] != CHAIN:
        return json_response([])
    runtime.attention.note(addresses)
    return json_response(_main_rows(addresses, request, runtime, effects))


@provided(Source.DEXSCREENER, VOICE)
def token_pairs(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /token-pairs/v1/{chain}/{address}: every pair of one token, deepest first."""
    if request.match_info["chain"] != CHAIN:
        return json_response([])
    return json_response(_rows(request.match_info["address"], request, runtime, effects))


@provided(Source.DEXSCREENER, VOICE)
def latest_tokens(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /latest/dex/tokens/{addresses}: the older form of the same."""
    rows: list[dict[str, Any]] = []
    for mint in _addresses(request)[:ADDRESSES_LIMIT]:
        rows += _rows(mint, request, runtime, effects)
    return json_response({"schemaVersion": _SCHEMA_VERSION, "pairs": rows or None})


@provided(Source.DEXSCREENER, VOICE)
def latest_pairs(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /latest/dex/pairs/{chain}/{addresses}: pairs by their own address."""
    wanted = set(_addresses(request))
    rows = []
    for mint in [SOL_MINT, *runtime.market.listings]:
        rows += [row for row in _rows(mint, request, runtime, effects) if row["pairAddress"] in wanted]
    unique = {row["pairAddress"]: row for row in rows} if request.match_info["chain"] == CHAIN else {}
    return json_response({"schemaVersion": _SCHEMA_VERSION, "pairs": list(unique.values()) or None})


@provided(Source.DEXSCREENER, VOICE)
def search(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /latest/dex/search?q=: pairs whose token's symbol, name or address matches."""
    text = request.query.get("q", "").strip()
    wanted = text.lower()
    found = [
        mint
        for mint, listing in runtime.market.listings.items()
        if wanted and (mint == text or wanted in listing.token.symbol.lower() or wanted in listing.token.name.lower())
    ]
    if wanted in ("sol", "sol/usdc") or text == SOL_MINT:
        found.insert(0, SOL_MINT)
    rows: list[dict[str, Any]] = []
    for mint in found[:SEARCH_LIMIT]:
        rows += _rows(mint, request, runtime, effects)
    return json_response({"schemaVersion": _SCHEMA_VERSION, "pairs": rows[:SEARCH_LIMIT]})


def _addresses(request: web.Request) -> list[str]:
    return [address for address in request.match_info["addresses"].split(",") if address]


def _main_rows(mints: list[str], request: web.Request, runtime: Runtime, effects: Effects) -> list[dict[str, Any]]:
    rows = {}
    for mint in mints:
        for row in _rows(mint, request, runtime, effects)[:1]:
            rows[row["pairAddress"]] = row
    return list(rows.values())


def _rows(mint: str, request: web.Request, runtime: Runtime, effects: Effects) -> list[dict[str, Any]]:
    if effects.is_missing(mint):
        return []
    if mint in (SOL_MINT, USDC_MINT):
        return [_sol_row(runtime, effects)]
    listing = runtime.market.listings.get(mint)
    if listing is None or mint not in effects.view.pools:
        return []
    rows = [_main_row(listing, request, effects)]
    if listing.token.is_demo and noise.uniform("second pool", mint) < _SECOND_POOL_ODDS:
        rows.append(_second_row(listing, request, effects))
    return rows


def _main_row(listing: Listing, request: web.Request, effects: Effects) -> dict[str, Any]:
    token, view = listing.token, effects.view
    pool = view.pools[token.mint]
    usd_price = view.usd_price(token.mint)
    market_cap = round(usd_price * token.supply)
    row: dict[str, Any] = {
        "chainId": CHAIN,
        "dexId": token.dex_id,
        "url": f"https://dexscreener.com/{CHAIN}/{pool.address}",
        "pairAddress": pool.address,
        "baseToken": {"address": token.mint, "name": token.name, "symbol": token.symbol},
        "quoteToken": _SOL,
        "priceNative": _plain(pool.price_sol),
        "priceUsd": _plain(Decimal(usd_price)),
        **_activity(listing.activity.windows(), pool.price_number()),
        "liquidity": {
            "usd": round(view.liquidity_usd(token.mint), 2),
            "base": pool.base_reserve / 10**pool.decimals,
            "quote": pool.sol_reserve / LAMPORTS_PER_SOL,
        },
        "fdv": market_cap,
        "marketCap": market_cap,
        "pairCreatedAt": int(listing.listed_at * 1000),
        "info": {
            "imageUrl": f"{request.scheme}://{request.host}/icons/{token.mint}.svg",
            "websites": [],
            "socials": [],
        },
    }
    if token.dex_labels:
        row["labels"] = list(token.dex_labels)
    if effects.is_null(token.mint):
        row |= {"priceNative": None, "priceUsd": None, "liquidity": None, "fdv": None, "marketCap": None}
    return row


def _second_row(listing: Listing, request: web.Request, effects: Effects) -> dict[str, Any]:
    """Return the small pool against USDC, kept at the main one's price by arbitrage."""
    token, view = listing.token, effects.view
    row = _main_row(listing, request, effects)
    pair_address = tokens.address("second pool", token.mint)
    depth_usd = view.liquidity_usd(token.mint) * _SECOND_POOL_SHARE
    usd_price = view.usd_price(token.mint)
    row |= {
        "dexId": "orca",
        "labels": ["wp"],
        "url": f"https://dexscreener.com/{CHAIN}/{pair_address}",
        "pairAddress": pair_address,
        "quoteToken": _USDC,
        "priceNative": row["priceUsd"],
        "liquidity": {
            "usd": round(depth_usd, 2),
            "base": round(depth_usd / 2 / usd_price, 6),
            "quote": round(depth_usd / 2, 6),
        },
    }
    return row


def _sol_row(runtime: Runtime, effects: Effects) -> dict[str, Any]:
    """Return SOL against the dollar coin: its native price is in dollars, not in SOL."""
    view, usdc = effects.view, runtime.market.usdc
    sol_usd = Decimal(view.sol_usd_e8).scaleb(-8) * effects.sol_usd_factor
    pool = view.usdc_pool
    windows = {
        name: Window(1 / window.reference_price, window.volume_usd, window.sells, window.buys)
        for name, window in usdc.activity.windows().items()
    }
    row = {
        "chainId": CHAIN,
        "dexId": usdc.token.dex_id,
        "labels": list(usdc.token.dex_labels),
        "url": f"https://dexscreener.com/{CHAIN}/{pool.address}",
        "pairAddress": pool.address,
        "baseToken": _SOL,
        "quoteToken": _USDC,
        "priceNative": _plain(sol_usd),
        "priceUsd": _plain(sol_usd),
        **_activity(windows, 1 / pool.price_number()),
        "liquidity": {
            "usd": round(view.liquidity_usd(USDC_MINT), 2),
            "base": pool.sol_reserve / LAMPORTS_PER_SOL,
            "quote": pool.base_reserve / 10**pool.decimals,
        },
        "fdv": round(float(sol_usd) * 605_000_000),
        "marketCap": round(float(sol_usd) * 605_000_000),
        "pairCreatedAt": int(usdc.listed_at * 1000),
    }
    if effects.is_null(SOL_MINT):
        row |= {"priceNative": None, "priceUsd": None}
    return row


def _activity(windows: dict[str, Window], price: float) -> dict[str, Any]:
    return {
        "txns": {name: {"buys": window.buys, "sells": window.sells} for name, window in windows.items()},
        "volume": {name: window.volume_usd for name, window in windows.items()},
        "priceChange": {name: round(window.change_percent(price), 2) for name, window in windows.items()},
    }


def _plain(price: Decimal) -> str:
    """Return a price in plain notation, however small."""
    return format(_PRICE_DIGITS.plus(price).normalize(), "f")


def routes(prefix: str) -> list[web.RouteDef]:
    """Return DexScreener's routes under a path prefix."""
    return [
        web.get(f"{prefix}/tokens/v1/{{chain}}/{{addresses}}", token_rows),
        web.get(f"{prefix}/token-pairs/v1/{{chain}}/{{address}}", token_pairs),
        web.get(f"{prefix}/latest/dex/search", search),
        web.get(f"{prefix}/latest/dex/tokens/{{addresses}}", latest_tokens),
        web.get(f"{prefix}/latest/dex/pairs/{{chain}}/{{addresses}}", latest_pairs),
    ]
