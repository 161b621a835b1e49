"""Jupiter: Swap V2 `/order` (quotes; building transactions comes with the chain), Price V3 and Tokens V2.

Amounts are strings of integers, prices JSON numbers, and a token without a price is left out, as the provider does it.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from apps.core.money import SOL_MINT
from apps.sandbox.domain import base58, quotes
from apps.sandbox.domain.activity import Window
from apps.sandbox.domain.market import Listing
from apps.sandbox.domain.pools import U64_MAX
from apps.sandbox.domain.tokens import TOKEN_PROGRAM
from apps.sandbox.domain.views import MarketView
from apps.sandbox.faults import Effects, Source
from apps.sandbox.http.gateway import Voice, provided
from apps.sandbox.http.runtime import Runtime, json_response

PRICE_IDS_LIMIT = 50
TOKEN_IDS_LIMIT = 100
TEXT_SEARCH_LIMIT = 20
RECENT_LIMIT = 30

_SOL_CREATED_AT = "2024-06-05T08:55:25.527Z"
_SOL_SUPPLY = 605_000_000.0
_CATEGORIES = ("toporganicscore", "toptraded", "toptrending")
_INTERVALS = {"5m": "m5", "1h": "h1", "6h": "h6", "24h": "h24"}
_STATUS_TEXT = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


# Errors, in the gateway's and in the product's form


def _gateway(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return json_response({"code": status, "message": message}, status=status, headers=_with_id(headers))


def _with_id(headers: dict[str, str] | None = None) -> dict[str, str]:
    return {"x-api-gateway-request-id": uuid.uuid4().hex, **(headers or {})}


def _rate_limited(retry_after_seconds: int) -> web.Response:
    resets_at = int(time.time()) + retry_after_seconds
    headers = {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-current": "60",
        "x-ratelimit-reset": str(resets_at),
    }
    return _gateway(429, "[API Gateway] Too many requests", headers)


VOICE = Voice(
    rate_limited=_rate_limited,
    failed=lambda status: _gateway(status, _STATUS_TEXT.get(status, "Server Error")),
    unauthorized=lambda: _gateway(401, "Unauthorized"),
)


def _answer(document: Any) -> web.Response:
    return json_response(document, headers=_with_id())


def _bad(error: str, **fields: Any) -> web.Response:
    return json_response({**fields, "error": error}, status=400, headers=_with_id())


# Swap V2


@provided(Source.JUPITER_QUOTE, VOICE)
def order(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /swap/v2/order: a quote; with a taker, a quote that says it cannot be built here yet."""
    started = time.perf_counter()
    request_id = str(uuid.uuid4())
    query = request.query
    input_mint, output_mint = query.get("inputMint", ""), query.get("outputMint", "")
    for name, mint in (("inputMint", input_mint), ("outputMint", output_mint)):
        if not base58.is_key(mint):
            return _bad(f"Invalid {name}", requestId=request_id)
    amount = _integer(query.get("amount"), 1, U64_MAX)
    if amount is None:
        return _bad("Invalid amount", requestId=request_id)
    slippage_bps = None
    if "slippageBps" in query:
        slippage_bps = _integer(query["slippageBps"], 0, 10_000)
        if slippage_bps is None:
            return _bad("Invalid slippageBps", requestId=request_id)
    if query.get("swapMode", "ExactIn") != "ExactIn":
        return _bad("Invalid swapMode", requestId=request_id)
    taker = query.get("taker")
    if taker is not None and not base58.is_key(taker):
        return _bad("Invalid taker", requestId=request_id)
    if input_mint == output_mint:
        return _bad(
            "Input and output mints are not allowed to be equal",
            requestId=request_id,
            errorCode="CIRCULAR_ARBITRAGE_IS_DISABLED",
        )
    try:
        quote = quotes.quote(
            effects.view,
            input_mint=input_mint,
            output_mint=output_mint,
            amount=amount,
            fee_bps=runtime.options.fee_bps,
            slippage_bps=slippage_bps,
        )
    except quotes.NotTradable as refused:
        return _bad(f"The token {refused.mint} is not tradable", requestId=request_id, errorCode="TOKEN_NOT_TRADABLE")
    except quotes.NoRoute:
        return _bad("Failed to get quotes", requestId=request_id, errorCode="COULD_NOT_FIND_ANY_ROUTE")
    document = _order_document(quote, runtime, request_id, taker)
    token_mint = output_mint if input_mint == SOL_MINT else input_mint
    if effects.is_null(token_mint):
        document["outAmount"] = document["otherAmountThreshold"] = document["priceImpact"] = None
    if effects.is_missing(token_mint):
        del document["outAmount"]
    document["totalTime"] = round((time.perf_counter() - started) * 1000, 3)
    return _answer(document)


