"""The HTTP API: requests per second, lists over large books, and what hanging requests cost the others.

Runs on services and a web server of the bench's own, started by the command that `make up` uses. Requests go over
loopback from this process, so that server and client share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from apps.agents.models import Agent
from apps.console.bench import api_books
from apps.console.bench.api_books import Books
from apps.console.bench.http_load import Load, Request, closed_loop, request
from apps.console.bench.report import Row
from apps.core import base58
from apps.trading.models import Position

Say = Callable[[str], None]

CLIENTS = 16
_START_SECONDS = 60.0
_API = "/api/v1"
_UNLIMITED = "1000000000"
_HANGING_EXPORTS = 12
_HANGING_CLOSES = 12
_TERMINATE_SECONDS = 10
_SETTLED_SECONDS = 5


def measure(*, parts: Sequence[str], transactions: int, closed_trades: int, seconds: float, say: Say) -> list[Row]:
    """Fill the empty database this runs on, start a web server on it and measure; one row per kind of request.

    Raises:
        CommandError: the database is somebody's.
    """
    if Agent.objects.exists():
        raise CommandError("This bench fills the database it runs on: it needs an empty one.")
    say(f"filling in {transactions} transactions and {closed_trades} closed trades")
    books = api_books.fill(transactions=transactions, closed_trades=closed_trades)
    with _silent_provider() as provider, _server(provider) as server:
        return [row for part in parts for row in PARTS[part](server, books, seconds, say)]


@contextmanager
def _silent_provider() -> Iterator[str]:
    """Give the address of a provider that takes calls and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _server(provider: str) -> Iterator[Server]:
    """Give a web server that limits nobody."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = os.environ | {
        "PORT": str(port),
        "SIGNALS_PER_MINUTE": _UNLIMITED,
        "REQUESTS_PER_MINUTE": "0",
        "JUPITER_URL": provider,
        "LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "config.web"], cwd=settings.BASE_DIR, env=environment)
    try:
        _wait_for(port, process)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


@dataclass(frozen=True, slots=True)
class Server:
    """The web server that is measured: its port and its first process."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes so far (Linux; elsewhere 0)."""
        ticks = sum(sum(map(int, stat[11:13])) for stat in _stats(self.pid))
        return ticks / os.sysconf("SC_CLK_TCK")


def _stats(pid: int) -> Iterator[list[str]]:
    """Yield what /proc says of a process and its children, from the field after the command's name on."""
    folder = Path(f"/proc/{pid}")
    if not folder.exists():
        return
    yield (folder / "stat").read_text().rpartition(")")[2].split()
    for child in (folder / "task" / str(pid) / "children").read_text().split():
        yield from _stats(int(child))


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            load = asyncio.run(
                closed_loop(port, lambda: request("GET", f"{_API}/health/live", {}), clients=1, seconds=0)
            )
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                raise CommandError("The web server did not start; its last words are above.") from None
            time.sleep(0.1)
            continue
        if load.statuses[200]:
            return


def _run(
    name: str,
    server: Server,
    make: Request,
    seconds: float,
    *,
    clients: int = CLIENTS,
    expected: int = 200,
) -> Row:
    """Load the server with one kind of request after a short warm-up; `cpu_ms` is what one costs all its processes."""
    asyncio.run(closed_loop(server.port, make, clients=clients, seconds=min(1.0, seconds / 4)))
    before = server.cpu_seconds()
    load: Load = asyncio.run(closed_loop(server.port, make, clients=clients, seconds=seconds))
    spent = server.cpu_seconds() - before
    figures = {
        "per_second": round(load.per_second),
        "cpu_ms": round(spent * 1000 / max(1, len(load.samples_ms)), 2),
        "at_once": clients,
    }
    return Row(name, load.samples_ms, load.failures(expected), figures)


def _bearer(books: Books) -> dict[str, str]:
    return {"Authorization": f"Bearer {books.access_token}"}


