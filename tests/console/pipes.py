"""The other end of a feed client without a network: what it was sent, decoded by a real client's parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from apps.console.clients import Client, Scope
from apps.console.hub import Hub


class Socket:
    """A client that has joined a hub, and its transport."""

    def __init__(self, hub: Hub, scope: Scope, credential: str = "token") -> None:
        self.heard: list[dict[str, Any]] = []
        self.code: int | None = None
        self.aborted = False
        self.congested = False
        self.buffered = 0
        self.resumed: Callable[[], None] | None = None
        self.hub = hub
        self.client = Client(scope, self, house=hub, close=self.close)
        hub.join(self.client, credential)

    def write(self, frames: bytes) -> None:
        assert not self.congested
        self.heard += messages(frames)

    def abort(self) -> None:
        self.aborted = True
        self.hub.leave(self.client)

    async def close(self, code: int) -> None:
        self.code = code
        self.hub.leave(self.client)

    def take_nothing(self) -> None:
        self.congested = True

    def take_again(self) -> None:
        self.congested = False
        if self.resumed is not None:
            self.resumed()

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.heard]


def messages(frames: bytes) -> list[dict[str, Any]]:
    """Decode what a server writes."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    client.receive_data(frames)
    return [json.loads(bytes(event.data)) for event in client.events_received() if isinstance(event, Frame)]
