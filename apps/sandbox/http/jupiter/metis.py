"""The older Swap V1: `/quote`, `/swap` over the very same quote, and the names of the programs swaps go through.

Its output has every fee off already. What comes out of `/swap` is sent by whoever signs it, through a node.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web
from solders.pubkey import Pubkey

from apps.sandbox.chain.program.route import PROGRAM_ID
from apps.sandbox.domain import quotes
from apps.sandbox.domain.pools import BPS, U64_MAX
from apps.sandbox.domain.sources import Source
from apps.sandbox.exchange.building import DEFAULT_PRIORITY_FEE_LAMPORTS, SwapTerms, build
from apps.sandbox.exchange.tampering import tampered
from apps.sandbox.faults import TAMPERING, Effects
from apps.sandbox.http.gateway import provided
from apps.sandbox.http.jupiter.asking import (
    MOST_FEE_LAMPORTS,
    Refused,
    integer,
    key,
    optional_key,
    optional_whole,
    pair,
    priced,
    route_plan,
    whole,
)
from apps.sandbox.http.jupiter.voice import VOICE, answer, bad
from apps.sandbox.http.runtime import Runtime

_DEFAULT_SLIPPAGE_BPS = 50
_MOST_UNIT_PRICE = 10**12
_BOTH = "INVALID_COMPUTE_UNIT_PRICE_AND_PRIORITIZATION_FEE"
#: What would change where the output goes, or what is signed: refused rather than passed over.
_NOT_HONOURED = ("asLegacyTransaction", "destinationTokenAccount", "nativeDestinationAccount")
#: What `priorityLevelWithMaxLamports` comes to, before its cap.
_LEVELS = {"medium": 8_000, "high": 16_000, "veryHigh": 48_000}


@provided(Source.JUPITER_QUOTE, VOICE)
def quote(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /swap/v1/quote."""
    started = time.perf_counter()
    try:
        found = _quoted(request.query, runtime, effects)
    except Refused as refused:
        return bad(refused.error, **refused.fields)
    document = _quote_document(found, runtime)
    if request.query.get("instructionVersion") == "V2":
        document["routePlan"] = [{**hop, "percent": None} for hop in document["routePlan"]]
        document["instructionVersion"] = "V2"  # it comes back with the quote
    document["contextSlot"] = runtime.chain.ledger.slot_of("processed")
    document["timeTaken"] = round(time.perf_counter() - started, 6)
    return answer(document)