def _throughput(server: Server, books: Books, seconds: float, say: Say) -> Iterator[Row]:
    """Requests per second of the three kinds a desk gets most."""
    listing = request("GET", f"{_API}/agents", _bearer(books))
    health = request("GET", f"{_API}/health", {})
    for name, make, expected in (
        ("list agents", lambda: listing, 200),
        ("create signal", _new_signals(books), 201),
        ("health", lambda: health, 200),
    ):
        say(name)
        yield _run(name, server, make, seconds, expected=expected)


def _new_signals(books: Books) -> Request:
    """Return what makes a signal for another token each time, so that none is a duplicate; nobody trades them."""
    headers = {"X-API-Key": books.trader.keys[0]}

    def make() -> bytes:
        body = {"tokenAddress": base58.encode(random.randbytes(32)), "signalType": "Bench", "signalStrength": 3}  # noqa: S311
        return request("POST", f"{_API}/trading-signals", headers, json.dumps(body).encode())

    return make


def _reading(server: Server, books: Books, seconds: float, say: Say) -> Iterator[Row]:
    """Every list and figure over large books, one client after the other's answer."""
    agent, wallet = books.agent_id, books.wallet_address
    transactions, trades = f"/agent-transactions?agentId={agent}", f"/agent-historical-swaps?agentId={agent}"
    for name, path in (
        ("transactions", transactions),
        ("transactions, 1,000 of a wallet", f"{transactions}&walletAddress={wallet}&limit=1000"),
        ("transactions, page 100", f"{transactions}&offset=10000"),
        ("transactions, DCA buys", f"{transactions}&isDca=true"),
        ("transactions, one day", f"{transactions}&startTime=2026-01-01T00:00:00Z&endTime=2026-01-02T00:00:00Z"),
        ("closed trades", trades),
        ("closed trades, 1,000 of a wallet", f"{trades}&walletAddress={wallet}&limit=1000"),
        ("closed trades, a token's", f"{trades}&tokenSymbol=BT10"),
        ("closed trades, best", f"{trades}&minProfitLossUsd=100"),
        ("signals, 1,000", "/trading-signals?limit=1000"),
        ("positions", f"/agent-positions/{agent}"),
        ("balances", f"/agent-balances?agentId={agent}"),
        ("performance, all time", f"/agents/{agent}/performance"),
        ("performance, 24 h", f"/agents/{agent}/performance?timeframe=24h"),
        ("balance history, all time", f"/agents/{agent}/balance-history?walletAddress={wallet}"),
        ("balance history, 24 h", f"/agents/{agent}/balance-history?walletAddress={wallet}&timeframe=24h"),
    ):
        say(name)
        asked = request("GET", f"{_API}{path}", _bearer(books))
        yield _run(name, server, lambda asked=asked: asked, seconds / 2, clients=1)  # type: ignore[misc]


def _beside_hanging(server: Server, books: Books, seconds: float, say: Say) -> Iterator[Row]:
    """List agents while exports nobody reads and closes nobody quotes hang."""
    listing = request("GET", f"{_API}/agents", _bearer(books))
    yield _run("list agents, nothing hangs", server, lambda: listing, seconds, clients=4)
    say("exports and closes hang")
    exporting = request("GET", f"{_API}/agent-historical-swaps/export?agentId={books.agent_id}", _bearer(books))
    held = Position.objects.filter(agent_id=books.agent_id, closed_at=None).values_list("id", flat=True)
    closing = [
        request("POST", f"{_API}/agent-positions/{books.agent_id}/{position}/close", _bearer(books), b"{}")
        for position in held[:_HANGING_CLOSES]
    ]
    hanging = [_sent(server.port, exporting) for _ in range(_HANGING_EXPORTS)] + [
        _sent(server.port, each) for each in closing
    ]
    time.sleep(_SETTLED_SECONDS)  # until every export has filled what lies between it and its client
    yield _run(
        f"list agents, {_HANGING_EXPORTS} exports and {len(closing)} closes hang",
        server,
        lambda: listing,
        seconds,
        clients=4,
    )
    for connection in hanging:
        connection.close()


def _sent(port: int, asked: bytes) -> socket.socket:
    """Send a request and read nothing of its answer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(asked)
    return connection


PARTS = {"throughput": _throughput, "reading": _reading, "hanging": _beside_hanging}
