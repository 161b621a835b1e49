"""The hub's own rules, in one event loop: who is pinged, closed, given up or reloaded. Sockets are lists here."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from apps.console import clients as clients_module
from apps.console import hub as hub_module
from apps.console.clients import FeedUnavailable, Scope, ScopeGone, Snapshot
from apps.console.hub import Hub
from tests.console.pipes import Socket
from tests.factories import uuid

AGENT = uuid.uuid4()
STREAM = f"agent:{AGENT}"


class Books:
    """What the database would say; the hub's port."""

    def __init__(self) -> None:
        self.numbers = {STREAM: 0}
        self.over: set[Any] = set()
        self.failing: Exception | None = None
        self.gone: set[Scope] = set()
        self.mints: dict[str, str] = {}
        self.begun = 0
        self.snapshots = 0
        self.readable = asyncio.Event()
        self.readable.set()

    async def snapshot(self, scope: Scope) -> Snapshot:
        self.begun += 1
        numbers = dict(self.numbers)
        await self.readable.wait()
        if self.failing is not None:
            raise self.failing
        if scope in self.gone:
            raise ScopeGone("Agent not found")
        self.snapshots += 1
        return Snapshot({"positions": []}, numbers, self.mints)

    async def streams(self, scope: Scope) -> list[str]:
        return list(self.numbers)

    async def panel(self, scope: Scope) -> dict[str, Any]:
        return {}

    async def sequences(self, streams: set[str]) -> dict[str, int]:
        return {stream: self.numbers.get(stream, 0) for stream in streams}

    async def ended(self, credentials: set[Any]) -> set[Any]:
        return self.over & credentials


def watcher(hub: Hub, scope: Scope | None = None, credential: str = "token") -> Socket:
    return Socket(hub, scope or Scope(agent_id=AGENT), credential)


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
    running.start()
    await eventually(lambda: running.connected)
    yield running
    await running.stop()


