"""A market as a document and back: what a later run needs to go on at the prices where an earlier one stopped.

Reserves, anchors and added tokens are kept. Running scenarios and scripted paths are not: tokens rest where they were.
"""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from apps.sandbox.domain import tokens
from apps.sandbox.domain.listing import Listing
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.mints import MintRules
from apps.sandbox.domain.tokens import Rest, TokenOrder

_VERSION = 1


def to_document(market: Market) -> dict[str, Any]:
    """Return the market's state as plain values."""
    return {
        "version": _VERSION,
        "seed": market.seed,
        "tick": market.tick,
        "opened_at": market.opened_at,
        "tokens": [_row(listing, market.tick) for listing in market.listings.values()],
    }


def adopt(market: Market, document: dict[str, Any]) -> bool:
    """Let the market go on from a document; False, and nothing changed, when it is another market's.

    Raises:
        LookupError, TypeError, ValueError, ArithmeticError: when it is no such document; it may be half adopted then.
    """
    if document["version"] != _VERSION or document["seed"] != market.seed:
        return False
    market.opened_at = float(document["opened_at"])
    orders = [_order(row["order"]) for row in document["tokens"] if row["order"] is not None]
    added = [tokens.ordered_token(market.seed, order) for order in orders]
    market.add([token for token in added if token is not None])
    market.tick = int(document["tick"])
    for row in document["tokens"]:
        if row["mint"] not in market.listings:
            continue
        market.resume(
            row["mint"],
            base_reserve=int(row["base_reserve"]),
            sol_reserve=int(row["sol_reserve"]),
            anchor_price=float(row["anchor_price"]),
            rest=Rest(row["rest"]),
            drained_for=row["drained_for"],
        )
    return True


def _row(listing: Listing, tick: int) -> dict[str, Any]:
    order = listing.token.order
    drained_since = listing.drained_since_tick
    return {
        "mint": listing.token.mint,
        "symbol": listing.token.symbol,
        "base_reserve": str(listing.pool.base_reserve),
        "sol_reserve": str(listing.pool.sol_reserve),
        "anchor_price": listing.anchor_price,
        "rest": listing.rest,
        "drained_for": None if drained_since is None else tick - drained_since,
        "order": None
        if order is None
        else {**asdict(order), "price_sol": str(order.price_sol), "liquidity_sol": str(order.liquidity_sol)},
    }


def _order(document: dict[str, Any]) -> TokenOrder:
    return TokenOrder(
        prefix=str(document["prefix"]),
        number=int(document["number"]),
        rest=Rest(document["rest"]),
        decimals=int(document["decimals"]),
        price_sol=Decimal(document["price_sol"]),
        liquidity_sol=Decimal(document["liquidity_sol"]),
        volatility_percent=float(document["volatility_percent"]),
        pool_fee_bps=document.get("pool_fee_bps"),
        rules=MintRules.from_document(document.get("rules")),
    )
