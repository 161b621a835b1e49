"""The WebSocket door (`/ws`, contract: api.md 3): admit, accept, join the hub, answer pings. The rest is the hub's."""

from __future__ import annotations

import contextlib
import time
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from apps.console import admission
from apps.console.admission import Admission, Handshake, Refused
from apps.console.clients import POLICY_VIOLATION, Client, FeedUnavailable
from apps.console.feed import ThreadedSources
from apps.console.frames import now_text
from apps.console.hub import Hub

#: The extension by which the server hands over a socket's transport (`config.feed_socket`).
PIPE = "soldesk.pipe"


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
    reserved: UUID | None = None

    async def websocket_connect(self, message: Any) -> None:
        try:
            admitted: Admission = await feed().sources.run(admission.admit, _handshake(self.scope))
        except Refused as refused:
            await self._refuse(refused.status, refused.code, str(refused))
            raise StopConsumer from None
        except FeedUnavailable as unavailable:
            await self._refuse(503, "FEED_UNAVAILABLE", str(unavailable))
            raise StopConsumer from None
        if feed().hub.is_full:
            await self._refuse(503, "FEED_FULL", "This server has as many feed sockets as it may; try again later.")
            raise StopConsumer
        await self.accept()
        if admitted.scope is None:
            await self._turn_away("AGENT_NOT_FOUND", "Agent not found")
            return
        user_id = admitted.credential.user_id
        if not feed().hub.reserve(user_id):
            most = settings.FEED_SOCKETS_PER_USER
            await self._turn_away("TOO_MANY_SOCKETS", f"You have {most} feed sockets open here, as many as you may.")
            return
        self.reserved = user_id
        self.allowance = Allowance(settings.FEED_MESSAGES_PER_SECOND)
        try:
            await self._say("connected", {"agentId": admitted.scope.agent_label, "timestamp": now_text()})
        except BaseException:  # nobody will tell of the end of a socket that was gone before it began
            self._leave()
            raise
        pipe = self.scope["extensions"][PIPE]
        self.client = Client(admitted.scope, pipe, house=feed().hub, close=self._close)
        feed().hub.join(self.client, admitted.credential)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        client = self.client
        if client is None:
            return
        if not self.allowance.take():
            client.say("error", {"message": "Too many messages", "code": "TOO_MANY_MESSAGES"})
            client.hang_up(POLICY_VIOLATION)
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
            client.resync()

    async def disconnect(self, code: int) -> None:
        self._leave()

    def _leave(self) -> None:
        if self.client is not None:
            feed().hub.leave(self.client)
            self.client = None
        if self.reserved is not None:
            feed().hub.release(self.reserved)
            self.reserved = None

    async def _turn_away(self, code: str, message: str) -> None:
        """Tell a page what it cannot learn from a refused upgrade, and close."""
        await self._say("error", {"message": message, "code": code})
        await self.close(POLICY_VIOLATION)

    async def _say(self, kind: str, data: dict[str, Any]) -> None:
        await self.send(text_data=orjson.dumps({"type": kind, "data": data}).decode())

    async def _close(self, code: int) -> None:
        with contextlib.suppress(RuntimeError, OSError):  # the server's words for a socket that is closed already
            await self.close(code)

    async def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer the upgrade with an HTTP status."""
        body = orjson.dumps({"error": message, "code": code})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.base_send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self.base_send({"type": "websocket.http.response.body", "body": body})


class Allowance:
    """How many messages a client may send: so many a second, ten times that at once."""

    def __init__(self, per_second: int) -> None:
        self._per_second, self._most = per_second, per_second * 10.0
        self._left, self._at = self._most, time.monotonic()

    def take(self) -> bool:
        """Use one up; False when there is none left."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


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
