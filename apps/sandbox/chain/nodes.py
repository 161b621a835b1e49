"""One node: a door to the chain with faults of its own. Two nodes over one ledger agree unless a fault says otherwise.

A call meets faults before it is executed (refusals), while it is (a node behind), after it (lies, answers that are
lost), and its transaction may go another way than the answer says.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import lies, wire
from apps.sandbox.chain.faults import NodeFault, NodeFaultBook, NodeFaultKind
from apps.sandbox.chain.ledger import Ledger
from apps.sandbox.chain.refused import Refused
from apps.sandbox.chain.rpc import INVALID_REQUEST, MIN_CONTEXT_SLOT_NOT_REACHED, Rpc, failure
from apps.sandbox.chain.subscriptions import Subscriptions

UNHEALTHY = -32005
#: A hanging answer lets go after this long even if nobody ends the fault.
_LONGEST_HANG_SECONDS, _LOOK_SECONDS = 600.0, 0.02
_MOST_SEEN = 2_000
_HTML = "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center><hr></body></html>"

Later = Callable[[int, Callable[[], None]], None]


class Node:
    """One node of the chain. `later` runs something so many slots from now."""

    def __init__(self, name: str, chain: Ledger, faults: NodeFaultBook, later: Later) -> None:
        self.name = name
        self.calls = 0
        self._chain, self._faults, self._later = chain, faults, later
        self._seen: OrderedDict[Signature, VersionedTransaction] = OrderedDict()
        self.subscriptions = Subscriptions(chain, faults, name)

    @property
    def sockets(self) -> int:
        """How many WebSockets are open."""
        return self.subscriptions.clients

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1024 * 1024)
        app.add_routes([web.post("/", self._post), web.get("/", self._get)])
        return app

    async def _post(self, request: web.Request) -> web.Response:
        try:
            asked = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return _json(failure(None, -32700, "Parse error"))
        calls = asked if isinstance(asked, list) else [asked]
        self.calls += len(calls)
        met = [self._faults.draw(self.name, *_about(call)) if self._faults.any_on else [] for call in calls]
        every = [fault for each in met for fault in each]
        refused = await self._refusal(request, every, calls) if every else None
        if refused is not None:
            return refused
        answers = [self._answer(call, faults) for call, faults in zip(calls, met, strict=True)]
        if any(fault.kind is NodeFaultKind.ANSWER_LOST for fault in every):
            return _cut(request)
        return _json(answers if isinstance(asked, list) and answers else _one(answers))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self._faults.strikes(self.name, NodeFaultKind.DROPPED_SOCKET) is not None:
                return _cut(request)
            return await self.subscriptions.serve(request)
        return _json(failure(None, INVALID_REQUEST, "POST a request"))

    # -- before

    async def _refusal(self, request: web.Request, met: Sequence[NodeFault], calls: list[Any]) -> web.Response | None:
        """Wait, hang or refuse as the faults say; None when the call may be executed."""
        for fault in met:
            if fault.kind is NodeFaultKind.LATENCY:
                await asyncio.sleep(fault.latency_ms / 1000)
        number = calls[0].get("id") if isinstance(calls[0], dict) else None
        for fault in met:
            match fault.kind:
                case NodeFaultKind.HANG:
                    await _hang(request, fault)
                    return _cut(request)
                case NodeFaultKind.DISCONNECT:
                    return _cut(request)
                case NodeFaultKind.RATE_LIMIT:
                    body = failure(number, 429, "Too many requests for a specific RPC call")
                    return _json(body, fault.status, {"Retry-After": str(fault.retry_after_seconds)})
                case NodeFaultKind.SERVER_ERROR:
                    return web.Response(status=fault.status, text="upstream connect error or disconnect/reset")
                case NodeFaultKind.UNAUTHORIZED:
                    return _json(failure(number, 403, "Access forbidden"), 403)
                case NodeFaultKind.HTML:
                    text = _HTML.format(status=fault.status)
                    return web.Response(status=fault.status, text=text, content_type="text/html")
        return None

    # -- while and after

    def _answer(self, call: Any, met: Sequence[NodeFault]) -> Any:
        if not met or not isinstance(call, dict):
            self._note(call)
            return Rpc(self._chain).answer(call)
        by_kind = {fault.kind: fault for fault in met}
        unhealthy, late = by_kind.get(NodeFaultKind.UNHEALTHY), by_kind.get(NodeFaultKind.CONTEXT_NOT_REACHED)
        behind, unsent = by_kind.get(NodeFaultKind.BEHIND), by_kind.get(NodeFaultKind.NOT_SENT)
        number = call.get("id")
        if unhealthy is not None:
            return _unhealthy(number, unhealthy)
        if late is not None and "minContextSlot" in repr(call.get("params")):
            data = {"contextSlot": self._chain.slot - 1}
            return failure(number, MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", data)
        self._note(call)
        if unsent is not None:
            return self._swallow(call, unsent)
        rpc = Rpc(self._chain, behind=0 if behind is None else behind.slots or 0)
        if behind is not None and call.get("method") == "getHealth":
            return _unhealthy(number, behind)
        answer = rpc.answer(call)
        rolled_back = by_kind.get(NodeFaultKind.ROLLED_BACK)
        if rolled_back is not None and "result" in answer:
            self._roll_back_later(Signature.from_string(answer["result"]), rolled_back.slots or 1)
        if "result" in answer:
            answer["result"] = lies.bent(call, answer["result"], met, self._chain, self._seen)
        return answer

    def _swallow(self, call: dict[str, Any], fault: NodeFault) -> Any:
        """Answer as if the transaction had been taken; it is submitted some slots later, or never."""
        number = call.get("id")
        try:
            transaction = _sent(call)
            self._chain.check(transaction, preflight=not _config(call).get("skipPreflight", False))
        except Refused as refused:
            return failure(number, refused.code, refused.message, refused.data)
        if fault.slots is not None:
            self._later(fault.slots, lambda: self._submit(transaction))
        return {"jsonrpc": "2.0", "result": str(transaction.signatures[0]), "id": number}

    def _submit(self, transaction: VersionedTransaction) -> None:
        self._chain.submit(transaction, preflight=False)

    def _roll_back_later(self, signature: Signature, slots: int) -> None:
        def roll_back() -> None:
            landed = self._chain.landed.get(signature)
            if landed is not None and landed.slot > self._chain.slot_of("finalized"):
                self._chain.roll_back(signature)

        self._later(slots, roll_back)

    def _note(self, call: Any) -> None:
        """Remember what was sent here: a liar may show it as if it had landed."""
        if not isinstance(call, dict) or call.get("method") != "sendTransaction":
            return
        try:
            transaction = _sent(call)
        except Refused:
            return
        self._seen[Signature(bytes(transaction.signatures[0]))] = transaction
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)


def _about(call: Any) -> tuple[str, str | None]:
    """Return a call's method, and the signature of the one transaction it sends."""
    method = call.get("method") if isinstance(call, dict) else None
    if method != "sendTransaction":
        return str(method), None
    try:
        return method, str(_sent(call).signatures[0])
    except Refused:
        return method, None


def _sent(call: dict[str, Any]) -> VersionedTransaction:
    params = call.get("params")
    text = params[0] if isinstance(params, list) and params else None
    return wire.read_transaction(text, _config(call).get("encoding", "base58"))


def _config(call: dict[str, Any]) -> dict[str, Any]:
    params = call.get("params")
    config = params[1] if isinstance(params, list) and len(params) > 1 else None
    return config if isinstance(config, dict) else {}


def _unhealthy(number: Any, fault: NodeFault) -> dict[str, Any]:
    return failure(number, UNHEALTHY, f"Node is behind by {fault.slots} slots", {"numSlotsBehind": fault.slots})


def _one(answers: list[Any]) -> Any:
    return answers[0] if answers else failure(None, INVALID_REQUEST, "Invalid request")


async def _hang(request: web.Request, fault: NodeFault) -> None:
    """Wait until the fault ends, or the client has gone."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _LONGEST_HANG_SECONDS
    while fault.is_on and loop.time() < until:
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _json(document: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(document), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )
