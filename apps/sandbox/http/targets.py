"""Which tokens a control request is about, and how a token's price is written in an answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.core.money import SOL_MINT
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.tokens import USDC_MINT
from apps.sandbox.domain.views import MarketView
from apps.sandbox.http.body import BadRequest, Fields
from apps.sandbox.http.runtime import Runtime

MAX_MINTS = 1_000


def listed(mint: str, market: Market) -> str:
    """Return the mint if the market, or SOL itself, goes by it.

    Raises:
        UnknownToken: otherwise.
    """
    if mint != SOL_MINT:
        market.listing(mint)
    return mint


def one_mint(fields: Fields, market: Market) -> str:
    """Return the token named by `mint` or `symbol`."""
    mint, symbol = fields.text("mint"), fields.text("symbol")
    if mint is not None:
        return listed(mint, market)
    if symbol is not None:
        return market.mint_of(symbol)
    raise BadRequest("REQUIRED_FIELD", "name a token by mint or symbol", field="mint")


def mints(fields: Fields, runtime: Runtime) -> list[str]:
    """Return the tokens named by `mint`, `symbol` or `mints`; `all` is the demo market, `held` what is watched."""
    market = runtime.market
    everything, held = fields.flag("all"), fields.flag("held")
    named = [listed(mint, market) for mint in fields.texts("mints", at_most=MAX_MINTS)]
    if everything:
        return market.demo_mints
    if held:
        found = held_mints(runtime)
        if not found:
            raise BadRequest("NOTHING_HELD", "nobody has asked for a token's price lately", field="held", status=409)
        return found
    return named or [one_mint(fields, market)]


def held_mints(runtime: Runtime) -> list[str]:
    """Return the listed tokens whose prices were asked for lately, in listing order."""
    held = runtime.attention.held()
    return [mint for mint in runtime.market.listings if mint in held and mint != USDC_MINT]


def price_document(mint: str, view: MarketView) -> dict[str, Any]:
    """Return a token's price as the control API writes it."""
    if mint == SOL_MINT:
        return {"mint": mint, "price_sol": "1", "price_usd": view.sol_usd}
    return {"mint": mint, "price_sol": plain(view.pools[mint].price_sol), "price_usd": view.usd_price(mint)}


def plain(price: Decimal) -> str:
    """Return a price in plain notation with at most 24 decimal places."""
    return format(price.quantize(Decimal("1e-24")).normalize(), "f")
