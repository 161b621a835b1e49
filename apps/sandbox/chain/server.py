"""The chain on its ports: two nodes over one ledger, each with JSON-RPC over HTTP and its WebSocket one port above.

Solana's tools look for a node's WebSocket there; the second node is two ports above the first. Both ports of a node
take both. `Chain.run` drives the slots; `python -m apps.sandbox.chain` runs the chain alone.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from apps.sandbox.chain.faults import NodeFaultBook
from apps.sandbox.chain.journal import Journal, resume
from apps.sandbox.chain.ledger import Ledger
from apps.sandbox.chain.nodes import Node

NODES = ("node_1", "node_2")
#: Ports of one node: its JSON-RPC and its WebSocket.
PORTS_OF_A_NODE = 2
#: Of all of them, one after another.
PORTS = PORTS_OF_A_NODE * len(NODES)
_SHUTDOWN_SECONDS = 0.2
_ATTEMPTS = 5
#: Below what kernels hand out to outgoing connections.
_FREE_PORTS = range(21_000, 31_990)


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """How one chain is run; without a journal it ends with its process. `slot_seconds` is its pace.

    Port 0 takes free ones.
    """

    host: str = "127.0.0.1"
    port: int = 8899
    seed: int = 7
    slot_seconds: float = 0.4
    journal: Path | None = None


class Chain:
    """A chain with its nodes. Everything that changes it runs on one event loop."""

    def __init__(self, options: ChainOptions, fault_numbers: Iterator[int] | None = None) -> None:
        now = time.time()
        self.options = options
        self.port = options.port
        self.slot_seconds = options.slot_seconds
        self._journal = None if options.journal is None else Journal(options.journal)
        self.ledger = (
            Ledger(seed=options.seed, now=now)
            if options.journal is None
            else resume(options.journal, seed=options.seed, now=now)
        )
        if self._journal is not None:
            self._journal.follow(self.ledger)
        self._due: list[tuple[int, Callable[[], None]]] = []
        self._paced = asyncio.Event()
        self.faults = NodeFaultBook(options.seed, NODES, fault_numbers)
        self.nodes = tuple(Node(name, self.ledger, self.faults, self.later) for name in NODES)

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """Where the nodes listen, once they do."""
        return tuple(f"http://{self.options.host}:{self.port + PORTS_OF_A_NODE * index}" for index in range(len(NODES)))

    @property
    def ws_urls(self) -> tuple[str, ...]:
        """Where their WebSockets are, one port above each."""
        return tuple(
            f"ws://{self.options.host}:{self.port + PORTS_OF_A_NODE * index + 1}" for index in range(len(NODES))
        )

    def tick(self) -> None:
        """Make a slot."""
        self.ledger.tick(time.time())
        if self._journal is not None:
            self._journal.note_slot()
        due = [work for slot, work in self._due if slot <= self.ledger.slot]
        self._due = [each for each in self._due if each[0] > self.ledger.slot]
        for work in due:
            work()
        for node in self.nodes:
            node.subscriptions.slot_made()

    def later(self, slots: int, work: Callable[[], None]) -> None:
        """Do something when so many slots have passed; it is lost with the process, as what a node has in hand is."""
        self._due.append((self.ledger.slot + slots, work))

    async def run(self) -> None:
        """Make slots at the chain's pace until cancelled."""
        while True:
            self._paced.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._paced.wait(), self.slot_seconds)
                continue
            self.tick()

    def pace(self, slot_seconds: float) -> None:
        """Go on with slots of this length, from now."""
        self.slot_seconds = slot_seconds
        self._paced.set()

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()


@asynccontextmanager
async def serving(chain: Chain, *, patience_seconds: float = _SHUTDOWN_SECONDS) -> AsyncIterator[int]:
    """Serve a chain's nodes on their ports, slots included; gives the first port.

    At the end open answers get `patience_seconds`.

    Raises:
        OSError: a port is taken.
    """
    runners = [web.AppRunner(node.app(), access_log=None, shutdown_timeout=patience_seconds) for node in chain.nodes]
    ticking = asyncio.create_task(chain.run())
    try:
        for runner in runners:
            await runner.setup()
        await _listen(chain, runners)
        yield chain.port
    finally:
        ticking.cancel()
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        chain.close()


async def _listen(chain: Chain, runners: Sequence[web.AppRunner]) -> None:
    """Listen on the chain's ports; free ones that somebody else took in between are chosen again."""
    host, wished = chain.options.host, chain.options.port
    for attempts_left in reversed(range(_ATTEMPTS)):
        chain.port = wished or free_ports(host)
        try:
            for index, runner in enumerate(runners):
                for port in range(chain.port + PORTS_OF_A_NODE * index, chain.port + PORTS_OF_A_NODE * (index + 1)):
                    await web.TCPSite(runner, host, port).start()
        except OSError:
            if wished or not attempts_left:
                raise
            for runner in runners:
                for site in list(runner.sites):
                    await site.stop()
        else:
            return


def free_ports(host: str) -> int:
    """Return the first of as many free ports, one after another, as a chain needs.

    Raises:
        OSError: none were found.
    """
    for _ in range(200):
        first = random.choice(_FREE_PORTS)  # noqa: S311 - which ports is no secret
        if all(_is_free(host, first + offset) for offset in range(PORTS)):
            return first
    raise OSError(f"no {PORTS} free ports one after another on {host}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
