"""The outside world of live trading in one thread: market, chain and both its nodes, with slots of a few hundredths.

`running_chain_market()` gives a `ChainMarket`: where everything listens, what goes wrong (`faults`), an airdrop, and a
kill that the journal outlives. Nothing here needs a database. Whatever changes the market or the chain from a test goes
through `call`, which does it on the thread the sandbox lives on.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from solders.pubkey import Pubkey
from solders.signature import Signature

from apps.sandbox import server, state_file
from apps.sandbox.chain.faults import NodeFault, NodeFaultBook, NodeFaultKind
from apps.sandbox.chain.ledger import Landed, Ledger
from apps.sandbox.chain.server import NODES, PORTS, free_ports, serving
from apps.sandbox.http.runtime import Runtime
from apps.sandbox.options import Options
from tests.sandbox_server import SandboxControl

HOST = "127.0.0.1"
SLOT_SECONDS = 0.02
SOL = 10**9
#: Waiting longer costs only who waits in vain.
WAIT_SECONDS = 60.0
Result = TypeVar("Result")


class ChainMarket:
    """A sandbox of one's own in this process. Addresses stay the same over `kill` and `resume`."""

    def __init__(self, folder: Path, *, slot_seconds: float = SLOT_SECONDS, seed: int = 7, tokens: int = 2) -> None:
        rpc_port = port = free_ports(HOST)
        while rpc_port <= port < rpc_port + PORTS:
            port = free_ports(HOST)
        self._options = Options(
            host=HOST,
            port=port,
            seed=seed,
            tokens=tokens,
            tick_ms=60_000,
            autonomous=False,
            signals=False,
            state_file=folder / "market.json",
            rpc_port=rpc_port,
            slot_seconds=slot_seconds,
            chain_journal=folder / "chain.journal",
        )
        self.rpc_urls = tuple(f"http://{HOST}:{rpc_port + 2 * index}" for index in range(len(NODES)))
        self.ws_urls = tuple(f"ws://{HOST}:{rpc_port + 2 * index + 1}" for index in range(len(NODES)))
        self.base_url = f"http://{HOST}:{self._options.port}"
        #: Tokens, prices, faults of the providers, as in tests with the sandbox as a process.
        self.control = SandboxControl(self.base_url)
        self._thread: threading.Thread | None = None

    # -- what there is

    @property
    def runtime(self) -> Runtime:
        """The running sandbox; another one after each start."""
        return self._runtime

    @property
    def ledger(self) -> Ledger:
        return self._runtime.chain.ledger

    @property
    def faults(self) -> NodeFaultBook:
        """The faults of the nodes, "node_1" and "node_2"; they end with a kill."""
        return self._runtime.chain.faults

    def fault(self, kind: NodeFaultKind | str, *nodes: str, **options: object) -> list[NodeFault]:
        """Switch a fault on at these nodes, or at both; options as `NodeFaultBook.add`."""
        return [self.faults.add(node, NodeFaultKind(kind), **options) for node in nodes or NODES]  # type: ignore[arg-type]

    def calm(self) -> None:
        """Switch every fault off, and go on at the first pace."""
        self.pace(self._options.slot_seconds)
        self.faults.clear()
        self.runtime.faults.clear()

    # -- what a test does

    def call(self, work: Callable[[], Result]) -> Result:
        """Do something where the sandbox lives, between two of its steps, and return what it returns."""

        async def there() -> Result:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(WAIT_SECONDS)

    def airdrop(self, to: Pubkey, lamports: int = 10 * SOL) -> Signature:
        """Give somebody lamports; they are confirmed when this returns."""
        signature = self.call(lambda: self.ledger.airdrop(to, lamports))
        self.wait_for(signature)
        return signature

    def balance(self, key: Pubkey, commitment: str = "confirmed") -> int:
        """Return an account's lamports."""
        account = self.call(lambda: self.ledger.account(key, commitment))
        return 0 if account is None else account.lamports

    def wait_for(self, signature: Signature, commitment: str = "confirmed") -> Landed:
        """Wait until a transaction has reached a commitment, and return it."""

        def reached() -> Landed | None:
            landed = self.ledger.landed.get(signature)
            return landed if landed is not None and landed.slot <= self.ledger.slot_of(commitment) else None

        return self.until(lambda: self.call(reached), f"{signature} to be {commitment}")

    def until(self, found: Callable[[], Result | None], what: str) -> Result:
        """Ask again and again until there is an answer."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (result := found()) is None:
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(self._options.slot_seconds / 2)
        return result

    def pass_slots(self, count: int) -> None:
        """Let so many slots pass at once; 160 of them let every blockhash of before expire."""

        def ticks() -> None:
            for _ in range(count):
                self.runtime.chain.tick()

        self.call(ticks)

    def pace(self, slot_seconds: float) -> None:
        """Go on with slots of this length, until the next start or `calm`; 60 makes time stand still for a test."""
        self.call(lambda: self.runtime.chain.pace(slot_seconds))

    def roll_back(self, signature: Signature) -> list[Landed]:
        """Let a fork take back what is not finalized yet, from this transaction on."""
        return self.call(lambda: self.ledger.roll_back(signature))

    # -- coming and going

    def start(self) -> None:
        """Start, going on where a former run was."""
        started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(started,), name="chain-market", daemon=True)
        self._thread.start()
        started.wait(WAIT_SECONDS)
        if self._failure is not None:
            self._thread.join(WAIT_SECONDS)
            self._thread = None
            raise self._failure

    def stop(self) -> None:
        """Stop as a process does that is told to."""
        if self._thread is None:
            return
        self.save()
        self.kill()

    def save(self) -> None:
        """Keep the market as it is; the chain has a journal, the market a file that is written now and then."""
        self.call(lambda: state_file.try_to_save(self._state_file, self.runtime.market))

    def kill(self) -> None:
        """End as a process does that is killed: nothing is said or saved, connections break off."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()
        self._thread = None

    def restart(self, *, after_seconds: float = 0.0) -> None:
        """Kill it and let it go on from its journal, with the market's tokens and prices of just before."""
        self.save()
        self.kill()
        time.sleep(after_seconds)
        self.start()

    def close(self) -> None:
        self.kill()
        self.control.close()

    @property
    def _state_file(self) -> Path:
        assert self._options.state_file is not None
        return self._options.state_file

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as failure:  # noqa: BLE001 - handed to the test's thread
            self._failure = failure
        finally:
            started.set()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._runtime = server.make_runtime(replace(self._options))
        runner = web.AppRunner(server.make_app(self._runtime), access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, HOST, self._options.port).start()
        work = [asyncio.create_task(self._runtime.engine.run())]
        try:
            async with serving(self._runtime.chain, patience_seconds=0):
                started.set()
                await self._end.wait()
        finally:
            for task in work:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await runner.cleanup()


def _started(folder: Path, **options: Any) -> ChainMarket:
    """Return a running market; a port that another run of tests took in between is chosen again."""
    for _ in range(4):
        market = ChainMarket(folder, **options)
        with suppress(OSError):
            market.start()
            return market
    market = ChainMarket(folder, **options)
    market.start()
    return market


@contextmanager
def running_chain_market(
    *, slot_seconds: float = SLOT_SECONDS, seed: int = 7, tokens: int = 2
) -> Iterator[ChainMarket]:
    """Run a market with a chain for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="chain-market-") as folder:
        market = _started(Path(folder), slot_seconds=slot_seconds, seed=seed, tokens=tokens)
        try:
            yield market
        finally:
            market.close()


@pytest.fixture(scope="module")
def shared_chain_market() -> Iterator[ChainMarket]:
    with running_chain_market() as market:
        yield market


@pytest.fixture
def chain_market(shared_chain_market: ChainMarket) -> Iterator[ChainMarket]:
    """A market with its chain, one for a file of tests, without faults at the beginning of each."""
    shared_chain_market.calm()
    yield shared_chain_market
    shared_chain_market.calm()
