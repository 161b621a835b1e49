"""Price V3: dollar prices as JSON numbers, keyed by mint; a mint without a price has no key."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from apps.core.money import SOL_MINT
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.views import MarketView
from apps.sandbox.faults import Effects
from apps.sandbox.http.gateway import provided
from apps.sandbox.http.jupiter.voice import SOL_CREATED_AT, VOICE, answer, bad, iso
from apps.sandbox.http.runtime import Runtime

PRICE_IDS_LIMIT = 50


@provided(Source.JUPITER_PRICE, VOICE)
def prices(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /price/v3?ids=: an object keyed by mint; what has no price has no key."""
    ids = [mint for mint in request.query.get("ids", "").split(",") if mint]
    if not ids:
        return bad("Query parameter ids is required")
    if len(ids) > PRICE_IDS_LIMIT:
        return bad(f"Too many ids, at most {PRICE_IDS_LIMIT}")
    runtime.attention.note(ids)
    document = {}
    for mint in ids:
        row = _price_row(mint, runtime, effects)
        if row is not None:
            document[mint] = row
    return answer(document)


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
            "liquidity": round(view.lamports_in_usd(2 * view.usdc_pool.sol_reserve), 2),
            "createdAt": SOL_CREATED_AT,
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
            "createdAt": iso(listing.listed_at),
        }
    if effects.is_null(mint):
        row["usdPrice"] = None
    return row


def _change(listing: Listing, view: MarketView, window: str) -> float:
    return round(listing.activity.windows()[window].change_percent(view.pools[listing.token.mint].price_number()), 6)


def _sol_change(runtime: Runtime, view: MarketView, window: str) -> float:
    """SOL's change in dollars is the inverse of the dollar coin's in SOL."""
    from_usdc = runtime.market.usdc.activity.windows()[window].change_percent(
        view.pools[runtime.market.usdc.token.mint].price_number()
    )
    return round((1 / (1 + from_usdc / 100) - 1) * 100, 6)
