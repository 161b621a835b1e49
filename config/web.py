"""The web server: `python -m config.web` serves `config.asgi` with uvicorn on PORT, in WEB_PROCESSES processes.

Listens on 127.0.0.1 unless WEB_HOST says otherwise. With several processes the first one only keeps the others alive.
SIGTERM ends it within seconds, open sockets or not.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from typing import NoReturn

import structlog
import uvicorn

from config import memory
from config.env import env
from config.feed_socket import FeedSocket, allow_many_sockets
from config.web_processes import CANNOT_SERVE, WebProcesses

log = structlog.get_logger("config.web")

GRACE_SECONDS = 3
BACKLOG = 2048


def _listen(*, shared: bool) -> socket.socket:
    """Return a listening socket; `shared` ones may be several, among which the kernel spreads connections.

    Raises:
        SystemExit: with a sentence, when the port is not to be had.
    """
    family = socket.AF_INET6 if ":" in env.web_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((env.web_host, env.port))
        listener.listen(BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(f"Port {env.port} is in use: stop what listens there, or set PORT.") from None
        raise SystemExit(f"Cannot listen on {env.web_host} port {env.port}: {error.strerror}.") from None
    return listener


class _Server(uvicorn.Server):
    """Tells when it serves, and says goodbye to WebSockets before uvicorn counts the seconds."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            memory.settle()
            log.info("web_listening", host=env.web_host, port=env.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        from apps.console.consumers import stop_feed  # importable once `config.asgi` has set up Django

        for listener in sockets or []:
            listener.close()
        await stop_feed()
        await super().shutdown(sockets)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop uvicorn's complaint about an upgrade that was refused with a status, which is how it is refused."""
    return "without completing handshake" not in record.getMessage()


def main() -> int:
    """Serve until told to stop; return the exit code."""
    if env.web_processes == 1 or not hasattr(socket, "SO_REUSEPORT"):
        serve(_listen(shared=False))
    _listen(shared=False).close()  # a port that another desk shares among its own processes would let us in
    listeners = [_listen(shared=True) for _ in range(env.web_processes)]
    return WebProcesses(listeners, serve).run()


def serve(listener: socket.socket) -> NoReturn:
    """Serve on one socket and end this process."""
    allow_many_sockets()
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = _Server(
        uvicorn.Config(
            "config.asgi:application",
            loop="uvloop",
            http="httptools",
            ws=FeedSocket,
            ws_max_size=env.feed_message_bytes,
            ws_ping_interval=None,  # the feed has its own, which clients of the dialect answer
            ws_per_message_deflate=False,
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",  # below it, uvicorn logs query strings, and with them tokens
            proxy_headers=env.trust_proxy,
            forwarded_allow_ips="*" if env.trust_proxy else None,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises the signal again once it has stopped in order
    with contextlib.suppress(SystemExit):
        server.run(sockets=[listener])
    code = 0 if server.started else CANNOT_SERVE
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # threads that still wait on the outside, or on a client that reads nothing, are not waited for


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
