"""The hub's own rules, in one event loop: who is pinged, closed, given up or reloaded. Sockets are lists here."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest

from apps.console import clients as clients_module
from apps.console import hub as hub_module
from apps.console.clients import Client, FeedUnavailable, Scope, ScopeGone, Snapshot
from apps.console.hub import Hub
from tests.factories import uuid

AGENT = uuid.uuid4()
STREAM = f"agent:{AGENT}"


class Books:
    """What the database would say; the hub's port."""

    def __init__(self) -> None:
        self.numbers = {STREAM: 0}
        self.over: set[Any] = set()
        self.failing: Exception | None = None
        self.snapshots = 0
        self.readable = asyncio.Event()
        self.readable.set()

    async def snapshot(self, scope: Scope) -> Snapshot:
        numbers = dict(self.numbers)
        await self.readable.wait()
        if self.failing is not None:
            raise self.failing
        self.snapshots += 1
        return Snapshot({"positions": []}, numbers)

    async def streams(self, scope: Scope) -> list[str]:
        return list(self.numbers)

    async def panel(self, scope: Scope) -> dict[str, Any]:
        return {}

    async def sequences(self, streams: set[str]) -> dict[str, int]:
        return {stream: self.numbers[stream] for stream in streams}

    async def ended(self, credentials: set[Any]) -> set[Any]:
        return self.over & credentials


class Socket:
    """The other end of a client: what it was sent, and the code it was closed with."""

    def __init__(self, hub: Hub, scope: Scope | None = None, credential: str = "token") -> None:
        self.heard: list[dict[str, Any]] = []
        self.code: int | None = None
        self.gone = False
        self.stuck = asyncio.Event()
        self.stuck.set()
        self.client = Client(scope or Scope(agent_id=AGENT), build=hub.build, send=self.send, close=self.close)
        hub.join(self.client, credential, self.leave)

    async def send(self, text: str) -> None:
        await self.stuck.wait()
        self.heard.append(json.loads(text))

    async def close(self, code: int) -> None:
        self.code = code

    def leave(self) -> None:
        self.gone = True

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.heard]


@pytest.fixture
def books(monkeypatch):
    for constant, value in {"PING_SECONDS": 0.05, "SILENT_SECONDS": 1.5, "CHECK_SECONDS": 0.5}.items():
        monkeypatch.setattr(hub_module, constant, value)
    monkeypatch.setattr(hub_module, "RECONNECT_SECONDS", 60)
    monkeypatch.setattr(clients_module, "SNAPSHOT_RETRY_SECONDS", 0.05)
    return Books()


@pytest.fixture
async def hub(books):
    running = Hub(books)
    yield running
    await running.stop()


async def eventually(condition, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def frame(*numbers: int, kind: str = "position_update") -> bytes:
    return orjson.dumps(
        [[STREAM, number, kind, {"eventType": "position_closed", "positionId": "p"}] for number in numbers]
    )


async def test_a_silent_client_is_closed_and_one_that_answers_stays(hub):
    silent, lively = Socket(hub), Socket(hub)

    async def answer() -> None:
        while True:
            lively.client.heard()
            await asyncio.sleep(0.02)

    answering = asyncio.create_task(answer())
    await eventually(lambda: silent.code == 1000)
    assert silent.gone
    await asyncio.sleep(0.2)
    assert lively.code is None
    pings = [message for message in lively.heard if message["type"] == "ping"]
    assert pings
    assert pings[-1]["streams"] == {STREAM: 0}
    assert pings[-1]["timestamp"].endswith("Z")
    answering.cancel()


async def test_repetitions_are_dropped_and_a_gap_reloads(hub, books):
    socket = Socket(hub)
    await eventually(lambda: socket.client.live)
    hub.dispatch(frame(1, 1, 2))
    await eventually(lambda: socket.kinds().count("position_update") == 2)
    before = books.snapshots
    books.numbers[STREAM] = 5
    hub.dispatch(frame(4))
    await eventually(lambda: books.snapshots > before)
    await eventually(lambda: socket.client.live)
    hub.dispatch(frame(5, 6))
    await eventually(lambda: socket.heard[-1].get("sequence") == 6)
    assert [message["sequence"] for message in socket.heard if "sequence" in message] == [1, 2, 6]


async def test_deltas_that_come_while_the_snapshot_is_read_follow_it_once(hub, books):
    hub.start()
    await eventually(lambda: hub.connected)
    books.numbers[STREAM] = 2
    books.readable.clear()
    socket = Socket(hub)
    await asyncio.sleep(0.02)
    books.numbers[STREAM] = 5
    hub.dispatch(frame(1, 2, 3, 4))
    assert socket.heard == []
    books.readable.set()
    await eventually(lambda: "initial_data" in socket.kinds())
    hub.dispatch(frame(5))
    await eventually(lambda: socket.heard[-1].get("sequence") == 5)
    assert socket.heard[0]["data"]["streams"] == {STREAM: 2}
    assert [message["sequence"] for message in socket.heard if "sequence" in message] == [3, 4, 5]


async def test_a_socket_that_takes_nothing_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(clients_module, "SEND_SECONDS", 0.1)
    socket = Socket(hub)
    socket.stuck.clear()
    await eventually(lambda: socket.gone)
    assert hub.size == 0


async def test_what_waits_for_a_slow_client_has_a_bound_and_prices_are_merged(hub, books):
    socket = Socket(hub)
    await eventually(lambda: socket.client.live)
    socket.stuck.clear()
    hub.dispatch(frame(1))
    await asyncio.sleep(0.05)
    for number in range(2, 5_000):
        hub.dispatch(frame(number))
        hub.dispatch_prices(orjson.dumps([["mint", 1.0, None, "jupiter"]]))
        assert socket.client.waiting <= clients_module.MAX_WAITING + 10
    books.numbers[STREAM] = 4_999
    before = books.snapshots
    socket.stuck.set()
    await eventually(lambda: socket.client.live and books.snapshots > before)
    assert socket.client.sequences[STREAM] == 4_999


async def test_a_database_that_does_not_answer_is_said_and_tried_again(hub, books):
    books.failing = FeedUnavailable("later")
    socket = Socket(hub)
    await eventually(lambda: "error" in socket.kinds())
    assert socket.heard[0]["data"]["message"] == "later"
    books.failing = None
    await eventually(lambda: socket.client.live)
    assert socket.code is None


async def test_a_client_whose_agent_is_gone_is_told_and_closed(hub, books):
    books.failing = ScopeGone("Agent not found")
    socket = Socket(hub)
    await eventually(lambda: socket.code == 1008)
    assert socket.heard[-1] == {"type": "error", "data": {"message": "Agent not found"}}


async def test_an_ended_session_closes_only_its_own_sockets(hub, books):
    ending, staying = Socket(hub, credential="ending"), Socket(hub, credential="staying")
    books.over = {"ending"}
    await eventually(lambda: ending.code == 1008)
    assert staying.code is None


async def test_leaving_forgets_everything_about_a_client(hub):
    sockets = [Socket(hub), Socket(hub, Scope()), Socket(hub, Scope(user_id=AGENT))]
    await eventually(lambda: all(socket.client.live for socket in sockets))
    for socket in sockets:
        hub.leave(socket.client)
        hub.leave(socket.client)
    assert hub.size == 0
    assert not hub._by_stream
    assert not hub._streams
    assert not hub._desk
    assert not hub._writers
