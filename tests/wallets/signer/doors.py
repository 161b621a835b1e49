"""A signer behind its real door, in a thread of the test: for what asks through the socket."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.wallets.signer import keyring
from apps.wallets.signer.server import Door
from tests.wallets.signer.world import World


@contextmanager
def open_door(world: World | None = None, variables: dict[str, str] | None = None) -> Iterator[Path]:
    """Serve a world's signer, or one of a fresh world; yields the socket's path."""
    with tempfile.TemporaryDirectory(prefix="signer-") as folder:
        serving = World(Path(folder)) if world is None else world
        if variables is not None:
            serving.signer.keys = keyring.Keyring(Path(folder) / "own")
            serving.signer.keys.open(variables)
        path = Path(folder) / "door" / "s"
        started, loop = threading.Event(), asyncio.new_event_loop()
        end = asyncio.Event()

        async def serve() -> None:
            door = Door(serving.signer, path)
            await door.start()
            started.set()
            await end.wait()
            await door.close()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        assert started.wait(60)
        try:
            yield path
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join(60)
            loop.close()
            if world is None:
                serving.caps.close()
