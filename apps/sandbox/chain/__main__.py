"""`python -m apps.sandbox.chain`: the chain by itself, its nodes on SANDBOX_RPC_PORT (8899) and two above."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from apps.sandbox.chain.server import Chain, ChainOptions, serving


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    journal = os.environ.get("SANDBOX_CHAIN_JOURNAL")
    usual = ChainOptions()
    options = ChainOptions(
        port=int(os.environ.get("SANDBOX_RPC_PORT") or usual.port),
        slot_seconds=float(os.environ.get("SANDBOX_SLOT_SECONDS") or usual.slot_seconds),
        journal=Path(journal) if journal else None,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    chain = Chain(options)
    async with serving(chain) as port:
        print(f"sandbox_chain_ready rpc={','.join(chain.rpc_urls)} websocket={port + 1}", flush=True)  # noqa: T201
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main())
