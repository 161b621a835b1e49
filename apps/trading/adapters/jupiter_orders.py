"""Swaps to sign from Jupiter, and its way of landing them: Swap V2 `/order` with a taker, `/execute`; V1 as fallback.

Nothing here signs or decides. What comes back is not trusted: `services.live.building` looks into the transaction, and
the signer into it again. An answer of `/execute` is a word about an order, never proof: `ExecuteVerdict`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson

from apps.core.http import Answer, Lane, ProviderError, ProviderMalformed, ProviderRejected, async_client
from apps.core.http.answers import to_json
from apps.trading.adapters import jupiter
from apps.trading.adapters.jupiter import PROVIDER, QuoteRequest, read_quote

ORDER_PATH, EXECUTE_PATH = "/swap/v2/order", "/swap/v2/execute"
V1_QUOTE_PATH, V1_SWAP_PATH = "/swap/v1/quote", "/swap/v1/swap"
#: Routes on which somebody else signs and may be the fee payer: then the signature is not ours to know beforehand.
FOREIGN_SIGNERS = ("jupiterz",)
_LONGEST_REQUEST_ID = 100


class ExecuteVerdict(StrEnum):
    """What an answer of `/execute` means for what is done next; whether it landed only the chain says."""

    #: Jupiter says that it landed, with or without an error of the program: look at the chain.
    LANDED = "landed"
    #: Not known; the same bytes and request id may be asked about again.
    UNKNOWN = "unknown"
    #: Jupiter does not take this order (any more): the same bytes may go another way.
    NOT_TAKEN = "not_taken"


#: Codes that say Jupiter did nothing with the bytes. Every other negative one leaves it open.
_NOT_TAKEN = frozenset((-1, -2, -3, -4, -5, -1002, -1003, -1004, -1007, -2002, -2003, -2004))


@dataclass(frozen=True, slots=True)
class SwapWanted:
    """One swap as it is asked for. Amounts in base units; `avoid` are routers that are not to be used."""

    input_mint: str
    output_mint: str
    in_base_units: int
    taker: str
    slippage_bps: int
    priority_fee_lamports: int
    is_exit: bool = False
    avoid: tuple[str, ...] = ()

    @property
    def request(self) -> QuoteRequest:
        return self.input_mint, self.output_mint, self.in_base_units

    @property
    def lane(self) -> Lane:
        return Lane.EXIT_QUOTE if self.is_exit else Lane.ENTRY_QUOTE


@dataclass(frozen=True, slots=True)
class OfferedSwap:
    """An unsigned transaction with what it promises. `answer` is the provider's, without the bytes, ready for JSON."""

    transaction: bytes = field(repr=False)
    out_base_units: int
    minimum_out_base_units: int
    price_impact: Decimal
    last_valid_block_height: int | None
    router: str
    request_id: str
    answer: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Executed:
    """One answer of `/execute`."""

    verdict: ExecuteVerdict
    code: int | None
    signature: str
    message: str


async def order(wanted: SwapWanted, *, deadline_seconds: float) -> OfferedSwap:
    """Ask Swap V2 for a transaction to sign.

    Raises:
        TokenNotTradable: no route. ProviderRejected: priced but not buildable, or refused.
        ProviderError: no usable answer in time.
    """
    query: list[tuple[str, str | int]] = [
        ("inputMint", wanted.input_mint),
        ("outputMint", wanted.output_mint),
        ("amount", wanted.in_base_units),
        ("taker", wanted.taker),
        ("slippageBps", wanted.slippage_bps),
        ("priorityFeeLamports", wanted.priority_fee_lamports),
        ("broadcastFeeType", "exactFee"),
        ("excludeRouters", ",".join(sorted({*FOREIGN_SIGNERS, *wanted.avoid}))),
    ]
    answer = await _get("order", ORDER_PATH, query, wanted, deadline_seconds)
    payload = answer.payload
    return _offer(wanted, answer, payload.get("transaction"), payload.get("lastValidBlockHeight"), payload)


async def swap_v1(wanted: SwapWanted, *, deadline_seconds: float) -> OfferedSwap:
    """Ask Metis V1 for a quote and the transaction of it; there is no `/execute` for these.

    Instructions of the second generation are asked for: they have their amounts in front of the plan of venues, so that
    the signer reads them whatever the venues are.

    Raises:
        TokenNotTradable, ProviderError: as `order`.
    """
    query: list[tuple[str, str | int]] = [
        ("inputMint", wanted.input_mint),
        ("outputMint", wanted.output_mint),
        ("amount", wanted.in_base_units),
        ("slippageBps", wanted.slippage_bps),
        ("instructionVersion", "V2"),
    ]
    quoted = await _get("quote_v1", V1_QUOTE_PATH, query, wanted, deadline_seconds)
    # The quote goes back as it came: what a stricter reader would drop, Jupiter needs to build it.
    quote_text = to_json(quoted.payload)
    body = {
        "quoteResponse": orjson.Fragment(quote_text),
        "userPublicKey": wanted.taker,
        "wrapAndUnwrapSol": True,
        "dynamicComputeUnitLimit": True,
        "prioritizationFeeLamports": wanted.priority_fee_lamports,
    }
    try:
        built = await async_client(PROVIDER).post(
            "swap_v1", orjson.dumps(body), path=V1_SWAP_PATH, lane=wanted.lane, deadline_seconds=deadline_seconds
        )
    except ProviderRejected as refused:
        raise jupiter.meaning(refused, wanted.request) from refused
    swap = built.payload if isinstance(built.payload, dict) else {}
    if swap.get("simulationError"):
        raise _not_buildable(built, swap["simulationError"])
    return _offer(wanted, quoted, swap.get("swapTransaction"), swap.get("lastValidBlockHeight"), quoted.payload)


