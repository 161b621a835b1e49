"""One call with its retries, without any input or output: the sync and async clients are thin loops around it.

Only what may be repeated comes here: GETs, and the JSON-RPC of nodes. A time-out, a broken connection, a 5xx or a
malformed answer is tried again after a short random wait, a 429 when the provider said so, and all of it only while the
caller's deadline leaves room.
"""

from __future__ import annotations

import random
import time

from apps.core.http.errors import (
    ProviderError,
    ProviderMalformed,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
)
from apps.core.http.gate import Gate
from apps.core.http.plans import Lane

_FIRST_BACKOFF_SECONDS = 0.05
_LONGEST_BACKOFF_SECONDS = 1.0
_LEAST_USEFUL_SECONDS = 0.005
_AFTER_PAUSE_SECONDS = 0.02  # so that the pause the 429 caused has surely ended
_RETRIED = (ProviderTimeout, ProviderUnavailable, ProviderMalformed)


class Attempts:
    """The attempts of one call: `begin` before each, then `succeeded`, `failed` or `abandoned`."""

    def __init__(self, gate: Gate, operation: str, lane: Lane, deadline_seconds: float) -> None:
        self._gate = gate
        self._operation = operation
        self._lane = lane
        self._deadline = time.monotonic() + deadline_seconds
        self._count = 0
        self._started = 0.0
        self._last_error: ProviderError | None = None

    @property
    def started(self) -> float:
        """`time.monotonic()` at the beginning of the present attempt."""
        return self._started

    def remaining(self) -> float:
        """Return the seconds the caller still waits."""
        return self._deadline - time.monotonic()

    def begin(self) -> float:
        """Return the seconds this attempt may take.

        Raises:
            ProviderError: a refusal of the gate, or what the last attempt failed with when there is no next one.
        """
        remaining = self.remaining()
        if remaining < _LEAST_USEFUL_SECONDS:
            raise self._last_error or ProviderTimeout(
                self._gate.config.name, self._operation, "the deadline had passed before the call"
            )
        try:
            self._gate.admit(self._operation, self._lane)
        except ProviderError as refusal:
            if self._last_error is not None:
                raise self._last_error from refusal
            raise
        self._count += 1
        self._started = time.monotonic()
        return min(self._gate.config.timeout_seconds, remaining)

    def succeeded(self) -> float:
        """Record an answer; return how long it took in seconds."""
        elapsed = time.monotonic() - self._started
        self._gate.succeeded(self._operation, elapsed)
        return elapsed

    def failed(self, error: ProviderError, *, request_id: str = "") -> float:
        """Record a failure and return the seconds to wait before the next attempt.

        Raises:
            ProviderError: `error` itself, when it must not or cannot be tried again within the deadline.
        """
        elapsed = time.monotonic() - self._started
        self._gate.failed(self._operation, self._lane, error, elapsed, attempt=self._count, request_id=request_id)
        self._last_error = error
        if self._count >= self._gate.config.max_attempts:
            raise error
        if isinstance(error, ProviderRateLimited):
            wait = error.retry_after_seconds + _AFTER_PAUSE_SECONDS
        elif isinstance(error, _RETRIED):
            ceiling = min(_FIRST_BACKOFF_SECONDS * 2 ** (self._count - 1), _LONGEST_BACKOFF_SECONDS)
            wait = random.uniform(0, ceiling)  # noqa: S311 - spreads retries, guards nothing
        else:
            raise error
        if wait + _LEAST_USEFUL_SECONDS > self.remaining():
            raise error
        return wait

    def abandoned(self) -> None:
        """Record that the attempt was cancelled."""
        self._gate.abandoned(self._operation, self._lane)
