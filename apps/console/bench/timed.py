"""`python -m apps.console.bench.timed FILE COMMAND`: run a process of the desk and note its calls to the outside.

One line per call: its beginning and end by this machine's clock, "call" or "wait" (for a slot: until a node shows a
signature), and the order it was for, as far as the process knows. What is left of an order's time is the desk's own.
"""

from __future__ import annotations

import functools
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx
import structlog

_NOBODY = "-"


class Notes:
    """A file of calls; a line is written with one system call, so that a killed process leaves whole lines."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def noting(self, kind: str) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            order = structlog.contextvars.get_contextvars().get("order_id", _NOBODY)
            os.write(self._file, f"{began:.6f} {time.time():.6f} {kind} {order}\n".encode())

    def around(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a coroutine function that notes how long `function` took."""

        @functools.wraps(function)
        async def noted(*args: Any, **keywords: Any) -> Any:
            with self.noting(kind):
                return await function(*args, **keywords)

        return noted


def note_calls(notes: Notes) -> None:
    """Have every HTTP call of this process noted, whoever makes it."""
    aiohttp.ClientSession._request = notes.around("call", aiohttp.ClientSession._request)  # type: ignore[method-assign]
    send = httpx.Client.send

    def noted(*args: Any, **keywords: Any) -> httpx.Response:
        with notes.noting("call"):
            return send(*args, **keywords)

    httpx.Client.send = noted  # type: ignore[method-assign]


def note_waiting(notes: Notes) -> None:
    """Have noted how long orders wait for the chain."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from apps.chain.pool import NodePool  # reads the settings, which the signer must not

    NodePool.wait_for_signature = notes.around("wait", NodePool.wait_for_signature)  # type: ignore[method-assign]


def main() -> None:
    notes = Notes(sys.argv[1])
    del sys.argv[:2]
    note_calls(notes)
    if sys.argv[-1] == "run_orders":
        note_waiting(notes)
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
