"""The control API's chain: its slots, an airdrop, a fork, a storm of faults, what a place in a block costs.

The nodes themselves speak on ports of their own: `apps.sandbox.chain`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from aiohttp import web
from solders.pubkey import Pubkey
from solders.signature import Signature

from apps.core.money import LAMPORTS_PER_SOL, lamports_to_sol
from apps.sandbox.chain.fees import bid_of
from apps.sandbox.chain.ledger import Landed
from apps.sandbox.chain.refused import Refused
from apps.sandbox.chain.server import NODES
from apps.sandbox.http.body import BadRequest, Fields
from apps.sandbox.http.runtime import RUNTIME, Runtime, json_response

#: What one airdrop may be, in SOL.
MOST_AIRDROP_SOL = 1_000_000
_SHOWN = 8


async def get_chain(request: web.Request) -> web.Response:
    """GET /control/chain."""
    return json_response(document(request.app[RUNTIME]))


async def airdrop(request: web.Request) -> web.Response:
    """POST /control/chain/airdrop `{"address", "sol"}`: the faucet pays."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    address = fields.text("address")
    sol = fields.number("sol", least=Decimal("0.000000001"), most=Decimal(MOST_AIRDROP_SOL), default=Decimal(10))
    fields.done()
    if address is None:
        raise fields.required("address")
    try:
        to = Pubkey.from_string(address)
    except ValueError:
        raise fields.wrong("address", "must be the base58 address of an account") from None
    try:
        signature = runtime.chain.ledger.airdrop(to, int(sol * LAMPORTS_PER_SOL))
    except Refused as refused:
        raise BadRequest("NOT_TAKEN", refused.message, field="sol", status=409) from None
    runtime.engine.moved()
    return json_response({"signature": str(signature)}, status=201)


async def fork(request: web.Request) -> web.Response:
    """POST /control/chain/fork `{"signature"}`: take back what is not finalized, from this transaction on."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    text = fields.text("signature")
    fields.done()
    if text is None:
        raise fields.required("signature")
    try:
        undone = runtime.chain.ledger.roll_back(Signature.from_string(text))
    except ValueError:
        message = "no transaction of that signature is waiting to be finalized"
        raise BadRequest("NOT_PENDING", message, field="signature", status=409) from None
    runtime.engine.moved()
    return json_response({"taken_back": [str(landed.signature) for landed in undone]})


async def pass_slots(request: web.Request) -> web.Response:
    """POST /control/chain/slots `{"count"}`: let so many slots pass at once; `{"seconds"}` paces those to come."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    number = fields.integer("count", least=1, most=1_000)
    seconds = fields.number("seconds", least=Decimal("0.01"), most=Decimal(60))
    fields.done()
    for _ in range(number or 0):
        runtime.chain.tick()
    if seconds is not None:
        runtime.chain.pace(float(seconds))
    runtime.engine.moved()
    return json_response(document(runtime))


async def steer_fees(request: web.Request) -> web.Response:
    """POST /control/chain/fees `{"floor"}`: micro-lamports per compute unit below which nothing lands."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    floor = fields.integer("floor", least=0, most=10**12)
    fields.done()
    if floor is None:
        raise fields.required("floor")
    runtime.chain.ledger.fees.floor = floor
    runtime.engine.moved()
    return json_response({"floor": floor})


async def storm(request: web.Request) -> web.Response:
    """POST /control/chain/storm `{"seed", "rate", "liar"}`: everything goes wrong now and then; one node may lie."""
    runtime = request.app[RUNTIME]
    fields = await Fields.of(request)
    seed = fields.integer("seed", least=0, most=2**63, default=1)
    rate = fields.number("rate", least=Decimal(0), most=Decimal(1), default=Decimal("0.1"))
    liar = fields.text("liar")
    fields.done()
    if liar is not None and liar not in NODES:
        raise fields.wrong("liar", f"must be one of {', '.join(NODES)}")
    added = runtime.chain.faults.storm(seed, rate=float(rate), liar=liar)
    runtime.engine.moved()
    now = time.time()
    return json_response({"faults": [fault.as_document(now) for fault in added]}, status=201)


def document(runtime: Runtime) -> dict[str, Any]:
    """Return how the chain stands, with the last transactions, newest first."""
    chain = runtime.chain
    ledger = chain.ledger
    return {
        "slot": ledger.slot,
        "height": ledger.height,
        "slot_seconds": chain.slot_seconds,
        "transactions": len(ledger.landed),
        "fee_floor": ledger.fees.floor,
        "nodes": [
            {"name": node.name, "rpc": rpc, "websocket": websocket, "calls": node.calls, "sockets": node.sockets}
            for node, rpc, websocket in zip(chain.nodes, chain.rpc_urls, chain.ws_urls, strict=True)
        ],
        "last": [_row(landed, runtime) for landed in islice(_newest(runtime), _SHOWN)],
    }


def _newest(runtime: Runtime) -> Iterator[Landed]:
    return reversed(runtime.chain.ledger.landed.values())


def _row(landed: Landed, runtime: Runtime) -> dict[str, Any]:
    ledger, payer = runtime.chain.ledger, landed.keys[0]
    moved = landed.meta["postBalances"][0] - landed.meta["preBalances"][0]
    return {
        "signature": str(landed.signature),
        "slot": landed.slot,
        "time": landed.block_time,
        "payer": "faucet" if payer == ledger.faucet.pubkey() else str(payer),
        "what": _what(landed, runtime),
        "sol": str(lamports_to_sol(moved)),
        "fee_lamports": landed.meta["fee"],
        "price": bid_of(landed.transaction.message).price,
        "error": landed.error,
        "commitment": next(
            level for level in ("finalized", "confirmed", "processed") if landed.slot <= ledger.slot_of(level)
        ),
    }


def _what(landed: Landed, runtime: Runtime) -> str:
    """Return in a word or two what a transaction did."""
    if landed.keys[0] == runtime.chain.ledger.faucet.pubkey():
        return "airdrop"
    listings, payer = runtime.market.listings, str(landed.keys[0])
    mint = next((key for key in map(str, landed.keys) if key in listings), None)
    if mint is None:
        return "transaction"
    before, after = (
        sum(
            int(held["uiTokenAmount"]["amount"])
            for held in landed.meta[when]
            if (held["owner"], held["mint"]) == (payer, mint)
        )
        for when in ("preTokenBalances", "postTokenBalances")
    )
    word = "buy" if after > before else "sell" if after < before else "touch"
    return f"{word} {listings[mint].token.symbol}"


def routes() -> list[web.RouteDef]:
    """Return the chain's routes."""
    return [
        web.get("/control/chain", get_chain),
        web.post("/control/chain/airdrop", airdrop),
        web.post("/control/chain/fork", fork),
        web.post("/control/chain/slots", pass_slots),
        web.post("/control/chain/fees", steer_fees),
        web.post("/control/chain/storm", storm),
    ]