async def execute(
    transaction: bytes, request_id: str, last_valid_block_height: int | None, *, is_exit: bool, deadline_seconds: float
) -> Executed:
    """Give Jupiter signed bytes to land; the same bytes and request id again ask how it went."""
    body = {
        "signedTransaction": base64.b64encode(transaction).decode(),
        "requestId": request_id,
        **({} if last_valid_block_height is None else {"lastValidBlockHeight": str(last_valid_block_height)}),
    }
    lane = Lane.EXIT_QUOTE if is_exit else Lane.ENTRY_QUOTE
    try:
        answer = await async_client(PROVIDER).post(
            "execute", orjson.dumps(body), path=EXECUTE_PATH, lane=lane, deadline_seconds=deadline_seconds
        )
    except ProviderRejected as refused:
        code = _code(refused.body_code)
        return Executed(_verdict(code, landed=False), code, "", refused.message)
    except ProviderError as error:
        return Executed(ExecuteVerdict.UNKNOWN, None, "", error.message)
    return read_executed(answer.payload)


def read_executed(payload: Any) -> Executed:
    """Return what a 200 of `/execute` says; success and an error of the program both landed.

    >>> read_executed({"status": "Failed", "code": -1006, "error": "timed out"}).verdict.value
    'unknown'
    """
    if not isinstance(payload, dict):
        return Executed(ExecuteVerdict.UNKNOWN, None, "", "unreadable")
    code = _code(payload.get("code"))
    signature = payload.get("signature")
    landed = payload.get("status") == "Success" or (code is not None and code > 0)
    message = str(payload.get("error") or payload.get("status") or "")[:200]
    return Executed(_verdict(code, landed=landed), code, signature if isinstance(signature, str) else "", message)


def _verdict(code: int | None, *, landed: bool) -> ExecuteVerdict:
    if landed:
        return ExecuteVerdict.LANDED
    return ExecuteVerdict.NOT_TAKEN if code in _NOT_TAKEN else ExecuteVerdict.UNKNOWN


def _code(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


async def _get(
    operation: str, path: str, query: list[tuple[str, str | int]], wanted: SwapWanted, deadline_seconds: float
) -> Answer:
    try:
        answer = await async_client(PROVIDER).get(
            operation, path, query, lane=wanted.lane, deadline_seconds=deadline_seconds
        )
    except ProviderRejected as refused:
        raise jupiter.meaning(refused, wanted.request) from refused
    if not isinstance(answer.payload, dict):
        raise ProviderMalformed(PROVIDER, operation, f"jupiter's {operation} is not an object")
    return answer


def _offer(
    wanted: SwapWanted, answer: Answer, transaction: Any, height: Any, payload: Mapping[str, Any]
) -> OfferedSwap:
    quote = read_quote(answer, wanted.request)
    if not transaction:
        raise _not_buildable(answer, payload.get("errorMessage") or "no transaction")
    try:
        raw = base64.b64decode(transaction, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ProviderMalformed(PROVIDER, "order", "jupiter's transaction is not base64") from None
    promised = quote.out_amount - _fee_of_output(payload, wanted.output_mint)
    minimum = _minimum(payload, promised, quote.slippage_bps)
    if not 0 < minimum <= promised:
        raise ProviderMalformed(PROVIDER, "order", "jupiter's order promises no minimum")
    request_id = str(payload.get("requestId") or "")
    kept = {name: value for name, value in payload.items() if name != "transaction"}
    return OfferedSwap(
        transaction=raw,
        out_base_units=promised,
        minimum_out_base_units=minimum,
        price_impact=quote.price_impact,
        last_valid_block_height=_whole(height),
        router=str(payload.get("router") or ""),
        request_id=request_id if len(request_id) <= _LONGEST_REQUEST_ID else "",
        answer=orjson.loads(to_json(kept)),
    )


def _fee_of_output(payload: Mapping[str, Any], output_mint: str) -> int:
    """Return what V2 takes off the output before the wallet gets it; V1 has taken it off its amounts already.

    >>> _fee_of_output({"platformFee": {"amount": "24386", "feeMint": "So1"}}, "So1")
    24386
    """
    fee = payload.get("platformFee")
    if not isinstance(fee, Mapping) or fee.get("feeMint") != output_mint:
        return 0
    return _whole(fee.get("amount")) or 0


def _minimum(payload: Mapping[str, Any], promised: int, slippage_bps: int) -> int:
    """Return the least the wallet may get: the route's own threshold is before the fee that is taken off the output.

    >>> _minimum({"otherAmountThreshold": "9900"}, 9_950, 100)
    9850
    """
    told = _whole(payload.get("otherAmountThreshold"))
    return 0 if told is None else min(told, promised * (10_000 - slippage_bps) // 10_000)


def _not_buildable(answer: Answer, why: Any) -> ProviderRejected:
    return ProviderRejected(
        PROVIDER, "order", http_status=answer.status, body_code="NOT_BUILDABLE", body_message=str(why)[:200]
    )


def _whole(value: Any) -> int | None:
    """Return an integer that V1 tells as a number and V2 as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if type(value) is int and value >= 0 else None
