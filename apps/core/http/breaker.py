"""The circuit breaker: after failures in a row, nothing is sent for a while, then one probe decides.

One breaker per provider and operation. It never touches the network: `clock` is passed in, and what other processes
learnt arrives through `adopt`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum

_LONGEST_PROBE_SECONDS = 10.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Counts failures in a row; open for `open_seconds`, doubling up to `longest_seconds` while probes fail."""

    def __init__(
        self,
        *,
        failures: int,
        open_seconds: float,
        longest_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed_failures = failures
        self._first_open_seconds = open_seconds
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._next_open_seconds = open_seconds
        self._tripped = False
        self._probe_until = 0.0

    @property
    def state(self) -> BreakerState:
        with self._lock:
            if not self._tripped:
                return BreakerState.CLOSED
            return BreakerState.OPEN if self._clock() < self._open_until else BreakerState.HALF_OPEN

    def admit(self) -> float:
        """Return 0 when a call may go, else the seconds until it may; in half-open, admitting makes it the probe."""
        if not self._tripped:  # read without the lock: a call that slips through as it trips is only one call more
            return 0.0
        with self._lock:
            if not self._tripped:
                return 0.0
            now = self._clock()
            if now < self._open_until:
                return self._open_until - now
            if now < self._probe_until:
                return self._probe_until - now
            self._probe_until = now + _LONGEST_PROBE_SECONDS
            return 0.0

    def succeeded(self) -> bool:
        """Record an answer; True when this closed the breaker."""
        if not self._tripped and not self._failures:
            return False
        with self._lock:
            closed = self._tripped
            self._failures = 0
            self._tripped = False
            self._probe_until = 0.0
            self._next_open_seconds = self._first_open_seconds
            return closed

    def failed(self) -> float | None:
        """Record a failure; the seconds the breaker is open for when this opened it, else None."""
        with self._lock:
            now = self._clock()
            self._failures += 1
            if self._tripped:
                if now < self._open_until:
                    return None  # a call admitted before the breaker opened
                return self._open(now)
            return self._open(now) if self._failures >= self._allowed_failures else None

    def abandoned(self) -> None:
        """Give the probe's place back: its call was cancelled and proved nothing."""
        with self._lock:
            self._probe_until = 0.0

    def adopt(self, open_seconds: float) -> None:
        """Open because another process did, for what remains of its time."""
        with self._lock:
            if not self._tripped or self._clock() >= self._open_until:
                self._tripped = True
                self._open_until = self._clock() + min(open_seconds, self._longest_seconds)
                self._probe_until = 0.0

    def _open(self, now: float) -> float:
        seconds = self._next_open_seconds
        self._tripped = True
        self._open_until = now + seconds
        self._probe_until = 0.0
        self._next_open_seconds = min(seconds * 2, self._longest_seconds)
        return seconds
