"""Telling endpoints: what is due is leased, all of it sent at once from one event loop, and what came of it recorded.

A lease outlives an attempt: whoever dies in between loses nothing, the delivery is due again when its lease ends (at
least once, never lost). `claims` says what may be sent now, `outcomes` what an answer means.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue

import structlog
from django.db import DatabaseError, InterfaceError

from apps.accounts import sealing
from apps.core import sweep
from apps.core.http import Posted, call_loop
from apps.notify import metrics
from apps.notify.adapters import outgoing
from apps.notify.domain import signing
from apps.notify.services import claims, outcomes, signing_secrets
from apps.notify.services.claims import Parcel
from apps.notify.services.outcomes import Outcome

log = structlog.get_logger(__name__)

SWEEP = "webhook deliveries"
SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - an error code
BROKEN = "broken"
_RECORDED_AT_ONCE = 200
#: Endpoints that fail have many rows that wait for others; between two looks at them, answers come for the rest.
_FAILING_EVERY_SECONDS = 1.0
_LOOK_ROUND_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Sent:
    parcel: Parcel
    posted: Posted
    at: datetime


class Courier:
    """What one process sends: started by `start_due`, recorded by the next call after each answer came."""

    def __init__(self) -> None:
        self._answers: SimpleQueue[_Sent] = SimpleQueue()
        self._unrecorded: list[_Sent] = []
        self._in_flight = 0
        self._one_at_a_time = threading.Lock()
        self._next_look_round = 0.0
        self._next_look_at_failing = 0.0

    @property
    def in_flight(self) -> int:
        """How many attempts are under way or not recorded yet."""
        return self._in_flight

    def start_due(self) -> int:
        """Record what was answered, start sending what is due; return how many attempts it started. Waits for none."""
        with self._one_at_a_time:
            self._record()
            self._look_round()
            failing = time.monotonic() >= self._next_look_at_failing
            if failing:
                self._next_look_at_failing = time.monotonic() + _FAILING_EVERY_SECONDS
            parcels = claims.claim_due(room=outgoing.MOST_AT_ONCE - self._in_flight, failing=failing)
            for parcel in parcels:
                self._start(parcel)
            return len(parcels)

    def finish(self, timeout_seconds: float) -> None:
        """Let what is under way end and record it; what is cut off waits for its lease."""
        until = time.monotonic() + timeout_seconds
        while self._in_flight and time.monotonic() < until:
            with self._one_at_a_time:
                self._record(wait_seconds=0.05)

    def _start(self, parcel: Parcel) -> None:
        self._in_flight += 1
        at, body = datetime.now(UTC), parcel.body.encode()
        try:
            headers = signing.headers(
                signing_secrets.of_parcel(parcel, now=at),
                event_id=parcel.event_id,
                timestamp=int(at.timestamp()),
                body=body,
            )
        except sealing.Unreadable:
            self._answers.put(_Sent(parcel, Posted(None, SECRET_UNREADABLE, "", 0.0), at))
            return
        future = call_loop.submit(outgoing.post(parcel.url, body=body, headers=headers))
        future.add_done_callback(partial(self._answered, parcel, at))

    def _answered(self, parcel: Parcel, at: datetime, future: Future[Posted]) -> None:
        """Runs in the loop's thread: keep the answer, and let the sweep record it now."""
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            log.error("webhook_attempt_broke", delivery=parcel.delivery_id, error=repr(error))
            posted = Posted(None, BROKEN, "", 0.0)
        else:
            posted = future.result()
        self._answers.put(_Sent(parcel, posted, at))
        sweep.nudge(SWEEP)

    def _record(self, *, wait_seconds: float = 0.0) -> None:
        """Write down what was answered; what the database does not take now is kept for the next time."""
        while len(self._unrecorded) < _RECORDED_AT_ONCE:
            try:
                self._unrecorded.append(
                    self._answers.get(timeout=wait_seconds) if wait_seconds else self._answers.get_nowait()
                )
            except Empty:
                break
            wait_seconds = 0.0
        if not self._unrecorded:
            return
        results = [Outcome(sent.parcel, sent.posted, sent.at) for sent in self._unrecorded]
        try:
            outcomes.record(results)
        except (DatabaseError, InterfaceError) as error:
            log.warning("webhook_answers_not_stored", error=type(error).__name__, answers=len(results))
            raise
        self._unrecorded.clear()
        self._in_flight -= len(results)
        if not self._answers.empty():
            sweep.nudge(SWEEP)

    def _look_round(self) -> None:
        """Give up what has waited too long, and tell the metrics how old the oldest due delivery is."""
        if time.monotonic() < self._next_look_round:
            return
        self._next_look_round = time.monotonic() + _LOOK_ROUND_EVERY_SECONDS
        outcomes.give_up_stale()
        outcomes.switch_off_behind()
        metrics.show_waiting(*claims.waiting())


courier = Courier()


def start_due() -> int:
    """Do one round of this process's courier; see `Courier.start_due`."""
    return courier.start_due()


def stop(timeout_seconds: float) -> None:
    """Wait for what is under way in this process."""
    courier.finish(timeout_seconds)


def _forget() -> None:
    """A forked child sends nothing of its parent's."""
    global courier
    courier = Courier()


os.register_at_fork(after_in_child=_forget)
