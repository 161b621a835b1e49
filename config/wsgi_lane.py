"""From ASGI to Django's WSGI application on fixed pools of threads: whole answers, or streams.

`WsgiLane` hands an answer over once, whole: two crossings between thread and event loop per request instead of six,
which is most of what a short request costs. `StreamLane` hands over part by part, as fast as the client takes them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import structlog
from a2wsgi.wsgi import build_environ

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Abandoned(Exception):
    """The server stops and waits no longer for the answer; what the thread does goes on until the process ends."""


class WsgiLane:
    """Runs a WSGI application for requests whose body is already here."""

    def __init__(self, application: Any, *, threads: int, name: str) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def __call__(self, scope: dict[str, Any], body: bytes, send: Send) -> None:
        """Answer one request; a client that has gone meanwhile changes nothing for the application.

        Raises:
            Abandoned: nothing was answered yet when the server gave up waiting.
        """
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer] = loop.create_future()
        environ = build_environ(scope, BytesIO(body))  # type: ignore[arg-type]
        self._threads.submit(self._serve, environ, partial(_hand_over, loop, waiting)).add_done_callback(_tell)
        try:
            answer = await waiting
        except asyncio.CancelledError:
            raise Abandoned from None
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _serve(self, environ: Any, deliver: Callable[[Answer | BaseException], Any]) -> None:
        """Run the application in a thread; closing the response comes after the answer has left."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            started.append((status, headers))

        parts: Iterable[bytes] = ()
        try:
            parts = self._application(environ, start_response)
            body = b"".join(parts)
            status, headers = started[-1]
            deliver(Answer(int(status.split(" ", 1)[0]), _encoded(headers), body))
        except BaseException as error:
            deliver(error)
            raise
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()


class Stalled(Exception):
    """A client took nothing of a stream for too long, or has gone."""


class StreamLane:
    """Runs a WSGI application whose answers are long; one that no client reads holds up its own thread alone.

    The next part is asked for when the connection has taken the last one. A client that takes none for
    `stalled_seconds` is given up; one that has gone is noticed at the next part.
    """

    def __init__(self, application: Any, *, threads: int, name: str, stalled_seconds: float) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._stalled_seconds = stalled_seconds

    async def __call__(self, scope: dict[str, Any], body: bytes, receive: Receive, send: Send) -> None:
        """Answer one request; returns without having completed the answer when the client is given up."""
        loop = asyncio.get_running_loop()
        environ = build_environ(scope, BytesIO(body))  # type: ignore[arg-type]
        gone = threading.Event()
        listening = asyncio.create_task(_wait_for_disconnect(receive, gone))

        def deliver(message: dict[str, Any]) -> None:
            if gone.is_set():
                raise Stalled
            sent = asyncio.run_coroutine_threadsafe(_send(send, message), loop)
            try:
                sent.result(self._stalled_seconds)
            except TimeoutError:
                sent.cancel()
                raise Stalled from None

        try:
            await loop.run_in_executor(self._threads, self._serve, environ, deliver)
        except (Stalled, asyncio.CancelledError):
            gone.set()
            log.info("stream_given_up", path=scope["path"])
        finally:
            listening.cancel()

    def _serve(self, environ: Any, deliver: Callable[[dict[str, Any]], None]) -> None:
        started: list[dict[str, Any]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            code = int(status.split(" ", 1)[0])
            started.append({"type": "http.response.start", "status": code, "headers": _encoded(headers)})

        parts = self._application(environ, start_response)
        try:
            for number, part in enumerate(parts):
                if number == 0:
                    deliver(started[-1])
                deliver({"type": "http.response.body", "body": part, "more_body": True})
            deliver({"type": "http.response.body", "body": b""})
        finally:
            parts.close()


async def _send(send: Send, message: dict[str, Any]) -> None:
    await send(message)


async def _wait_for_disconnect(receive: Receive, gone: threading.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _tell(work: Future[None]) -> None:
    """Log what broke in the thread: after the answer has left, or without a client, nobody else would hear of it."""
    error = work.exception()
    if error is not None:
        log.error("request_broke", exc_info=error)


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _hand_over(
    loop: asyncio.AbstractEventLoop, waiting: asyncio.Future[Answer], answer: Answer | BaseException
) -> None:
    loop.call_soon_threadsafe(_deliver, waiting, answer)


def _deliver(waiting: asyncio.Future[Answer], answer: Answer | BaseException) -> None:
    if waiting.done():
        return
    if isinstance(answer, BaseException):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
