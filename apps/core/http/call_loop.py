"""One event loop on a thread of this process, for callers without one that want many provider calls at once.

Connections stay open between calls because the loop does. Safe for forks: a child starts its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

Result = TypeVar("Result")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = uvloop.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="provider-calls", daemon=True).start()
        return _loop


def submit(call: Coroutine[Any, Any, Result]) -> Future[Result]:
    """Start `call` on the process's call loop and return at once; callbacks of the future run in the loop's thread."""
    return asyncio.run_coroutine_threadsafe(call, _running_loop())


def run(call: Coroutine[Any, Any, Result], *, timeout_seconds: float | None = None) -> Result:
    """Run `call` on the process's call loop and return its result.

    Raises:
        TimeoutError: after `timeout_seconds`; the call is cancelled. Whatever the call raises.
        RuntimeError: in an event loop, which this would block: await the call there.
    """
    if _in_event_loop():
        call.close()
        raise RuntimeError("call_loop.run would block the event loop that is running: await the call instead")
    future = submit(call)
    try:
        return future.result(timeout_seconds)
    except TimeoutError:
        future.cancel()
        raise


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _forget() -> None:
    global _loop, _lock
    _loop = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
