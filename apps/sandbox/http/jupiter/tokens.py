"""Tokens V2: search by mints or text, tags, rankings and the newest, with audit and windows of trading."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from apps.core.money import SOL_MINT
from apps.sandbox.domain import base58
from apps.sandbox.domain.activity import Window
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import TOKEN_PROGRAM
from apps.sandbox.faults import Effects
from apps.sandbox.http.gateway import provided
from apps.sandbox.http.jupiter.voice import SOL_CREATED_AT, VOICE, answer, bad, iso
from apps.sandbox.http.runtime import Runtime

TOKEN_IDS_LIMIT = 100
TEXT_SEARCH_LIMIT = 20
RECENT_LIMIT = 30

_SOL_SUPPLY = 605_000_000.0
_CATEGORIES = ("toporganicscore", "toptraded", "toptrending")
_INTERVALS = {"5m": "m5", "1h": "h1", "6h": "h6", "24h": "h24"}


@provided(Source.JUPITER_TOKENS, VOICE)
def search(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/search?query=: mints (comma-separated) or text in symbol and name."""
    query = request.query.get("query", "").strip()
    if not query:
        return bad("Query parameter query is required")
    words = [word.strip() for word in query.split(",") if word.strip()]
    if len(words) > TOKEN_IDS_LIMIT:
        return bad(f"Too many mints, at most {TOKEN_IDS_LIMIT}")
    if all(base58.is_key(word) for word in words):
        return _rows(words, request, runtime, effects)
    return _rows(_matching(runtime, query)[:TEXT_SEARCH_LIMIT], request, runtime, effects)


