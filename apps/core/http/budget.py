"""The call budget of one provider: a sliding window per lane, shared between processes, kept by each process too.

With no plan limit (the sandbox) nothing is counted and Redis is never asked. While Redis is away the process counts
alone. A 429 pauses every lane until the provider said a slot is free.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from apps.core.http.plans import LANES, Lane, Plan


class MemoryWindow:
    """The calls this process made in the last `plan.window_seconds`, by lane."""

    def __init__(self, plan: Plan, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[Lane, deque[float]] = {lane: deque() for lane in LANES}

    def take(self, lane: Lane) -> float:
        """Take one slot and return 0, or return the seconds until the oldest call leaves the window."""
        with self._lock:
            now = self._clock()
            used = self._used(now)
            if not self._plan.admits(lane, used):
                oldest = min((calls[0] for calls in self._calls.values() if calls), default=now)
                return max(oldest + self._plan.window_seconds - now, 0.001)
            self._calls[lane].append(now)
            return 0.0

    def record(self, lane: Lane) -> None:
        """Count a call the shared window admitted, so that this process knows its own when Redis goes away."""
        with self._lock:
            self._used(self._clock())
            self._calls[lane].append(self._clock())

    def used(self) -> dict[Lane, int]:
        """Return the calls of the window by lane."""
        with self._lock:
            return self._used(self._clock())

    def _used(self, now: float) -> dict[Lane, int]:
        horizon = now - self._plan.window_seconds
        for calls in self._calls.values():
            while calls and calls[0] <= horizon:
                calls.popleft()
        return {lane: len(calls) for lane, calls in self._calls.items()}


class Pause:
    """Nobody calls until a moment passes; set by a 429."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """Pause for `seconds` from now; a longer pause that already holds stays."""
        self._until = max(self._until, self._clock() + seconds)

    def remaining(self) -> float:
        """Return the seconds left, 0 when calls may go."""
        return max(self._until - self._clock(), 0.0) if self._until else 0.0
