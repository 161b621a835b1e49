"""The node's WebSocket: what a client subscribed to, and what it is told when a slot reaches the commitment it wants.

Signature subscriptions end with their one notification. A client that does not read is cut off, as nodes do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import WSMsgType, web
from solders.pubkey import Pubkey
from solders.signature import Signature

from apps.sandbox.chain import accounts, lies
from apps.sandbox.chain.faults import SOCKET, NodeFaultBook, NodeFaultKind, Says
from apps.sandbox.chain.ledger import COMMITMENTS, FINALIZED_AFTER, Landed, Ledger
from apps.sandbox.chain.parameters import Parameters
from apps.sandbox.chain.refused import INVALID_PARAMS, Refused
from apps.sandbox.chain.rpc import API_VERSION, METHOD_NOT_FOUND

log = logging.getLogger("sandbox.subscriptions")

SEND_SECONDS = 10.0
MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """One wish of one client: `kind` is signature, logs, account or slot; `about` a signature, a key or everything."""

    number: int
    kind: str
    about: Any
    commitment: str
    encoding: str
    client: Client


class Client:
    """One socket; messages wait in a queue that its writer empties."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket, self._request = socket, request
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)

    def tell(self, message: Any) -> None:
        """Queue a message; a client with too many of them is cut off."""
        try:
            self._waiting.put_nowait(orjson.dumps(message))
        except asyncio.QueueFull:
            log.info("sandbox_subscriber_slow")
            self.writer.cancel()

    async def write(self) -> None:
        while True:
            text = await self._waiting.get()
            async with asyncio.timeout(SEND_SECONDS):
                await self.socket.send_str(text.decode())

    def start(self) -> None:
        self.writer = asyncio.create_task(self.write())

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.writer.cancel()
        transport = self._request.transport
        if transport is not None:
            transport.abort()


