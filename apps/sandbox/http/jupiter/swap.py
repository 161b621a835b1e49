"""Swap V2 `/order`: exact quotes from the pools. Building a transaction for a taker comes with the chain."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from apps.core.money import SOL_MINT
from apps.sandbox.domain import base58, quotes
from apps.sandbox.domain.pools import BPS, U64_MAX
from apps.sandbox.domain.sources import Source
from apps.sandbox.faults import Effects
from apps.sandbox.http.gateway import provided
from apps.sandbox.http.jupiter.voice import VOICE, answer, bad
from apps.sandbox.http.runtime import Runtime


@dataclass(frozen=True, slots=True)
class _OrderQuery:
    input_mint: str
    output_mint: str
    amount: int
    slippage_bps: int | None
    taker: str | None


class _Refused(Exception):
    """The request gets a 400; carries the product's error text and its code, if there is one."""

    def __init__(self, error: str, code: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.fields = {} if code is None else {"errorCode": code}


@provided(Source.JUPITER_QUOTE, VOICE)
def order(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /swap/v2/order: a quote; with a taker, a quote that says it cannot be built here yet."""
    started = time.perf_counter()
    request_id = str(uuid.uuid4())
    try:
        query = _read(request.query)
        quote = _quote(query, runtime, effects)
    except _Refused as refused:
        return bad(refused.error, requestId=request_id, **refused.fields)
    document = _order_document(quote, runtime, request_id, query.taker)
    token_mint = quote.output_mint if quote.input_mint == SOL_MINT else quote.input_mint
    if effects.is_null(token_mint):
        document |= {"outAmount": None, "otherAmountThreshold": None, "priceImpact": None, "priceImpactPct": None}
    if effects.is_missing(token_mint):
        del document["outAmount"]
    document["totalTime"] = round((time.perf_counter() - started) * 1000, 3)
    return answer(document)


def _read(query: Mapping[str, str]) -> _OrderQuery:
    mints = []
    for name in ("inputMint", "outputMint"):
        mint = query.get(name, "")
        if not base58.is_key(mint):
            raise _Refused(f"Invalid {name}")
        mints.append(mint)
    amount = integer(query.get("amount"), 1, U64_MAX)
    if amount is None:
        raise _Refused("Invalid amount")
    slippage_bps = None
    if "slippageBps" in query:
        slippage_bps = integer(query["slippageBps"], 0, BPS)
        if slippage_bps is None:
            raise _Refused("Invalid slippageBps")
    if query.get("swapMode", "ExactIn") != "ExactIn":
        raise _Refused("Invalid swapMode")
    taker = query.get("taker")
    if taker is not None and not base58.is_key(taker):
        raise _Refused("Invalid taker")
    if mints[0] == mints[1]:
        raise _Refused("Input and output mints are not allowed to be equal", "CIRCULAR_ARBITRAGE_IS_DISABLED")
    return _OrderQuery(mints[0], mints[1], amount, slippage_bps, taker)


def _quote(query: _OrderQuery, runtime: Runtime, effects: Effects) -> quotes.Quote:
    try:
        return quotes.quote(
            effects.view,
            input_mint=query.input_mint,
            output_mint=query.output_mint,
            amount=query.amount,
            fee_bps=runtime.options.fee_bps,
            slippage_bps=query.slippage_bps,
        )
    except quotes.NotTradable as unknown:
        raise _Refused(f"The token {unknown.mint} is not tradable", "TOKEN_NOT_TRADABLE") from unknown
    except quotes.NoRoute as nothing:
        raise _Refused("Failed to get quotes", "COULD_NOT_FIND_ANY_ROUTE") from nothing


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


def integer(text: str | None, least: int, most: int) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    number = int(text)
    return number if least <= number <= most else None