async def eventually(condition, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def frame(*numbers: int, kind: str = "position_update") -> bytes:
    return orjson.dumps(
        [[STREAM, number, kind, {"eventType": "position_closed", "positionId": "p"}] for number in numbers]
    )


def price(mint: str, sol: float, *, tick: int | None = None) -> bytes:
    return orjson.dumps([[mint, sol, None, "jupiter", "2026-01-01T00:00:00.000Z", tick]])


async def test_a_silent_client_is_closed_and_one_that_answers_stays(hub):
    silent, lively = watcher(hub), watcher(hub)

    async def answer() -> None:
        while True:
            lively.client.heard()
            await asyncio.sleep(0.02)

    answering = asyncio.create_task(answer())
    await eventually(lambda: silent.code == 1000)
    await asyncio.sleep(0.2)
    assert lively.code is None
    pings = [message for message in lively.heard if message["type"] == "ping"]
    assert pings
    assert pings[-1]["streams"] == {STREAM: 0}
    assert pings[-1]["timestamp"].endswith("Z")
    answering.cancel()


async def test_repetitions_are_dropped_and_a_gap_reloads(hub, books):
    socket = watcher(hub)
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
    books.numbers[STREAM] = 2
    books.readable.clear()
    socket = watcher(hub)
    await asyncio.sleep(0.02)
    books.numbers[STREAM] = 5
    hub.dispatch(frame(1, 2, 3, 4))
    assert set(socket.kinds()) <= {"ping"}
    books.readable.set()
    await eventually(lambda: "initial_data" in socket.kinds())
    hub.dispatch(frame(5))
    await eventually(lambda: socket.heard[-1].get("sequence") == 5)
    (initial,) = [m for m in socket.heard if m["type"] == "initial_data"]
    assert initial["data"]["streams"] == {STREAM: 2}
    assert [message["sequence"] for message in socket.heard if "sequence" in message] == [3, 4, 5]


async def test_a_socket_that_takes_nothing_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(hub_module, "STUCK_SECONDS", 0.1)
    socket = watcher(hub)
    socket.take_nothing()
    await eventually(lambda: socket.aborted)
    assert hub.size == 0


async def test_a_slow_socket_that_takes_a_little_now_and_then_is_kept(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(hub_module, "STUCK_SECONDS", 1.5)
    monkeypatch.setattr(hub_module, "SILENT_SECONDS", 60)
    socket = watcher(hub)
    for _ in range(14):
        socket.take_nothing()
        await asyncio.sleep(0.15)
        socket.take_again()
    assert not socket.aborted


async def test_what_waits_for_a_slow_client_has_a_bound_and_prices_are_merged(hub, books):
    socket = watcher(hub)
    await eventually(lambda: socket.client.live)
    socket.take_nothing()
    for number in range(1, 5_000):
        hub.dispatch(frame(number))
        hub.dispatch_prices(price("mint", 1.0))
        assert socket.client.waiting <= clients_module.MAX_WAITING + 10
    books.numbers[STREAM] = 4_999
    before = books.snapshots
    heard = socket.kinds()
    socket.take_again()
    await eventually(lambda: socket.client.live and books.snapshots > before)
    assert socket.client.sequences[STREAM] == 4_999
    assert [kind for kind in socket.kinds()[len(heard) :] if kind != "ping"] == ["initial_data"]


async def test_large_messages_that_wait_are_bounded_by_their_size(hub, books):
    socket = watcher(hub)
    await eventually(lambda: socket.client.live)
    socket.take_nothing()
    for number in range(1, 400):
        hub.dispatch(orjson.dumps([[STREAM, number, "alert", {"text": "x" * 10_000}]]))
        assert socket.client.waiting_bytes < clients_module.MAX_WAITING_BYTES + 11_000


async def test_a_slow_client_gets_the_newest_price_with_the_highest_and_lowest_it_missed(hub, books):
    books.mints = {"p": "mint"}
    socket = watcher(hub)
    await eventually(lambda: socket.client.live)
    hub.dispatch_prices(price("mint", 1.0, tick=1))
    socket.take_nothing()
    for tick, each in enumerate((3.0, 0.5, 2.0), start=2):
        hub.dispatch_prices(price("mint", each, tick=tick))
    socket.take_again()
    (first,), (second,) = [m["data"]["updates"] for m in socket.heard if m["type"] == "price_update_batch"]
    assert (first["price"], first["high"], first["low"], first["tick"]) == (1, 1, 1, 1)
    assert (second["price"], second["high"], second["low"], second["tick"]) == (2, 3, 0.5, 4)
    assert [m["data"]["sequence"] for m in socket.heard if m["type"] == "price_update_batch"] == [1, 2]


async def test_prices_heard_before_a_change_are_told_before_it_however_slow_the_client(hub, books):
    books.mints = {"p": "mint"}
    socket = watcher(hub)
    await eventually(lambda: socket.client.live)
    socket.take_nothing()
    hub.dispatch_prices(price("mint", 3.0, tick=1))
    hub.dispatch(frame(1))
    socket.take_again()
    assert [kind for kind in socket.kinds() if kind.endswith(("batch", "_update"))] == [
        "price_update_batch",
        "position_update",
    ]


async def test_prices_that_come_while_the_snapshot_is_read_follow_it(hub, books):
    books.mints = {"p": "mint"}
    books.readable.clear()
    socket = watcher(hub)
    await asyncio.sleep(0.02)
    hub.dispatch_prices(price("mint", 2.0, tick=7))
    hub.dispatch_prices(price("other", 2.0, tick=8))
    books.readable.set()
    await eventually(lambda: "price_update_batch" in socket.kinds())
    ((update,),) = [m["data"]["updates"] for m in socket.heard if m["type"] == "price_update_batch"]
    assert (update["mint"], update["tick"]) == ("mint", 7)


async def test_an_opening_knows_of_prices_that_were_heard_before_it_and_count_for_it(hub, books):
    socket = watcher(hub)
    await eventually(lambda: socket.client.live)
    for tick, each in ((4, 9.0), (5, 3.0), (6, 0.5)):
        hub.dispatch_prices(price("mint", each, tick=tick))
    position = {"id": "p", "tokenAddress": "mint", "peakPrice": 1.0, "lowestPrice": None, "peakFromTick": 4}
    position["purchasePrice"] = 1.0
    delta = {"eventType": "position_created", "position": position}
    hub.dispatch(orjson.dumps([[STREAM, 1, "position_update", delta]]))
    (told,) = [m["data"]["position"] for m in socket.heard if m["type"] == "position_update"]
    assert (told["peakPrice"], told["lowestPrice"]) == (3.0, 0.5)


async def test_clients_of_one_scope_share_a_snapshot_that_was_not_begun_when_they_asked(hub, books):
    books.readable.clear()
    sockets = [watcher(hub) for _ in range(50)]
    await asyncio.sleep(0.02)
    late = watcher(hub)
    await asyncio.sleep(0.02)
    books.readable.set()
    await eventually(lambda: all(socket.client.live for socket in [*sockets, late]))
    assert books.begun <= hub_module.SNAPSHOTS_AT_ONCE + 1


async def test_when_too_much_waits_in_all_the_slowest_are_cut_off(hub, books, settings, monkeypatch):
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.02)
    settings.FEED_BUFFER_BYTES = 150_000
    slow, slower, quick = watcher(hub), watcher(hub), watcher(hub)
    await eventually(lambda: all(socket.client.live for socket in (slow, slower, quick)))
    slow.take_nothing()
    slower.take_nothing()
    slow.buffered, slower.buffered = 60_000, 100_000
    await eventually(lambda: slower.aborted)
    assert not slow.aborted
    assert not quick.aborted
    assert hub.size == 2


async def test_a_client_may_ask_for_one_snapshot_a_second(hub, books, monkeypatch):
    monkeypatch.setattr(clients_module, "RESYNC_SECONDS", 1.0)
    socket = watcher(hub)
    await eventually(lambda: socket.client.live)
    before = books.begun
    for _ in range(100):
        socket.client.resync()
    await eventually(lambda: books.begun > before)
    await asyncio.sleep(0.3)
    assert books.begun == before + 1


async def test_who_watches_an_agent_that_is_archived_is_told_and_closed(hub, books):
    agents, owner = watcher(hub), watcher(hub, Scope(user_id=AGENT))
    await eventually(lambda: agents.client.live and owner.client.live)
    books.gone = {agents.client.scope}
    hub.dispatch(orjson.dumps([[f"user:{AGENT}", 1, "agent_archived", {"agentId": str(AGENT)}]]))
    await eventually(lambda: agents.code == 1008)
    assert "error" in agents.kinds()
    assert owner.code is None
    assert "agent_archived" in owner.kinds()


async def test_a_snapshot_that_fails_for_no_known_reason_ends_with_1011(hub, books):
    books.failing = RuntimeError("unforeseen")
    socket = watcher(hub)
    await eventually(lambda: socket.code == 1011)


async def test_a_database_that_does_not_answer_is_said_and_tried_again(hub, books):
    books.failing = FeedUnavailable("later")
    socket = watcher(hub)
    await eventually(lambda: "error" in socket.kinds())
    assert next(m for m in socket.heard if m["type"] == "error")["data"]["message"] == "later"
    books.failing = None
    await eventually(lambda: socket.client.live)
    assert socket.code is None


async def test_a_client_whose_agent_is_gone_is_told_and_closed(hub, books):
    books.failing = ScopeGone("Agent not found")
    socket = watcher(hub)
    await eventually(lambda: socket.code == 1008)
    assert socket.heard[-1] == {"type": "error", "data": {"message": "Agent not found"}}


async def test_an_ended_session_closes_only_its_own_sockets(hub, books):
    ending, staying = watcher(hub, credential="ending"), watcher(hub, credential="staying")
    books.over = {"ending"}
    await eventually(lambda: ending.code == 1008)
    assert staying.code is None


async def test_leaving_forgets_everything_about_a_client(hub):
    sockets = [watcher(hub), watcher(hub, Scope()), watcher(hub, Scope(user_id=AGENT))]
    await eventually(lambda: all(socket.client.live for socket in sockets))
    for socket in sockets:
        hub.leave(socket.client)
        hub.leave(socket.client)
    assert hub.size == 0
    assert not hub._by_stream
    assert not hub._streams
    assert not hub._desk
    assert not hub._groups
    assert not hub._group_of