@provided(Source.JUPITER_QUOTE, VOICE, more=lambda request: [Source.JUPITER_ORDER])
async def swap(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """POST /swap/v1/swap `{quoteResponse, userPublicKey, wrapAndUnwrapSol?, prioritizationFeeLamports?, …}`."""
    try:
        asked = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return bad("Invalid JSON")
    if not isinstance(asked, dict) or not isinstance(asked.get("quoteResponse"), dict):
        return bad("Invalid quoteResponse")
    given = asked["quoteResponse"]
    try:
        for name in _NOT_HONOURED:
            if asked.get(name):
                raise Refused(f"{name} is not supported", "NOT_SUPPORTED")
        taker = Pubkey.from_string(key(asked, "userPublicKey"))
        held = _held(given, _quoted(given | {"amount": given.get("inAmount")}, runtime, effects))
        terms = replace(_terms(asked), second_generation=given.get("instructionVersion") == "V2")
    except Refused as refused:
        return bad(refused.error, **refused.fields)
    built = tampered(runtime.venue, build(runtime.venue, held, taker=taker, terms=terms), effects.of_kinds(TAMPERING))
    return answer(
        {
            "swapTransaction": base64.b64encode(bytes(built.transaction)).decode(),
            "lastValidBlockHeight": built.last_valid_block_height,
            "prioritizationFeeLamports": built.terms.priority_fee_lamports or built.terms.tip_lamports,
            "computeUnitLimit": built.terms.compute_unit_limit,
            "prioritizationType": _kind_of_fee(built.terms),
            "dynamicSlippageReport": None,
            "simulationError": _shortage(built.short_of),
        }
    )


@provided(Source.JUPITER_TOKENS, VOICE)
def labels(request: web.Request, runtime: Runtime, effects: Effects) -> web.Response:
    """GET /swap/v1/program-id-to-label: every venue of the market is the one program here."""
    return answer({str(PROGRAM_ID): "Jupiter"})


def _quoted(given: Mapping[str, Any], runtime: Runtime, effects: Effects) -> quotes.Quote:
    mints = pair(given)
    amount = whole(given, "amount", 1, U64_MAX)
    slippage_bps = optional_whole(given, "slippageBps", 0, BPS)
    if given.get("swapMode", "ExactIn") != "ExactIn":
        raise Refused("Invalid swapMode")
    if given.get("instructionVersion", "V1") not in ("V1", "V2"):
        raise Refused("Invalid instructionVersion")
    usual = _DEFAULT_SLIPPAGE_BPS if slippage_bps is None else slippage_bps
    return priced(runtime, effects.view, mints, amount, usual)


def _held(given: Mapping[str, Any], now: quotes.Quote) -> quotes.Quote:
    """Return the quote as it was given, whatever the market says by now: the chain decides whether it still holds."""
    promised = integer(given.get("outAmount"), 0, U64_MAX)
    if promised is None:
        raise Refused("Invalid outAmount")
    return now.promising(promised)


def _terms(asked: Mapping[str, Any]) -> SwapTerms:
    wanted, price = asked.get("prioritizationFeeLamports"), asked.get("computeUnitPriceMicroLamports")
    wrap = asked.get("wrapAndUnwrapSol", True)
    if not isinstance(wrap, bool):
        raise Refused("Invalid wrapAndUnwrapSol")
    payer = optional_key(asked, "payer")
    others: dict[str, Any] = {"wrap": wrap, "payer": None if payer is None else Pubkey.from_string(payer)}
    if wanted is not None and price is not None:
        raise Refused("Invalid compute unit price and prioritization fee", _BOTH)
    if price is not None:
        return SwapTerms(
            compute_unit_price=whole(asked, "computeUnitPriceMicroLamports", 0, _MOST_UNIT_PRICE), **others
        )
    if isinstance(wanted, dict) and "jitoTipLamports" in wanted:
        tip = whole(wanted, "jitoTipLamports", 0, MOST_FEE_LAMPORTS)
        return SwapTerms(compute_unit_price=0, tip_lamports=tip, **others)
    return SwapTerms.of_priority_fee(_priority_fee(asked, wanted), **others)


def _priority_fee(asked: Mapping[str, Any], wanted: object) -> int:
    """Return the lamports of a priority fee: a number, "auto", or a level with a cap."""
    if wanted is None or wanted == "auto":
        return DEFAULT_PRIORITY_FEE_LAMPORTS
    if isinstance(wanted, dict):
        level = wanted.get("priorityLevelWithMaxLamports")
        if isinstance(level, dict) and level.get("priorityLevel") in _LEVELS:
            return min(_LEVELS[level["priorityLevel"]], whole(level, "maxLamports", 0, MOST_FEE_LAMPORTS))
        raise Refused("Invalid prioritizationFeeLamports")
    return whole(asked, "prioritizationFeeLamports", 0, MOST_FEE_LAMPORTS)


def _kind_of_fee(terms: SwapTerms) -> dict[str, Any]:
    if terms.tip_lamports:
        return {"jito": {"lamports": terms.tip_lamports}}
    price = terms.compute_unit_price
    return {"computeBudget": {"microLamports": price, "estimatedMicroLamports": price}}


def _shortage(short_of: str | None) -> dict[str, str] | None:
    if short_of is None:
        return None
    what = "funds" if short_of == "input" else "SOL for fees and rent"
    return {"errorCode": "TRANSACTION_ERROR", "error": f"Insufficient {what}"}


def _quote_document(found: quotes.Quote, runtime: Runtime) -> dict[str, Any]:
    fee = {"amount": str(found.fee_lamports), "feeBps": found.fee_bps}
    return {
        "inputMint": found.input_mint,
        "inAmount": str(found.in_amount),
        "outputMint": found.output_mint,
        "outAmount": str(found.paid_out_amount),
        "otherAmountThreshold": str(found.least_paid_out_amount),
        "swapMode": "ExactIn",
        "slippageBps": found.slippage_bps,
        "platformFee": fee if found.fee_lamports else None,
        "priceImpactPct": format(max(-found.impact_fraction, 0), "f"),
        "routePlan": route_plan(found, runtime),
    }