def _order_document(quote: quotes.Quote, runtime: Runtime, request_id: str, taker: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "mode": "ultra",
        "router": "metis",
        "swapType": "aggregator",
        "requestId": request_id,
        "inputMint": quote.input_mint,
        "outputMint": quote.output_mint,
        "inAmount": str(quote.in_amount),
        "outAmount": str(quote.out_amount),
        "otherAmountThreshold": str(quote.least_out_amount),
        "inUsdValue": quote.in_usd,
        "outUsdValue": quote.out_usd,
        "swapUsdValue": quote.in_usd,
        "priceImpact": float(quote.impact_fraction * 100),
        "priceImpactPct": format(quote.impact_fraction, "f"),
        "swapMode": "ExactIn",
        "slippageBps": quote.slippage_bps,
        "routePlan": [
            {
                "swapInfo": {
                    "ammKey": leg.pool.address,
                    "label": runtime.market.listings[leg.mint].token.venue_label,
                    "inputMint": leg.input_mint,
                    "outputMint": leg.output_mint,
                    "inAmount": str(leg.in_amount),
                    "outAmount": str(leg.out_amount),
                },
                "percent": 100,
                "bps": 10_000,
                "usdValue": quote.in_usd,
            }
            for leg in quote.legs
        ],
        "feeMint": SOL_MINT,
        "feeBps": quote.fee_bps,
        "platformFee": {"amount": str(quote.fee_lamports), "feeBps": quote.fee_bps, "feeMint": SOL_MINT},
        "signatureFeeLamports": 0,
        "signatureFeePayer": None,
        "prioritizationFeeLamports": 0,
        "prioritizationFeePayer": None,
        "rentFeeLamports": 0,
        "rentFeePayer": None,
        "gasless": False,
        "taker": taker,
        "transaction": None,
    }
    if taker is not None:
        # Priced but not buildable: the taker owns nothing on a chain that is not there yet.
        document |= {"transaction": "", "errorCode": 1, "errorMessage": "Insufficient funds"}
    return document


def _integer(text: str | None, least: int, most: int) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    number = int(text)
    return number if least <= number <= most else None


# Price V3


