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
from collections import Counter
from pathlib import Path

from solders.keypair import Keypair

from tests.kill_matrix import cells
from tests.kill_matrix.cells import Cell
from tests.kill_matrix.market import Market
from tests.kill_matrix.processes import KillableServices

#: Wallets of a run, and of one of a few combinations.
WALLETS, FEWEST_WALLETS = 8, 3


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
    ):
        folder, socket = Path(name), Path(short) / "s"
        services, market = KillableServices(folder / "home", durable=True), Market(folder)
        services.start()
        try:
            market.start()
            os.environ.update(_desk(services.env, market, socket))
            return _run(drawn, market, services, folder, socket)
        finally:
            market.close()
            services.stop()


def _desk(env: dict[str, str], market: Market, socket: Path) -> dict[str, str]:
    return {
        **env,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SOLDESK_ENV": "test",
        "JUPITER_URL": market.control.jupiter_url,
        "JUPITER_PLAN": "sandbox",
        "DEXSCREENER_URL": market.control.dexscreener_url,
        "PYTH_URL": market.control.pyth_url,
        "SOLANA_RPC_URLS": ",".join(market.rpc_urls),
        "SOLANA_WS_URLS": ",".join(market.ws_urls),
        "SIGNER_SOCKET": str(socket),
    }


def _run(drawn: list[Cell], market: Market, services: KillableServices, folder: Path, socket: Path) -> int:
    import django

    django.setup()
    from tests.kill_matrix.world import World  # needs Django's settings, and those the services

    keys = [Keypair() for _ in range(WALLETS if len(drawn) > WALLETS else FEWEST_WALLETS)]
    world = World(market=market, services=services, keys=keys, folder=folder, socket=socket)
    began, failed, reached, ends = time.monotonic(), 0, 0, Counter[str]()
    left = list(drawn)
    try:
        world.start()
        while left:
            cell = _next(left, world)
            at = time.monotonic()
            try:
                world.try_out(cell)
            except Exception as failure:  # noqa: BLE001 - told, and the desk goes on with somebody else
                failed += 1
                print(f"FAILED {cell}\n{failure!r}\n{failure}\n{world.last_words()}", flush=True)
                world.start_over()
            else:
                reached += world.was_reached
                ends[f"{cell.purpose} {world.ended.rpartition(', ')[2]}"] += 1
                met = "" if world.was_reached else "[point not met] "
                print(f"ok {cell} ({time.monotonic() - at:.1f} s) {met}{world.ended}", flush=True)
    finally:
        world.close()
    seconds = time.monotonic() - began
    for end, times in sorted(ends.items()):
        print(f"{times:4} {end}")
    print(f"{len(drawn)} combinations in {seconds:.0f} s, {reached} with the kill at its point, {failed} failed")
    missed = len(drawn) - failed - reached
    if missed > max(2, len(drawn) // 10):
        print(f"{missed} were not killed at their point: that proves too little")
        return 1
    return 1 if failed else 0


def _next(left: list[Cell], world: object) -> Cell:
    """Take the next combination of the present route that needs nobody to buy or sell before."""
    route = left[0].route
    suiting = (cell for cell in left if cell.route == route and world.suits(cell))  # type: ignore[attr-defined]
    cell = next(suiting, left[0])
    left.remove(cell)
    return cell


if __name__ == "__main__":
    sys.exit(main())
