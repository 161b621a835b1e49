"""An HTTP server that fails on the wire in ways the sandbox cannot: silence, drips, cut bodies, odd status lines.

Each test hands it the answers in order; the last one repeats. An answer is the raw bytes to send, or a callable that
gets the socket.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Reply = bytes | Callable[[socket.socket], None]


def reply(
    status: int = 200, body: Any = None, *, headers: dict[str, str] | None = None, raw: bytes | None = None
) -> bytes:
    """Return the bytes of a whole HTTP/1.1 answer."""
    content = json.dumps(body if body is not None else {}).encode() if raw is None else raw
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def silence(connection: socket.socket) -> None:
    """Say nothing for half a minute."""
    time.sleep(30)


def drip(connection: socket.socket) -> None:
    """Send a body of 600 bytes, one every 50 ms."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n")
    for _ in range(600):
        connection.sendall(b" ")
        time.sleep(0.05)


def cut(connection: socket.socket) -> None:
    """Promise 100 bytes, send three, hang up."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}\n")
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class MisbehavingServer:
    """Listens on a port of its own; `requests` are the request heads it saw, `connections` how many were opened."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self._replies: list[Reply] = [reply()]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def answers(self, *replies: Reply) -> None:
        """Answer the next requests with `replies`, the last one for ever."""
        self._replies = list(replies)

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return
                    buffer += chunk
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                self.requests.append(head.decode())
                answer = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
        except OSError:
            return
        finally:
            connection.close()
