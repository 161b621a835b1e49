"""A load generator for HTTP/1.1 on loopback that costs little itself: kept connections, one request at a time on each.

It reads status and length of an answer and nothing else, so that what is measured is the server.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"

Request = Callable[[], bytes]


@dataclass(slots=True)
class Load:
    """What came of a load: seconds it took, milliseconds of each answer, answers by status."""

    seconds: float = 0.0
    samples_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return len(self.samples_ms) / self.seconds if self.seconds else 0.0

    def failures(self, expected: int) -> int:
        return sum(count for status, count in self.statuses.items() if status != expected)


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def closed_loop(port: int, make: Request, *, clients: int, seconds: float) -> Load:
    """Keep `clients` connections busy for `seconds`: each sends its next request when the last was answered."""
    load, until = Load(), time.perf_counter() + seconds
    connections = [_Connection(make, load, until) for _ in range(clients)]
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    await asyncio.gather(*(loop.create_connection(lambda each=each: each, "127.0.0.1", port) for each in connections))  # type: ignore[misc]
    await asyncio.gather(*(each.done for each in connections))
    load.seconds = time.perf_counter() - started
    return load


class _Connection(asyncio.Protocol):
    def __init__(self, make: Request, load: Load, until: float) -> None:
        self._make, self._load, self._until = make, load, until
        self._buffer = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type of what a TCP connection gives
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(_END_OF_HEAD)
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head)
        if length is None or len(self._buffer) < head + len(_END_OF_HEAD) + int(length[1]):
            return
        now = time.perf_counter()
        self._load.samples_ms.append((now - self._sent_at) * 1000)
        self._load.statuses[int(self._buffer[9:12])] += 1
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._finish()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self._load.statuses[0] += 1
            self._finish()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._make())

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()
