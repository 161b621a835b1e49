"""One node's WebSocket: told which signatures somebody waits for, it says when the node has seen one.

Only a hint that it is worth asking: there is no replay and no guarantee, so whoever waits polls as well. The socket is
opened when there is something to wait for, opened again when it breaks, and closed when nobody has waited for a while.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import structlog

from apps.chain.adapters.addresses import NodeAddress
from apps.chain.metrics import NOTIFICATIONS, SOCKETS
from apps.core.http.provider import tls_context

log = structlog.get_logger(__name__)

Seen = Callable[[str], None]

_CONNECT_SECONDS = 3.0
_HEARTBEAT_SECONDS = 15.0
_IDLE_SECONDS = 60.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 8.0
_LARGEST_MESSAGE_BYTES = 1024 * 1024


class SignatureSocket:
    """The signatures of one event loop that are watched at one node. `seen` is called with each that was noticed."""

    def __init__(self, address: NodeAddress, seen: Seen) -> None:
        self._address = address
        self._seen = seen
        self._wanted: dict[str, str] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._numbers = 0
        self._asked: dict[int, str] = {}
        self._subscribed: dict[int, str] = {}

    def watch(self, signature: str, commitment: str) -> None:
        """Say when the node has seen `signature` at `commitment`; returns at once."""
        self._wanted[signature] = commitment
        self._changed.set()
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._run())

    def forget(self, signature: str) -> None:
        """Nobody waits for `signature` any more: the node is told, since it allows only so many subscriptions."""
        self._wanted.pop(signature, None)
        self._changed.set()

    async def close(self) -> None:
        """Hang up."""
        self._wanted.clear()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while self._wanted:
            connected = False
            try:
                async with aiohttp.ClientSession(trust_env=not self._address.local) as session:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        socket = await session.ws_connect(
                            self._address.ws_url,
                            heartbeat=_HEARTBEAT_SECONDS,
                            max_msg_size=_LARGEST_MESSAGE_BYTES,
                            ssl=tls_context() if self._address.ws_url.startswith("wss") else False,
                        )
                    connected = True
                    SOCKETS.labels(self._address.name, "opened").inc()
                    async with socket:
                        await self._talk(socket)
                return  # idle
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                # The name of the error alone: its text may hold the URL, and with it the key.
                SOCKETS.labels(self._address.name, "broken" if connected else "refused").inc()
                log.info("node_socket_broken", node=self._address.name, reason=type(error).__name__)
            pause = _FIRST_PAUSE_SECONDS if connected else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Subscribe to what is wanted, now and as it comes, until the node hangs up or nobody has waited for long."""
        self._asked, self._subscribed = {}, {}
        subscribed: set[str] = set()
        self._changed.set()
        receiving = asyncio.ensure_future(self._receive(socket))
        try:
            while True:
                waking = asyncio.ensure_future(self._changed.wait())
                done, _ = await asyncio.wait(
                    (receiving, waking), timeout=_IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
                if receiving in done:
                    receiving.result()
                    raise aiohttp.ClientConnectionError("the node hung up")
                if not done and not self._wanted:
                    return
                self._changed.clear()
                subscribed &= set(self._wanted)
                for signature in [each for each in self._wanted if each not in subscribed]:
                    subscribed.add(signature)
                    await socket.send_str(self._subscription(signature))
                for number in [each for each, signature in self._subscribed.items() if signature not in self._wanted]:
                    del self._subscribed[number]
                    await socket.send_str(self._request("signatureUnsubscribe", [number]))
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def _subscription(self, signature: str) -> str:
        config = {"commitment": self._wanted[signature], "enableReceivedNotification": False}
        request = self._request("signatureSubscribe", [signature, config])
        self._asked[self._numbers] = signature
        return request

    def _request(self, method: str, params: list[Any]) -> str:
        self._numbers += 1
        return json.dumps({"jsonrpc": "2.0", "id": self._numbers, "method": method, "params": params})

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            told = json.loads(message.data)
            if isinstance(told, dict):
                self._told(told)

    def _told(self, told: dict[str, Any]) -> None:
        if told.get("id") in self._asked:
            signature = self._asked.pop(told["id"])
            if type(told.get("result")) is int:
                self._subscribed[told["result"]] = signature
        elif told.get("method") == "signatureNotification" and isinstance(told.get("params"), dict):
            noticed = self._subscribed.pop(told["params"].get("subscription"), None)
            if noticed is not None and noticed in self._wanted:
                NOTIFICATIONS.labels(self._address.name).inc()
                self._seen(noticed)
