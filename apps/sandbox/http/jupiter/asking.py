"""What people ask of Jupiter's swap routes, read and checked, and the quote that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.sandbox.domain import base58, quotes
from apps.sandbox.domain.views import MarketView
from apps.sandbox.http.runtime import Runtime

MOST_FEE_LAMPORTS = 10**10


class Refused(Exception):
    """The request gets a 400; carries the product's error text and its code, if there is one."""

    def __init__(self, error: str, code: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.fields = {} if code is None else {"errorCode": code}


def key(given: Mapping[str, Any], name: str) -> str:
    """Return a member that is an address."""
    value = given.get(name, "")
    if not isinstance(value, str) or not base58.is_key(value):
        raise Refused(f"Invalid {name}")
    return value


def optional_key(given: Mapping[str, Any], name: str) -> str | None:
    """Return a member that is an address, if it is there."""
    return None if given.get(name) is None else key(given, name)


def whole(given: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a member that is a whole number, written as one or as its digits."""
    found = integer(given.get(name), least, most)
    if found is None:
        raise Refused(f"Invalid {name}")
    return found


def optional_whole(given: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """Return a member that is a whole number, if it is there."""
    return None if given.get(name) is None else whole(given, name, least, most)


def pair(given: Mapping[str, Any]) -> tuple[str, str]:
    """Return the two mints of a swap."""
    mints = key(given, "inputMint"), key(given, "outputMint")
    if mints[0] == mints[1]:
        raise Refused("Input and output mints are not allowed to be equal", "CIRCULAR_ARBITRAGE_IS_DISABLED")
    return mints


def priced(
    runtime: Runtime, view: MarketView, mints: tuple[str, str], amount: int, slippage_bps: int | None
) -> quotes.Quote:
    """Return the quote of a swap in a view of the market."""
    try:
        return quotes.quote(
            view,
            input_mint=mints[0],
            output_mint=mints[1],
            amount=amount,
            fee_bps=runtime.options.fee_bps,
            slippage_bps=slippage_bps,
        )
    except quotes.NotTradable as unknown:
        raise Refused(f"The token {unknown.mint} is not tradable", "TOKEN_NOT_TRADABLE") from unknown
    except quotes.NoRoute as nothing:
        raise Refused("Failed to get quotes", "COULD_NOT_FIND_ANY_ROUTE") from nothing


def integer(value: object, least: int, most: int) -> int | None:
    """Return a whole number between `least` and `most`; None for everything else."""
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > 20:
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def route_plan(quote: quotes.Quote, runtime: Runtime) -> list[dict[str, Any]]:
    """Return a quote's hops as Jupiter tells them."""
    return [
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
        }
        for leg in quote.legs
    ]
