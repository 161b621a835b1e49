"""Swap V2 `/order`: exact quotes from the pools, and for a taker the transaction to sign.

The quote is the source's own word; the transaction is priced by the chain when it runs. What is paid on a sale is the
output less the protocol fee, and that is what the transaction promises.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey

from apps.core.money import SOL_MINT
from apps.sandbox.domain import quotes
from apps.sandbox.domain.pools import BPS, U64_MAX
from apps.sandbox.domain.sources import Source
from apps.sandbox.exchange.building import DEFAULT_PRIORITY_FEE_LAMPORTS, BuiltSwap, SwapTerms, build
from apps.sandbox.exchange.orders import HandedOut
from apps.sandbox.exchange.tampering import tampered
from apps.sandbox.faults import TAMPERING, Effects, FaultKind
from apps.sandbox.http.gateway import provided
from apps.sandbox.http.jupiter.asking import (
    MOST_FEE_LAMPORTS,
    Refused,
    optional_key,
    optional_whole,
    pair,
    priced,
    route_plan,
    whole,
)
from apps.sandbox.http.jupiter.voice import VOICE, answer, bad
from apps.sandbox.http.runtime import Runtime

ROUTERS = ("metis", "jupiterz", "dflow", "okx")
_INSUFFICIENT_INPUT, _INSUFFICIENT_GAS = (1, "Insufficient funds"), (2, "Insufficient SOL for gas")
#: A maker's offer lasts this long.
_OFFER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _OrderQuery:
    mints: tuple[str, str]
    amount: int
    slippage_bps: int | None
    taker: str | None
    terms: SwapTerms
    excluded: frozenset[str]


def asks_for_transaction(request: web.Request) -> list[Source]:
    """Return the sources whose faults meet a request with a taker besides."""
    return [Source.JUPITER_ORDER] if "taker" in request.query else []


@provided(Source.JUPITER_QUOTE, VOICE, more=asks_for_transaction)
def order(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /swap/v2/order: a quote, and with a taker its transaction."""
    started = time.perf_counter()
    request_id = str(uuid.uuid4())
    try:
        query = _read(request.query)
        quote = priced(runtime, effects.view, query.mints, query.amount, query.slippage_bps)
    except Refused as refused:
        return bad(refused.error, requestId=request_id, **refused.fields)
    document = _order_document(quote, runtime, request_id, query.taker)
    if query.taker is not None:
        document |= _with_transaction(quote, runtime, effects, request_id, query)
    token_mint = quote.output_mint if quote.input_mint == SOL_MINT else quote.input_mint
    if effects.is_null(token_mint):
        document |= {"outAmount": None, "otherAmountThreshold": None, "priceImpact": None, "priceImpactPct": None}
    if effects.is_missing(token_mint):
        del document["outAmount"]
    document["totalTime"] = round((time.perf_counter() - started) * 1000, 3)
    return answer(document)


def _read(query: Mapping[str, str]) -> _OrderQuery:
    mints = pair(query)
    amount = whole(query, "amount", 1, U64_MAX)
    slippage_bps = optional_whole(query, "slippageBps", 0, BPS)
    if query.get("swapMode", "ExactIn") != "ExactIn":
        raise Refused("Invalid swapMode")
    taker, receiver, payer = (optional_key(query, name) for name in ("taker", "receiver", "payer"))
    excluded = frozenset(query.get("excludeRouters", "").split(",")) - {""}
    if not excluded <= set(ROUTERS):
        raise Refused("Invalid excludeRouters")
    priority_fee = optional_whole(query, "priorityFeeLamports", 0, MOST_FEE_LAMPORTS)
    tip = optional_whole(query, "jitoTipLamports", 0, MOST_FEE_LAMPORTS)
    if "metis" in excluded:
        raise Refused("Failed to get quotes")
    terms = SwapTerms.of_priority_fee(
        DEFAULT_PRIORITY_FEE_LAMPORTS if priority_fee is None else priority_fee,
        tip_lamports=tip or 0,
        payer=None if payer is None else Pubkey.from_string(payer),
        receiver=None if receiver is None else Pubkey.from_string(receiver),
    )
    return _OrderQuery(mints, amount, slippage_bps, taker, terms, excluded)


def _with_transaction(
    quote: quotes.Quote, runtime: Runtime, effects: Effects, request_id: str, query: _OrderQuery
) -> dict[str, Any]:
    """Return what a taker gets besides: the transaction, what it costs, and until when it can land."""
    taker = Pubkey.from_string(query.taker or "")
    built = build(runtime.venue, quote, taker=taker, terms=query.terms)
    if built.short_of is not None:
        code, message = _INSUFFICIENT_INPUT if built.short_of == "input" else _INSUFFICIENT_GAS
        return {"transaction": "", "errorCode": code, "errorMessage": message}
    kinds = effects.of_kinds(TAMPERING)
    if "jupiterz" in query.excluded:
        kinds = [kind for kind in kinds if kind is not FaultKind.RFQ_ROUTE]
    built = tampered(runtime.venue, built, kinds)
    runtime.swaps.remember(
        request_id,
        HandedOut(
            message=to_bytes_versioned(built.transaction.message),
            mints=(quote.input_mint, quote.output_mint),
            last_valid_block_height=built.last_valid_block_height,
        ),
    )
    offer = {} if FaultKind.RFQ_ROUTE not in kinds else _makers_offer(request_id, built)
    return (
        _costs(built)
        | offer
        | {
            "transaction": base64.b64encode(bytes(built.transaction)).decode(),
            "lastValidBlockHeight": str(built.last_valid_block_height),
        }
    )


def _costs(built: BuiltSwap) -> dict[str, Any]:
    payer = str(built.payer)
    return {
        "signatureFeeLamports": built.signature_fee_lamports,
        "signatureFeePayer": payer,
        "prioritizationFeeLamports": built.terms.priority_fee_lamports + built.terms.tip_lamports,
        "prioritizationFeePayer": payer,
        "rentFeeLamports": built.rent_lamports,
        "rentFeePayer": payer if built.rent_lamports else None,
        "gasless": built.payer != built.taker,
    }


def _makers_offer(request_id: str, built: BuiltSwap) -> dict[str, Any]:
    return {
        "router": "jupiterz",
        "swapType": "rfq",
        "quoteId": request_id,
        "maker": str(built.payer),
        "expireAt": str(int(time.time()) + _OFFER_SECONDS),
    }


def _order_document(quote: quotes.Quote, runtime: Runtime, request_id: str, taker: str | None) -> dict[str, Any]:
    return {
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
        "routePlan": [{**hop, "usdValue": quote.in_usd} for hop in route_plan(quote, runtime)],
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
