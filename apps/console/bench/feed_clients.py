"""WebSocket clients of the feed that cost next to nothing: run as a process of their own by `bench feed`.

Reads one line of JSON on standard input ({"port", "paths"}), opens a socket per path, and says when all have their
snapshots. Then for each further line, a text to wait for, it says when the last socket had received it. It decodes no
frame: what is measured is the server. Imports nothing of the desk.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import struct
import sys
import time
from typing import Any

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c29sZGVzayBmZWVkIGJlbg==\r\n\r\n"
)
_READ_BYTES = 256 * 1024
_SNAPSHOT = b'"initial_data"'
_PONG = b'{"type":"pong"}'
#: A client says it lives long before the server would close it, and between ticks only.
_PONG_SECONDS = 20.0
_SNAPSHOT_SECONDS = 120.0
_WAIT_SECONDS = 10.0


def pong_frame() -> bytes:
    """Return the pong of a client, masked as every frame of a client is."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(_PONG))
    return struct.pack("!BB", 0x81, 0x80 | len(_PONG)) + mask + masked


class Clients:
    """Sockets of which each is waited for until it has received a text."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        self.received = 0
        self._greeted: set[int] = set()
        self._next_pong = time.monotonic() + _PONG_SECONDS
        for path in paths:
            talk = socket.create_connection(("127.0.0.1", port))
            talk.sendall(_UPGRADE.format(path=path, port=port).encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                more = talk.recv(_READ_BYTES)
                if not more:
                    raise SystemExit("the server closed the connection")
                answer += more
            head, _, rest = answer.partition(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                raise SystemExit(f"refused: {head.splitlines()[0].decode()} {rest.decode(errors='replace')}")
            talk.setblocking(False)
            self._sockets[talk.fileno()] = talk
            self._tails[talk.fileno()] = b""
            if _SNAPSHOT in rest:
                self._greeted.add(talk.fileno())
            self._poll.register(talk, select.EPOLLIN)

    def wait_for_snapshots(self) -> int:
        """Read until every socket has a snapshot; return how many have not."""
        return self._wait(_SNAPSHOT, _SNAPSHOT_SECONDS, self._sockets.keys() - self._greeted)[1]

    def wait(self, text: bytes, seconds: float) -> tuple[int, int]:
        """Read until every socket has received `text`; return when the last one had (ns), and how many did not."""
        return self._wait(text, seconds, set(self._sockets))

    def _wait(self, text: bytes, seconds: float, left: set[int]) -> tuple[int, int]:
        until = time.monotonic() + seconds
        last = 0
        keep = len(text)
        while left and (rest := until - time.monotonic()) > 0:
            for number, event in self._poll.poll(rest):
                if event & ~select.EPOLLIN:
                    raise SystemExit("the server closed a socket")
                try:
                    data = self._sockets[number].recv(_READ_BYTES)
                except BlockingIOError:
                    continue
                self.received += len(data)
                data = self._tails[number] + data
                if number in left and text in data:
                    left.discard(number)
                    last = time.perf_counter_ns()
                self._tails[number] = data[-keep:]
        return last, len(left)

    def drain(self, seconds: float) -> None:
        """Read what comes for a while."""
        self.wait(b"\xff never \xff", seconds)

    def stay(self) -> None:
        """Say that the clients live, when it is time."""
        if time.monotonic() >= self._next_pong:
            self._next_pong = time.monotonic() + _PONG_SECONDS
            for talk in self._sockets.values():
                talk.send(pong_frame())


def main() -> None:
    """Serve the bench: one line in, one line out."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    clients = Clients(order["port"], order["paths"])
    if without := clients.wait_for_snapshots():
        raise SystemExit(f"{without} sockets got no snapshot")
    clients.drain(1.0)
    _say({"ready": len(order["paths"])})
    for line in sys.stdin:
        cpu, clients.received = time.process_time_ns(), 0
        last, missing = clients.wait(line.strip().encode(), _WAIT_SECONDS)
        cpu = time.process_time_ns() - cpu
        _say({"last_ns": last, "missing": missing, "bytes": clients.received, "cpu_ns": cpu})
        clients.stay()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
