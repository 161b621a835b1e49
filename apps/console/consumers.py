"""The WebSocket door (`/ws`, contract: api.md 3): admit, accept, join the hub, answer pings. The rest is the hub's."""

from __future__ import annotations

import asyncio
import contextlib
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

import orjson
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.console import admission
from apps.console.admission import Admission, Handshake, Refused
from apps.console.clients import Client, FeedUnavailable, now_text
from apps.console.feed import ThreadedSources
from apps.console.hub import Hub

POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011


class Feed:
    """The hub of this process and the threads it reads with; made by the first use, in the event loop."""

    def __init__(self) -> None:
        self.sources = ThreadedSources()
        self.hub = Hub(self.sources)

    async def stop(self) -> None:
        await self.hub.stop()
        self.sources.close()


_feed: Feed | None = None


def feed() -> Feed:
    """Return this process's feed."""
    global _feed
    if _feed is None:
        _feed = Feed()
    return _feed


async def stop_feed() -> None:
    """Close every socket with 1000 and stop reading."""
    global _feed
    stopping, _feed = _feed, None
    if stopping is not None:
        await stopping.stop()


class FeedConsumer(AsyncWebsocketConsumer):
    """One socket of the feed."""

    client: Client | None = None

    async def websocket_connect(self, message: Any) -> None:
        try:
            admitted: Admission = await feed().sources.run(admission.admit, _handshake(self.scope))
        except Refused as refused:
            await self._refuse(refused.status, str(refused))
            raise StopConsumer from None
        except FeedUnavailable as unavailable:
            await self._refuse(503, str(unavailable))
            raise StopConsumer from None
        await self.accept()
        if admitted.scope is None:
            await self._say("error", {"message": "Agent not found"})
            await self.close(POLICY_VIOLATION)
            return
        label = admitted.scope.agent_label
        await self._say("connected", {"agentId": label, "timestamp": now_text()})
        self.client = Client(admitted.scope, build=feed().hub.build, send=self._send_text, close=self._close)
        feed().hub.join(self.client, admitted.credential, self._gone)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        client = self.client
        if client is None:
            return
        try:
            message = orjson.loads(text_data if text_data is not None else bytes_data or b"")
            kind = message["type"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            client.say("error", {"message": "A message is a JSON object with a type"})
            return
        client.heard()
        if kind == "ping":
            client.say("pong", timestamp=now_text())
        elif kind == "subscribe":
            client.say("subscribed", {"agentId": client.scope.agent_label})
        elif kind == "resync":
            client.reload()

    async def disconnect(self, code: int) -> None:
        if self.client is not None:
            feed().hub.leave(self.client)
            self.client = None

    async def _say(self, kind: str, data: dict[str, Any]) -> None:
        await self._send_text(orjson.dumps({"type": kind, "data": data}).decode())

    async def _send_text(self, text: str) -> None:
        await self.send(text_data=text)

    async def _close(self, code: int) -> None:
        await self.close(code)

    def _gone(self) -> None:
        """The writer has ended by itself: the socket is of no use any more."""
        if self.client is not None:
            self.client = None
            self._closing = asyncio.create_task(self._close_quietly())

    async def _close_quietly(self) -> None:
        with contextlib.suppress(RuntimeError, OSError):
            await self.close(INTERNAL_ERROR)

    async def _refuse(self, status: int, message: str) -> None:
        """Answer the upgrade with an HTTP status, where the server can; else the handshake is just denied."""
        if "websocket.http.response" not in self.scope.get("extensions", {}):
            await super().close()
            return
        body = orjson.dumps({"error": message})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.base_send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self.base_send({"type": "websocket.http.response.body", "body": body})


def _handshake(scope: Any) -> Handshake:
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    cookies: SimpleCookie = SimpleCookie()
    with contextlib.suppress(CookieError):
        cookies.load(headers.get("cookie", ""))
    return Handshake(
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
        headers=headers,
        cookies={key: morsel.value for key, morsel in cookies.items()},
        secure=scope.get("scheme") in ("wss", "https"),
    )
