"""The lane from ASGI to WSGI: whole answers, and nothing that breaks in its threads goes unheard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from config import wsgi_lane

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
    until = time.monotonic() + 5
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
