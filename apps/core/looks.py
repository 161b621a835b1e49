"""Looking something up with patience that ends, for answers that must not hang when what they ask does.

A look has a thread of its own, which keeps its database connection; askers wait for it together, and only for so long.
What it asks may hang for as long as it likes: later askers are told so at once.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connections

from apps.core import database_links

TIMED_OUT = "timeout"

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Glance(Generic[Found]):
    """What was found, or why not: `error` is "timeout" or the name of what was raised. `value` is then the last known.

    `age_seconds` is how long ago the value was found, None where there is none.
    """

    value: Found | None = None
    error: str = ""
    age_seconds: float | None = None


class Look(Generic[Found]):
    """One thing to look up; several threads may `get` it at once and share what is found."""

    def __init__(self, name: str, ask: Callable[[], Found], *, patience_seconds: float) -> None:
        self._name = name
        self._ask = ask
        self._patience = patience_seconds
        self._begin_anew()
        _looks.add(self)

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._looking = False
        self._stopping = False
        self._began_at = 0.0
        self._rounds = 0
        self._value: Found | None = None
        self._found_at: float | None = None
        self._error = ""

    def begin(self) -> None:
        """Look without waiting, so that several looks of one asker cost the longest patience, not their sum."""
        with self._changed:
            if not self._looking:
                self._start()

    def get(self) -> Glance[Found]:
        """Look, or join a look under way, and return what it found within the patience since it began."""
        with self._changed:
            if not self._looking:
                self._start()
            until, round_wanted = self._began_at + self._patience, self._rounds + 1
            self._changed.wait_for(lambda: self._rounds >= round_wanted, max(0.0, until - time.monotonic()))
            error = self._error if self._rounds >= round_wanted else TIMED_OUT
            age = None if self._found_at is None else time.monotonic() - self._found_at
            return Glance(self._value, error, age)

    def _start(self) -> None:
        self._looking, self._stopping = True, False
        self._began_at = time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"look-{self._name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._looking or self._stopping)
                if self._stopping:
                    break
            self._look()
        connections.close_all()

    def _look(self) -> None:
        value, error = None, ""
        try:
            database_links.drop_dead()
            value = self._ask()
        except Exception as failure:  # noqa: BLE001 - the outermost loop of this thread: the asker is told its name
            error = type(failure).__name__
            connections.close_all()
        with self._changed:
            if not error:
                self._value, self._found_at = value, time.monotonic()
            self._error = error
            self._rounds += 1
            self._looking = False
            self._changed.notify_all()

    def stop(self, seconds: float = 1.0) -> None:
        """End the thread and close its connection; the next `get` starts another."""
        with self._changed:
            thread, self._thread, self._stopping = self._thread, None, True
            self._changed.notify_all()
        if thread is not None:
            thread.join(seconds)


_looks: weakref.WeakSet[Look[Any]] = weakref.WeakSet()


def stop_all() -> None:
    """End every look's thread in this process."""
    for look in list(_looks):
        look.stop()


def _forget() -> None:
    """A forked child has no threads but its own."""
    for look in list(_looks):
        look._begin_anew()


os.register_at_fork(after_in_child=_forget)
