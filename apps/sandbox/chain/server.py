"""The chain on its two ports: JSON-RPC over HTTP, and the WebSocket one above it, where Solana's tools look for it.

Both ports take both. `run` drives the slots; `python -m apps.sandbox.chain` runs the chain alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from aiohttp import web

from apps.sandbox.chain.journal import Journal, resume
from apps.sandbox.chain.ledger import Ledger
from apps.sandbox.chain.rpc import INVALID_REQUEST, Rpc
from apps.sandbox.chain.subscriptions import Subscriptions

LONGEST_BODY_BYTES = 1024 * 1024
_SHUTDOWN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """How one chain is run; without a journal it ends with its process. `slot_seconds` is its pace."""

    host: str = "127.0.0.1"
    port: int = 8899
    seed: int = 7
    slot_seconds: float = 0.4
    journal: Path | None = None


class Chain:
    """A chain with its doors."""

    def __init__(self, options: ChainOptions) -> None:
        now = time.time()
        self.options = options
        self.slot_seconds = options.slot_seconds
        self._journal = None if options.journal is None else Journal(options.journal)
        self.ledger = (
            Ledger(seed=options.seed, now=now)
            if options.journal is None
            else resume(options.journal, seed=options.seed, now=now)
        )
        if self._journal is not None:
            self._journal.follow(self.ledger)
        self._rpc = Rpc(self.ledger)
        self._subscriptions = Subscriptions(self.ledger)

    def tick(self) -> None:
        """Make a slot."""
        self.ledger.tick(time.time())
        if self._journal is not None:
            self._journal.note_slot()
        self._subscriptions.slot_made()

    async def run(self) -> None:
        """Make slots at the chain's pace until cancelled."""
        while True:
            await asyncio.sleep(self.slot_seconds)
            self.tick()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LONGEST_BODY_BYTES)
        app.add_routes([web.post("/", self._post), web.get("/", self._get)])
        return app

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    async def _post(self, request: web.Request) -> web.Response:
        try:
            asked = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            error = {"code": -32700, "message": "Parse error"}
            return _json({"jsonrpc": "2.0", "error": error, "id": None})
        return _json(self._rpc.answer(asked))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._subscriptions.serve(request)
        return _json({"jsonrpc": "2.0", "error": {"code": INVALID_REQUEST, "message": "POST a request"}, "id": None})


@asynccontextmanager
async def serving(chain: Chain) -> AsyncIterator[int]:
    """Serve a chain on its port and the next one, slots included; gives the first port.

    Raises:
        OSError: a port is taken.
    """
    runner = web.AppRunner(chain.app(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    ticking = asyncio.create_task(chain.run())
    try:
        for port in (chain.options.port, chain.options.port + 1):
            await web.TCPSite(runner, chain.options.host, port).start()
        yield chain.options.port
    finally:
        ticking.cancel()
        await runner.cleanup()
        chain.close()


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json", charset="utf-8")