class Subscriptions:
    """Everybody's subscriptions to one node. `slot_made` is called for every new slot."""

    def __init__(self, chain: Ledger, faults: NodeFaultBook, node: str) -> None:
        self._chain = chain
        self._faults, self._node = faults, node
        self._wanted: dict[int, Subscription] = {}
        self._last_number = 0
        self._clients: set[Client] = set()
        self._recent: list[Landed] = []
        self._told_until = dict.fromkeys(COMMITMENTS, chain.slot - 1)
        chain.on_landed.append(self._landed)
        chain.on_rolled_back.append(self._rolled_back)

    def slot_made(self) -> None:
        """Tell what has reached its commitment with this slot."""
        if self._clients and self._faults.strikes(self._node, NodeFaultKind.DROPPED_SOCKET) is not None:
            self.drop()
        for wanted in self._of("slot"):
            slot = {"slot": self._chain.slot, "parent": self._chain.slot - 1, "root": self._chain.slot_of("finalized")}
            self._notify(wanted, slot)
        for commitment in COMMITMENTS:
            reached, before = self._chain.slot_of(commitment), self._told_until[commitment]
            for landed in [each for each in self._recent if before < each.slot <= reached]:
                self._tell(landed, commitment)
            self._told_until[commitment] = reached
        self._recent = [each for each in self._recent if each.slot > self._chain.slot - FINALIZED_AFTER - 2]

    def _landed(self, landed: Landed) -> None:
        """A transaction is processed at once; the rest follows with the slots."""
        self._recent.append(landed)
        if landed.slot <= self._told_until["processed"]:
            self._tell(landed, "processed")

    def _rolled_back(self, undone: list[Landed]) -> None:
        """What a fork took back is told of no more, unless it lands again."""
        gone = {landed.signature for landed in undone}
        self._recent = [each for each in self._recent if each.signature not in gone]

    def _tell(self, landed: Landed, commitment: str) -> None:
        for wanted in list(self._wanted.values()):
            if wanted.commitment == commitment and wanted.kind != "slot":
                self._tell_one(wanted, landed)

    def _tell_one(self, wanted: Subscription, landed: Landed) -> None:
        if wanted.kind == "signature" and wanted.about == landed.signature:
            self._wanted.pop(wanted.number, None)
            self._notify(wanted, _told({"err": landed.error}, landed.slot))
        elif wanted.kind == "logs" and (wanted.about is None or wanted.about in landed.keys):
            value = {
                "signature": str(landed.signature),
                "err": landed.error,
                "logs": landed.meta["logMessages"],
            }
            self._notify(wanted, _told(value, landed.slot))
        elif wanted.kind == "account" and wanted.about in landed.keys:
            self._notify(wanted, _told(self._account(wanted), landed.slot))

    def _notify(self, wanted: Subscription, result: dict[str, Any]) -> None:
        """Send a notification, unless the node keeps silent; a liar lies here as elsewhere."""
        if self._faults.any_on:
            met = self._faults.draw(self._node, SOCKET, str(wanted.about) if wanted.kind == "signature" else None)
            if any(fault.kind is NodeFaultKind.SILENT_SOCKET for fault in met):
                return
            told = lies.says(met, str(wanted.about)) if wanted.kind == "signature" else None
            if told is Says.NOTHING:
                return
            if told is not None:
                result = {**result, "value": {"err": lies.FAILED_WITH if told is Says.FAILED else None}}
        wanted.client.tell(_notification(wanted, result))

    @property
    def clients(self) -> int:
        return len(self._clients)

    def drop(self) -> None:
        """Cut every client off."""
        for client in list(self._clients):
            client.cut()

    def _account(self, wanted: Subscription) -> Any:
        account = self._chain.account(wanted.about, wanted.commitment)
        if account is None:
            return {"data": ["", "base64"], "executable": False, "lamports": 0, "owner": "1" * 32, "space": 0}
        held = accounts.token_account(account)
        decimals = None if held is None else self._chain.decimals(held.mint)
        return accounts.present(account, encoding=wanted.encoding, decimals=decimals)

    def _of(self, kind: str) -> list[Subscription]:
        return [wanted for wanted in self._wanted.values() if wanted.kind == kind]

    # -- one socket

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Talk to one client until it hangs up."""
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        client = Client(socket, request)
        client.start()
        self._clients.add(client)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT or client.writer.done():
                    break
                client.tell(self._answer(client, message.data))
                self._tell_past(client)
        finally:
            client.writer.cancel()
            self._clients.discard(client)
            self._wanted = {number: each for number, each in self._wanted.items() if each.client is not client}
        return socket

    def _invents(self, signature: str) -> bool:
        fault = self._faults.strikes(self._node, NodeFaultKind.LYING, signature)
        return fault is not None and fault.says is not Says.NOTHING

    def _answer(self, client: Client, text: str) -> dict[str, Any]:
        try:
            asked = orjson.loads(text)
            number, method, given = asked.get("id"), str(asked["method"]), Parameters(asked.get("params"))
        except (orjson.JSONDecodeError, KeyError, AttributeError, Refused):
            return {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None}
        try:
            return {"jsonrpc": "2.0", "result": self._do(client, method, given), "id": number}
        except Refused as refused:
            return {"jsonrpc": "2.0", "error": {"code": refused.code, "message": refused.message}, "id": number}

    def _do(self, client: Client, method: str, given: Parameters) -> Any:
        if method.endswith("Unsubscribe"):
            wanted = self._wanted.get(given.whole(0, "subscription"))
            if wanted is None or wanted.client is not client:
                raise Refused(INVALID_PARAMS, "Invalid subscription id.")
            del self._wanted[wanted.number]
            return True
        read = _KINDS.get(method)
        if read is None:
            raise Refused(METHOD_NOT_FOUND, "Method not found")
        config = given.config(1)
        commitment = config.get("commitment") or "finalized"
        if commitment not in COMMITMENTS:
            raise Refused(INVALID_PARAMS, f"Invalid params: unknown commitment {commitment!r}")
        self._last_number += 1
        self._wanted[self._last_number] = Subscription(
            number=self._last_number,
            kind=method.removesuffix("Subscribe"),
            about=read(given),
            commitment=commitment,
            encoding=config.get("encoding", "base64"),
            client=client,
        )
        return self._last_number

    def _tell_past(self, client: Client) -> None:
        """Tell of a signature that had landed before somebody asked for it; a liar also of one that has not."""
        for wanted in self._of("signature"):
            landed = self._chain.landed.get(wanted.about)
            if wanted.client is not client:
                continue
            if landed is None:
                if self._invents(str(wanted.about)):
                    self._wanted.pop(wanted.number, None)
                    self._notify(wanted, _told({"err": None}, self._chain.slot))
            elif landed.slot <= self._chain.slot_of(wanted.commitment):
                self._tell_one(wanted, landed)


def _signature(given: Parameters) -> Signature:
    signature: Signature = given.read(0, Signature.from_string, "signature")
    return signature


def _mentioned(given: Parameters) -> Pubkey | None:
    """Return the one key whose transactions are wanted, None for all."""
    if len(given) and given[0] in ("all", "allWithVotes"):
        return None
    mentions = given.config(0).get("mentions")
    if not isinstance(mentions, list) or len(mentions) != 1:
        raise Refused(INVALID_PARAMS, "Invalid Request: Only 1 address supported")
    return Parameters(mentions).key(0)


_KINDS: dict[str, Callable[[Parameters], Any]] = {
    "signatureSubscribe": _signature,
    "logsSubscribe": _mentioned,
    "accountSubscribe": lambda given: given.key(0),
    "slotSubscribe": lambda given: None,
}


def _told(value: Any, slot: int) -> dict[str, Any]:
    return {"context": {"apiVersion": API_VERSION, "slot": slot}, "value": value}


def _notification(wanted: Subscription, result: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": f"{wanted.kind}Notification",
        "params": {"result": result, "subscription": wanted.number},
    }
