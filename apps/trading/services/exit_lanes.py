"""A lane of exits in one process: what arrives quoted is booked by few threads, which come and go with the work.

Sales and DCAs have lanes of their own, so that neither waits for the other's bookings.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sized
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

import structlog
from django.db import connections

from apps.core import database_links
from apps.trading.services.exit_outcomes import CHUNK

log = structlog.get_logger(__name__)

_LINGERS_SECONDS = 5.0

#: A quote that has not come after this long hangs: less than a tick, many times what a quote takes.
_HANGS_SECONDS = 0.8


class Lot(Protocol):
    """Exits of one token that wait for quotes."""

    @property
    def mint(self) -> str: ...

    @property
    def exits(self) -> Sized: ...


class QuotedLot(Sized, Protocol):
    """A lot with what came of its quotes; its length is the number of its exits."""

    @property
    def lot(self) -> Lot: ...


Arrived = TypeVar("Arrived", bound=QuotedLot)


class Lane(Generic[Arrived]):
    """How much is under way, and the threads that book. `book` takes quoted lots, and may raise."""

    def __init__(self, name: str, *, threads: int, book: Callable[[list[Arrived]], object]) -> None:
        self._name = name
        self._threads = threads
        self._book = book
        self._lock = threading.Condition()
        self._ready: SimpleQueue[Arrived | None] = SimpleQueue()
        self._in_flight = 0
        self._asked: dict[int, tuple[Lot, float]] = {}
        self._running = 0
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """How many exits are under way."""
        return self._in_flight

    def hanging(self) -> Counter[str]:
        """Return how many exits wait for quotes that hang, by token."""
        since = time.monotonic() - _HANGS_SECONDS
        counts: Counter[str] = Counter()
        with self._lock:
            for lot, asked_at in self._asked.values():
                if asked_at < since:
                    counts[lot.mint] += len(lot.exits)
        return counts

    def expect(self, lot: Lot) -> None:
        """Count the exits of a lot whose quotes are about to be asked for; it must arrive."""
        with self._lock:
            self._in_flight += len(lot.exits)
            self._asked[id(lot)] = lot, time.monotonic()
            self._stopping = False

    def put(self, quoted: Arrived) -> None:
        """Hand over what has arrived, from any thread, and see that somebody books."""
        self._ready.put(quoted)
        with self._lock:
            self._asked.pop(id(quoted.lot), None)
            if self._running < self._threads:
                self._running += 1
                threading.Thread(target=self._book_until_idle, name=self._name, daemon=True).start()

    def stop(self, timeout_seconds: float) -> None:
        """Wait for what is under way, then end the threads."""
        with self._lock:
            self._lock.wait_for(lambda: self._in_flight == 0, timeout_seconds)
            self._stopping = True
            for _ in range(self._running):
                self._ready.put(None)
            self._lock.wait_for(lambda: self._running == 0, timeout_seconds)

    def _book_until_idle(self) -> None:
        while True:
            arrived = take(self._ready, _LINGERS_SECONDS)
            if arrived:
                self._book_guarded(arrived)
                continue
            connections.close_all()
            with self._lock:
                if self._stopping or self._ready.empty():
                    self._running -= 1
                    self._lock.notify_all()
                    return

    def _book_guarded(self, arrived: list[Arrived]) -> None:
        try:
            database_links.drop_dead()
            self._book(arrived)
        except Exception as error:
            log.error("exits_left_to_their_lease", exc_info=error)
            connections.close_all()
        finally:
            with self._lock:
                self._in_flight -= sum(map(len, arrived))
                self._lock.notify_all()


def take(ready: SimpleQueue[Arrived | None], seconds: float) -> list[Arrived]:
    """Wait for a quoted lot, then take along what has arrived meanwhile, up to about a chunk of exits.

    None in the queue ends the wait early.
    """
    taken: list[Arrived] = []
    try:
        arrived = ready.get(timeout=seconds)
        while arrived is not None:
            taken.append(arrived)
            if sum(map(len, taken)) >= CHUNK:
                break
            arrived = ready.get_nowait()
    except Empty:
        pass
    return taken


def take_all(
    ready: SimpleQueue[Arrived | None], lots: int, *, within_seconds: float, book: Callable[[list[Arrived]], None]
) -> None:
    """Book `lots` quoted lots in the caller's thread as they arrive; stop waiting when the time is over."""
    until = time.monotonic() + within_seconds
    while lots:
        arrived = take(ready, max(0.0, until - time.monotonic()))
        if not arrived:
            return
        lots -= len(arrived)
        book(arrived)
