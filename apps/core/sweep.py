"""Sweeps: every second, look for due rows whose wake-up was lost. Threads of the worker that owns the queue.

They need no broker (they start before the worker's consumer and run while Redis is down) and no Beat. Apps register
theirs in `tasks.py`; the worker's own bootstep starts those of its queues. The database is the truth they read.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Celery, bootsteps
from django.db import DatabaseError, InterfaceError, connections

from apps.core import database_links

log = structlog.get_logger(__name__)

_JITTER_FRACTION = 0.1
_STOP_SECONDS = 2.0
_REPEAT_LOG_EVERY = 60

Pause = Callable[[threading.Event, float], None]


def sleep(wanted: threading.Event, seconds: float) -> None:
    """Wait until `wanted` is set or `seconds` are over."""
    wanted.wait(seconds)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to run each `interval_seconds` in workers that consume `queue`; `pause` is how it waits and never raises."""

    name: str
    queue: str
    interval_seconds: float
    run: Callable[[], Any]
    pause: Pause = sleep


_registered: dict[str, Sweep] = {}
_running: dict[str, _Runner] = {}


def register(name: str, *, queue: str, every: float, run: Callable[[], Any], pause: Pause = sleep) -> None:
    """Declare a sweep: `run` at the start of the worker that consumes `queue` and every `every` seconds after.

    `run` may run at the same time in several workers: what it takes must be leased. It may raise: the error is logged,
    its thread's database connections are closed, and the next round comes in time.
    """
    _registered[name] = Sweep(name=name, queue=queue, interval_seconds=every, run=run, pause=pause)


def nudge(name: str) -> None:
    """Let a sweep of this process run now; nothing happens where it does not run."""
    runner = _running.get(name)
    if runner is not None:
        runner.nudge()


def start(queues: Iterable[str]) -> list[str]:
    """Start the sweeps of these queues in this process and return their names; those already running stay."""
    wanted = set(queues)
    started = []
    for registered in _registered.values():
        if registered.queue in wanted and registered.name not in _running:
            _running[registered.name] = runner = _Runner(registered)
            runner.start()
            started.append(registered.name)
    return started


def stop(timeout_seconds: float = _STOP_SECONDS) -> None:
    """Stop every sweep of this process; one in the middle of its work may finish it within the time given."""
    runners = list(_running.values())
    _running.clear()
    for runner in runners:
        runner.request_stop()
    until = time.monotonic() + timeout_seconds
    for runner in runners:
        runner.join(max(0.0, until - time.monotonic()))


class _Runner(threading.Thread):
    def __init__(self, sweep: Sweep) -> None:
        super().__init__(name=f"sweep-{sweep.name}", daemon=True)
        self._sweep = sweep
        self._wanted = threading.Event()
        self._stopping = False
        self._failures = 0

    def nudge(self) -> None:
        self._wanted.set()

    def request_stop(self) -> None:
        self._stopping = True
        self._wanted.set()

    def run(self) -> None:
        structlog.contextvars.bind_contextvars(sweep=self._sweep.name)  # every line of this thread names it
        log.info("sweep_started", every_seconds=self._sweep.interval_seconds)
        due = time.monotonic()
        while not self._stopping:
            self._wanted.clear()
            self._round()
            # Fixed rate, without making up for rounds that a long one has swallowed, and never further off than one
            # interval however often a nudge came in between; the jitter keeps the sweeps of several workers from
            # meeting at the same rows each second.
            now = time.monotonic()
            due = min(max(due + self._sweep.interval_seconds, now), now + self._sweep.interval_seconds)
            spread = self._sweep.interval_seconds * _JITTER_FRACTION * random.random()  # noqa: S311
            if not self._stopping:
                self._sweep.pause(self._wanted, max(0.0, due - time.monotonic()) + spread)
        connections.close_all()

    def _round(self) -> None:
        try:
            database_links.drop_dead()
            self._sweep.run()
        except (DatabaseError, InterfaceError) as error:
            connections.close_all()
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - the outermost loop: a sweep must outlive whatever one round meets
            connections.close_all()
            self._failed(error, trace=True)
        else:
            if self._failures:
                log.info("sweep_recovered", failures=self._failures)
            self._failures = 0

    def _failed(self, error: BaseException, *, trace: bool = False) -> None:
        self._failures += 1
        if self._failures % _REPEAT_LOG_EVERY == 1:
            log.warning(
                "sweep_failed",
                error=type(error).__name__,
                failures=self._failures,
                exc_info=error if trace else None,
            )


class WorkerStep(bootsteps.StartStopStep):
    """Starts the sweeps of the worker's queues: after its pool has forked, before it looks for its broker."""

    requires = ("celery.worker.components:Pool",)
    label = "Sweeps"

    def start(self, worker: Any) -> None:
        start(queues_of(worker))

    def stop(self, worker: Any) -> None:
        stop()

    terminate = stop


def queues_of(worker: Any) -> set[str]:
    """Return the names of the queues a Celery worker consumes."""
    return set(worker.app.amqp.queues.consume_from)


def install(app: Celery) -> None:
    """Make every worker of `app` run the sweeps of its queues."""
    app.steps["worker"].add(WorkerStep)
