"""`make kill-matrix`: run drawn combinations one after the other on a desk of its own, and check everything after each.

Prints the seed first; the same seed and number of cells draw the same combinations. Exit code 1 if a check failed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from solders.keypair import Keypair

from tests.chain_market import ChainMarket, running_chain_market
from tests.kill_matrix import cells
from tests.kill_matrix.cells import Cell
from tests.kill_matrix.processes import KillableServices

WALLETS = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="make kill-matrix", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="repeat a run")
    parser.add_argument("--cells", type=int, default=300, help="combinations to try")
    parser.add_argument("--only", default="", help="only combinations whose description contains this")
    options = parser.parse_args()
    drawn = [cell for cell in cells.draw(options.seed, options.cells) if options.only in str(cell)]
    print(f"seed {options.seed}: {len(drawn)} of {len(cells.every())} combinations", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="soldesk-matrix-") as name,
        tempfile.TemporaryDirectory(prefix="sdm-") as short,  # a socket's path may not be long
        running_chain_market() as market,
    ):
        folder = Path(name)
        services = KillableServices(folder / "home", durable=True)
        services.start()
        try:
            keys = [Keypair() for _ in range(WALLETS)]
            socket = Path(short) / "s"
            os.environ.update(_desk(services.env, market, socket))
            return _run(drawn, market, services, keys, folder, socket)
        finally:
            services.stop()


def _desk(env: dict[str, str], market: ChainMarket, socket: Path) -> dict[str, str]:
    return {
        **env,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SOLDESK_ENV": "test",
        "JUPITER_URL": market.control.jupiter_url,
        "JUPITER_PLAN": "sandbox",
        "DEXSCREENER_URL": market.control.dexscreener_url,
        "PYTH_URL": market.control.pyth_url,
        "SOLANA_RPC_URLS": ",".join(market.rpc_urls),
        # No sockets: a sandbox in this process cannot die while somebody who is stopped holds one open.
        "SOLANA_WS_URLS": ",".join(["ws://127.0.0.1:9"] * len(market.ws_urls)),
        "SIGNER_SOCKET": str(socket),
    }


def _run(
    drawn: list[Cell],
    market: ChainMarket,
    services: KillableServices,
    keys: list[Keypair],
    folder: Path,
    socket: Path,
) -> int:
    import django

    django.setup()
    from tests.kill_matrix.world import World  # needs Django's settings, and those the services

    world = World(market=market, services=services, keys=keys, folder=folder, socket=socket)
    began, failed, reached = time.monotonic(), 0, 0
    try:
        world.start()
        for cell in drawn:
            at = time.monotonic()
            try:
                world.try_out(cell)
            except AssertionError as failure:
                failed += 1
                print(f"FAILED {cell}\n{failure}\n{world.last_words()}", flush=True)
                world.start_over()
            else:
                reached += world.was_reached
                met = "" if world.was_reached else "[point not met] "
                print(f"ok {cell} ({time.monotonic() - at:.1f} s) {met}{world.ended}", flush=True)
    finally:
        world.close()
    seconds = time.monotonic() - began
    print(f"{len(drawn)} combinations in {seconds:.0f} s, {reached} with the kill at its point, {failed} failed")
    if reached * 2 < len(drawn) > 1:
        print("fewer than half were killed at their point: that proves nothing")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