@provided(Source.JUPITER_PRICE, VOICE)
def price(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /price/v3?ids=: an object keyed by mint; what has no price has no key."""
    ids = [mint for mint in request.query.get("ids", "").split(",") if mint]
    if not ids:
        return _bad("Query parameter ids is required")
    if len(ids) > PRICE_IDS_LIMIT:
        return _bad(f"Too many ids, at most {PRICE_IDS_LIMIT}")
    document = {}
    for mint in ids:
        row = _price_row(mint, runtime, effects)
        if row is not None:
            document[mint] = row
    return _answer(document)


def _price_row(mint: str, runtime: Runtime, effects: Effects) -> dict[str, Any] | None:
    view = effects.view
    if effects.is_missing(mint):
        return None
    if mint == SOL_MINT:
        row = {
            "usdPrice": view.sol_usd * float(effects.sol_usd_factor),
            "blockId": view.slot,
            "decimals": 9,
            "priceChange24h": _sol_change(runtime, view, "h24"),
            "liquidity": round(view.lamports_in_usd(2 * _usdc_pool_lamports(view)), 2),
            "createdAt": _SOL_CREATED_AT,
        }
    else:
        listing = runtime.market.listings.get(mint)
        if listing is None or mint not in view.pools:
            return None
        row = {
            "usdPrice": view.usd_price(mint),
            "blockId": view.slot,
            "decimals": listing.token.decimals,
            "priceChange24h": _change(listing, view, "h24"),
            "liquidity": round(view.liquidity_usd(mint), 4),
            "createdAt": _iso(listing.listed_at),
        }
    if effects.is_null(mint):
        row["usdPrice"] = None
    return row


# Tokens V2


@provided(Source.JUPITER_TOKENS, VOICE)
def search(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/search?query=: mints (comma-separated) or text in symbol and name."""
    query = request.query.get("query", "").strip()
    if not query:
        return _bad("Query parameter query is required")
    words = [word.strip() for word in query.split(",") if word.strip()]
    if len(words) > TOKEN_IDS_LIMIT:
        return _bad(f"Too many mints, at most {TOKEN_IDS_LIMIT}")
    if all(base58.is_key(word) for word in words):
        return _rows(words, request, runtime, effects)
    return _rows(_matching(runtime, query)[:TEXT_SEARCH_LIMIT], request, runtime, effects)


@provided(Source.JUPITER_TOKENS, VOICE)
def tagged(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/tag?query=lst|verified|stocks."""
    tag = request.query.get("query", "")
    if tag not in ("lst", "verified", "stocks"):
        return _bad("Invalid tag")
    found = [mint for mint, listing in runtime.market.listings.items() if tag in listing.token.tags]
    return _rows(([SOL_MINT] if tag == "verified" else []) + found, request, runtime, effects)


@provided(Source.JUPITER_TOKENS, VOICE)
def category(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /tokens/v2/{toporganicscore|toptraded|toptrending}/{5m|1h|6h|24h}."""
    name, interval = request.match_info["category"], _INTERVALS.get(request.match_info["interval"])
    limit = _integer(request.query.get("limit", "50"), 1, 100)
    if name not in _CATEGORIES or interval is None or limit is None:
        return _bad("Invalid category, interval or limit")
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
    return _rows(sorted(known, key=rank, reverse=True)[:limit], request, runtime, effects)


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
    return _answer(rows)


def _token_row(listing: Listing, request: web.Request, effects: Effects) -> dict[str, Any]:
    token, view = listing.token, effects.view
    usd_price = view.usd_price(token.mint)
    market_cap = round(usd_price * token.supply, 2)
    audit: dict[str, Any] = {
        "mintAuthorityDisabled": token.mint_authority_disabled,
        "freezeAuthorityDisabled": token.freeze_authority_disabled,
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
        "createdAt": _iso(listing.listed_at - 60),
        "dev": token.developer,
        "circSupply": token.supply,
        "totalSupply": token.supply,
        "firstPool": {"id": token.launch_pool.address, "createdAt": _iso(listing.listed_at)},
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
        "updatedAt": _iso(view.observed_at),
    }
    for name, window in listing.activity.windows().items():
        row[f"stats{_window_name(name)}"] = _stats(window, view.pools[token.mint].price_number())
    if token.launchpad is not None:
        row |= {
            "launchpad": token.launchpad,
            "graduatedPool": token.launch_pool.address,
            "graduatedAt": _iso(listing.listed_at + 3_600),
        }
    if not token.mint_authority_disabled:
        row["mintAuthority"] = token.developer
    if not token.freeze_authority_disabled:
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
        "createdAt": _SOL_CREATED_AT,
        "circSupply": _SOL_SUPPLY,
        "totalSupply": _SOL_SUPPLY,
        "holderCount": 4_100_000,
        "fdv": market_cap,
        "mcap": market_cap,
        "usdPrice": usd_price,
        "priceBlockId": view.slot,
        "liquidity": round(view.lamports_in_usd(2 * _usdc_pool_lamports(view)), 2),
        "audit": {"mintAuthorityDisabled": True, "freezeAuthorityDisabled": True},
        "organicScore": 99.0,
        "organicScoreLabel": "high",
        "isVerified": True,
        "tags": ["verified", "strict"],
        "updatedAt": _iso(view.observed_at),
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


def _change(listing: Listing, view: MarketView, window: str) -> float:
    return round(listing.activity.windows()[window].change_percent(view.pools[listing.token.mint].price_number()), 6)


def _sol_change(runtime: Runtime, view: MarketView, window: str) -> float:
    """SOL's change in dollars is the inverse of the dollar coin's in SOL."""
    from_usdc = runtime.market.usdc.activity.windows()[window].change_percent(
        view.pools[runtime.market.usdc.token.mint].price_number()
    )
    return round((1 / (1 + from_usdc / 100) - 1) * 100, 6)


def _usdc_pool_lamports(view: MarketView) -> int:
    return view.usdc_pool.sol_reserve


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def routes(prefix: str) -> list[web.RouteDef]:
    """Return Jupiter's routes under a path prefix."""
    return [
        web.get(f"{prefix}/swap/v2/order", order),
        web.get(f"{prefix}/price/v3", price),
        web.get(f"{prefix}/tokens/v2/search", search),
        web.get(f"{prefix}/tokens/v2/tag", tagged),
        web.get(f"{prefix}/tokens/v2/recent", recent),
        web.get(f"{prefix}/tokens/v2/{{category}}/{{interval}}", category),
    ]
