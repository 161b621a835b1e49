"""From ASGI to Django's WSGI application on a fixed pool of threads, an answer at a time.

Unlike a streaming bridge, a thread hands over its answer once, whole: two crossings between thread and event loop per
request instead of six, which is most of what a short request costs. What streams (exports) goes through a2wsgi.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import structlog
from a2wsgi.wsgi import build_environ

log = structlog.get_logger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class WsgiLane:
    """Runs a WSGI application for requests whose body is already here."""

    def __init__(self, application: Any, *, threads: int, name: str) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def __call__(self, scope: dict[str, Any], body: bytes, send: Send) -> None:
        """Answer one request; a client that has gone meanwhile changes nothing for the application."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer] = loop.create_future()
        environ = build_environ(scope, BytesIO(body))  # type: ignore[arg-type]
        self._threads.submit(self._serve, environ, partial(_hand_over, loop, waiting)).add_done_callback(_tell)
        answer = await waiting
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