@provided(Source.JUPITER_TOKENS, VOICE)
def tagged(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/tag?query=lst|verified|stocks."""
    tag = request.query.get("query", "")
    if tag not in ("lst", "verified", "stocks"):
        return bad("Invalid tag")
    found = [mint for mint, listing in runtime.market.listings.items() if tag in listing.token.tags]
    return _rows(([SOL_MINT] if tag == "verified" else []) + found, request, runtime, effects)


@provided(Source.JUPITER_TOKENS, VOICE)
def category(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/{toporganicscore|toptraded|toptrending}/{5m|1h|6h|24h}."""
    name, interval = request.match_info["category"], _INTERVALS.get(request.match_info["interval"])
    limit = request.query.get("limit", "50")
    if name not in _CATEGORIES or interval is None or not limit.isdecimal() or not 1 <= int(limit) <= 100:
        return bad("Invalid category, interval or limit")
    listings = runtime.market.listings

    def rank(mint: str) -> float:
        listing = listings[mint]
        if name == "toporganicscore":
            return listing.token.organic_score
        window = listing.activity.windows()[interval]
        if name == "toptraded":
            return window.volume_usd
        return window.change_percent(effects.view.pools[mint].price_number())

    known = [mint for mint in listings if mint in effects.view.pools]
    return _rows(sorted(known, key=rank, reverse=True)[: int(limit)], request, runtime, effects)


@provided(Source.JUPITER_TOKENS, VOICE)
def recent(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/recent: newest first pool first."""
    listings = runtime.market.listings
    newest = sorted(listings, key=lambda mint: listings[mint].listed_at, reverse=True)
    return _rows(newest[:RECENT_LIMIT], request, runtime, effects)


def _matching(runtime: Runtime, text: str) -> list[str]:
    wanted = text.lower()
    exact, partial = [], []
    for mint, listing in runtime.market.listings.items():
        symbol, name = listing.token.symbol.lower(), listing.token.name.lower()
        if wanted in (symbol, name):
            exact.append(mint)
        elif wanted in symbol or wanted in name:
            partial.append(mint)
    if wanted in ("sol", "wrapped sol"):
        exact.insert(0, SOL_MINT)
    return exact + partial


def _rows(mints: list[str], request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    rows = []
    for mint in dict.fromkeys(mints):
        if effects.is_missing(mint):
            continue
        listing = runtime.market.listings.get(mint)
        if mint == SOL_MINT:
            rows.append(_sol_row(runtime, effects))
        elif listing is not None and mint in effects.view.pools:
            rows.append(_token_row(listing, request, effects))
    return answer(rows)


def _token_row(listing: Listing, request: web.Request, effects: Effects) -> dict[str, Any]:
    token, view = listing.token, effects.view
    usd_price = view.usd_price(token.mint)
    market_cap = round(usd_price * token.supply, 2)
    audit: dict[str, Any] = {
        "mintAuthorityDisabled": not token.rules.mint_authority,
        "freezeAuthorityDisabled": not token.rules.freeze_authority,
        "topHoldersPercentage": token.top_holders_percent,
        "devBalancePercentage": token.developer_percent,
        "devMints": token.developer_mints,
    }
    row: dict[str, Any] = {
        "id": token.mint,
        "name": token.name,
        "symbol": token.symbol,
        "icon": f"{request.scheme}://{request.host}/icons/{token.mint}.svg",
        "decimals": token.decimals,
        "tokenProgram": token.token_program,
        "createdAt": iso(listing.listed_at - 60),
        "dev": token.developer,
        "circSupply": token.supply,
        "totalSupply": token.supply,
        "firstPool": {"id": token.launch_pool.address, "createdAt": iso(listing.listed_at)},
        "holderCount": token.holder_count,
        "fdv": market_cap,
        "mcap": market_cap,
        "usdPrice": usd_price,
        "priceBlockId": view.slot,
        "liquidity": round(view.liquidity_usd(token.mint), 4),
        "audit": audit,
        "organicScore": token.organic_score,
        "organicScoreLabel": _organic_label(token.organic_score),
        "isVerified": token.is_verified,
        "tags": list(token.tags),
        "updatedAt": iso(view.observed_at),
    }
    for name, window in listing.activity.windows().items():
        row[f"stats{_window_name(name)}"] = _stats(window, view.pools[token.mint].price_number())
    if token.launchpad is not None:
        row |= {
            "launchpad": token.launchpad,
            "graduatedPool": token.launch_pool.address,
            "graduatedAt": iso(listing.listed_at + 3_600),
        }
    if token.rules.mint_authority:
        row["mintAuthority"] = token.developer
    if token.rules.freeze_authority:
        row["freezeAuthority"] = token.developer
    if listing.drained_since_tick is not None:
        audit["isSus"] = True
    if effects.is_null(token.mint):
        row |= {"usdPrice": None, "mcap": None, "fdv": None, "liquidity": None}
    return row


def _sol_row(runtime: Runtime, effects: Effects) -> dict[str, Any]:
    view = effects.view
    usd_price = view.sol_usd * float(effects.sol_usd_factor)
    market_cap = round(usd_price * _SOL_SUPPLY, 2)
    row = {
        "id": SOL_MINT,
        "name": "Wrapped SOL",
        "symbol": "SOL",
        "decimals": 9,
        "tokenProgram": TOKEN_PROGRAM,
        "createdAt": SOL_CREATED_AT,
        "circSupply": _SOL_SUPPLY,
        "totalSupply": _SOL_SUPPLY,
        "holderCount": 4_100_000,
        "fdv": market_cap,
        "mcap": market_cap,
        "usdPrice": usd_price,
        "priceBlockId": view.slot,
        "liquidity": round(view.lamports_in_usd(2 * view.usdc_pool.sol_reserve), 2),
        "audit": {"mintAuthorityDisabled": True, "freezeAuthorityDisabled": True},
        "organicScore": 99.0,
        "organicScoreLabel": "high",
        "isVerified": True,
        "tags": ["verified", "strict"],
        "updatedAt": iso(view.observed_at),
    }
    if effects.is_null(SOL_MINT):
        row |= {"usdPrice": None, "mcap": None, "fdv": None, "liquidity": None}
    return row


def _stats(window: Window, price_sol: float) -> dict[str, Any]:
    buy_volume = round(window.volume_usd * window.buys / max(1, window.buys + window.sells), 2)
    return {
        "priceChange": round(window.change_percent(price_sol), 6),
        "buyVolume": buy_volume,
        "sellVolume": round(window.volume_usd - buy_volume, 2),
        "numBuys": window.buys,
        "numSells": window.sells,
        "numTraders": max(1, round((window.buys + window.sells) * 0.6)),
    }


def _window_name(name: str) -> str:
    """Turn m5 into 5m, h24 into 24h."""
    return name[1:] + name[0]


def _organic_label(score: float) -> str:
    return "high" if score >= 60 else "medium" if score >= 25 else "low"
