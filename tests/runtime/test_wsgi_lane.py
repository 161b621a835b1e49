"""The lane from ASGI to WSGI: whole answers, and nothing that breaks in its threads goes unheard."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from config import asgi, wsgi_lane

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "root_path": "",
    "query_string": b"",
    "headers": [],
    "server": ("localhost", 80),
    "client": ("127.0.0.1", 1),
    "scheme": "http",
    "http_version": "1.1",
    "asgi": {"version": "3.0"},
}


class Body:
    """A response that breaks when it is closed, as a handler of Django's request_finished may."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"fine"])

    def close(self) -> None:
        raise ZeroDivisionError


def closing_breaks(_environ: Any, start_response: Any) -> Body:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body()


def application_breaks(_environ: Any, _start_response: Any) -> list[bytes]:
    raise ZeroDivisionError


def ask(application: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(wsgi_lane.WsgiLane(application, threads=1, name="test")(SCOPE, b"", send))
    return sent


def heard(logs: list[Any]) -> list[Any]:
    until = time.monotonic() + 60
    while not logs and time.monotonic() < until:
        time.sleep(0.01)
    return [(entry["event"], type(entry["exc_info"])) for entry in logs]


def test_what_breaks_after_the_answer_has_left_is_logged_and_the_answer_stands() -> None:
    with capture_logs() as logs:
        start, body = ask(closing_breaks)
        assert (start["status"], body["body"]) == (200, b"fine")
        assert heard(logs) == [("request_broke", ZeroDivisionError)]


def test_an_application_that_breaks_is_raised_to_the_server_and_logged() -> None:
    with capture_logs() as logs:
        with pytest.raises(ZeroDivisionError):
            ask(application_breaks)
        assert heard(logs) == [("request_broke", ZeroDivisionError)]


@pytest.fixture
def hanging() -> Iterator[Any]:
    """An application that answers nobody until the test is over."""
    over = threading.Event()

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        over.wait(60)
        start_response("200 OK", [])
        return [b"late"]

    yield application
    over.set()


async def cancelled_while_waiting(asked: Any, under_way: Callable[[], bool] = lambda: True) -> None:
    """Ask, and cancel the request as the server does when it stops."""
    request = asyncio.ensure_future(asked)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        while not under_way():
            await asyncio.sleep(0.01)
    request.cancel()
    await request


def test_who_still_waits_when_the_server_stops_is_told_so(hanging: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi.application, "_quick", wsgi_lane.WsgiLane(hanging, threads=1, name="test"))
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    asyncio.run(cancelled_while_waiting(asgi.application({**SCOPE, "path": "/api/v1/agents"}, receive, send)))
    start, body = sent
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"1"
    assert json.loads(body["body"])["code"] == "DESK_STOPPING"


def test_a_stream_still_under_way_when_the_server_stops_ends_without_a_word() -> None:
    parts = Parts(1_000_000)

    async def send(_message: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    asyncio.run(cancelled_while_waiting(stream(parts, send, stay), lambda: parts.asked > 0))
    until = time.monotonic() + 60
    while not parts.closed and time.monotonic() < until:
        time.sleep(0.01)
    assert parts.closed
    assert parts.left > 0


class Parts:
    """A long answer that counts what was asked of it."""

    def __init__(self, parts: int) -> None:
        self.left, self.asked, self.closed = parts, 0, False

    def __call__(self, _environ: Any, start_response: Any) -> Parts:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        while self.left:
            self.left -= 1
            self.asked += 1
            yield b"row\n"

    def close(self) -> None:
        self.closed = True


async def stream(application: Any, send: Any, receive: Any, *, stalled_seconds: float = 60.0) -> None:
    lane = wsgi_lane.StreamLane(application, threads=1, name="test", stalled_seconds=stalled_seconds)
    await lane(SCOPE, b"", receive, send)


async def stay() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


def test_a_stream_arrives_whole_and_in_order() -> None:
    parts, sent = Parts(3), []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(stream(parts, send, stay))
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * 4
    assert b"".join(message["body"] for message in sent[1:]) == b"row\n" * 3
    assert (sent[-2]["more_body"], sent[-1].get("more_body", False)) == (True, False)
    assert parts.closed


def test_nothing_is_asked_of_a_stream_that_its_client_does_not_take() -> None:
    parts = Parts(1_000)

    async def take_the_head_only(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    asyncio.run(stream(parts, take_the_head_only, stay, stalled_seconds=0.2))
    assert (parts.asked, parts.closed) == (1, True)


def test_a_stream_ends_when_its_client_has_gone() -> None:
    parts = Parts(1_000_000)

    async def run() -> None:
        heard, gone = 0, asyncio.Event()

        async def send(_message: dict[str, Any]) -> None:
            nonlocal heard
            heard += 1
            if heard == 3:
                gone.set()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        await stream(parts, send, receive)

    asyncio.run(run())
    assert parts.closed
    assert parts.left > 0
