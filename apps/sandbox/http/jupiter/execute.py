"""Swap V2 `/execute`: what comes back signed is landed on the chain, and how it stands is told.

Asking again with the same transaction asks how it stands. A fault may lie here, say nothing, or land it later.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
from aiohttp import web
from solders.transaction import VersionedTransaction

from apps.core.money import SOL_MINT
from apps.sandbox.domain.pools import U64_MAX
from apps.sandbox.domain.sources import Source
from apps.sandbox.exchange.orders import ExecuteCode, Executed, NotExecutable, sentence
from apps.sandbox.exchange.venue import Swapped
from apps.sandbox.faults import LANDING, Fault, FaultKind
from apps.sandbox.http.gateway import cut, refusal
from apps.sandbox.http.jupiter.asking import integer
from apps.sandbox.http.jupiter.voice import VOICE, answer, with_id
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response


async def execute(request: web.Request) -> web.StreamResponse:
    """POST /swap/v2/execute `{signedTransaction, requestId, lastValidBlockHeight?}`."""
    runtime = request.app[RUNTIME]
    try:
        asked = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        asked = None
    request_id = asked.get("requestId") if isinstance(asked, dict) else None
    order = runtime.swaps.find(request_id) if isinstance(request_id, str) else None
    met = runtime.faults.draw(Source.JUPITER_EXECUTE, "" if order is None else " ".join(order.mints))
    refused = await refusal(request, met, VOICE)
    if refused is not None:
        return refused
    try:
        transaction = _read(runtime, asked)
    except NotExecutable as not_executable:
        body = {"error": str(not_executable), "code": int(not_executable.code)}
        return json_response(body, status=400, headers=with_id())
    fault = next((fault for fault in met if fault.kind in LANDING), None)
    if fault is not None:
        return await _gone_wrong(request, runtime, transaction, fault)
    return answer(_document(await runtime.swaps.execute(transaction)))


def _read(runtime: Runtime, asked: Any) -> VersionedTransaction:
    if not isinstance(asked, dict) or not isinstance(asked.get("requestId"), str) or not asked["requestId"]:
        raise NotExecutable(ExecuteCode.NO_REQUEST_ID)
    signed = asked.get("signedTransaction")
    if not isinstance(signed, str) or not signed:
        raise NotExecutable(ExecuteCode.NO_TRANSACTION)
    height = asked.get("lastValidBlockHeight")
    if height is not None and integer(height, 0, U64_MAX) is None:
        raise NotExecutable(ExecuteCode.BAD_BLOCK_HEIGHT)
    return runtime.swaps.read(asked["requestId"], signed)


async def _gone_wrong(
    request: web.Request, runtime: Runtime, transaction: VersionedTransaction, fault: Fault
) -> web.Response:
    """Land, or do not, and tell something else, as the fault has it."""
    swaps = runtime.swaps
    signature = str(transaction.signatures[0])
    match fault.kind:
        case FaultKind.EARLY_ANSWER:
            promised = swaps.promised(transaction)
            swaps.execute_later(transaction, slots=fault.slots)
            return answer(_document(promised))
        case FaultKind.LATE_LANDING:
            swaps.execute_later(transaction, slots=fault.slots)
            return answer(_failure(ExecuteCode.TIMED_OUT, signature))
        case FaultKind.FALSE_SUCCESS:
            return answer(_document(swaps.promised(transaction)))
    await swaps.execute(transaction)
    match fault.kind:
        case FaultKind.FALSE_FAILURE:
            return answer(_failure(ExecuteCode.FAILED_TO_LAND, signature))
        case FaultKind.ERROR_AFTER_LANDING:
            body = {"error": "Internal server error", "signature": signature}
            return json_response(body, status=fault.status, headers=with_id())
    return cut(request)


def _document(executed: Executed) -> dict[str, Any]:
    if executed.code != ExecuteCode.FINE or executed.landed is None:
        slot = {} if executed.landed is None else {"slot": str(executed.landed.slot)}
        return _failure(executed.code, str(executed.signature)) | slot
    document: dict[str, Any] = {
        "status": "Success",
        "code": 0,
        "signature": str(executed.signature),
        "slot": str(executed.landed.slot),
    }
    return document | _amounts(executed.swaps)


def _amounts(swaps: Collection[Swapped]) -> dict[str, Any]:
    """Return what the wallet gave and got (`total`), and what the route did: the fee is between them, in SOL."""
    if not swaps:
        return {}
    (swapped,) = swaps
    on_input = swapped.fee_lamports if swapped.input_mint == SOL_MINT else 0
    on_output = swapped.fee_lamports if swapped.output_mint == SOL_MINT else 0
    routed_in, routed_out = str(swapped.in_amount - on_input), str(swapped.out_amount + on_output)
    return {
        "totalInputAmount": str(swapped.in_amount),
        "totalOutputAmount": str(swapped.out_amount),
        "inputAmountResult": routed_in,
        "outputAmountResult": routed_out,
        "swapEvents": [
            {
                "inputMint": swapped.input_mint,
                "inputAmount": routed_in,
                "outputMint": swapped.output_mint,
                "outputAmount": routed_out,
            }
        ],
    }


def _failure(code: int, signature: str) -> dict[str, Any]:
    return {"status": "Failed", "code": int(code), "error": sentence(code), "signature": signature}
