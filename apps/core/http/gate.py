"""The gate of one provider: breaker, pause and budget asked before a call, told afterwards, all of it measured.

One per provider and process, shared by its sync and async clients. Holds no connection.
"""

from __future__ import annotations

import threading

import structlog

from apps.core.http.breaker import Breaker, BreakerState
from apps.core.http.budget import MemoryWindow, Pause
from apps.core.http.config import ProviderConfig
from apps.core.http.errors import (
    BreakerOpen,
    BudgetExhausted,
    ProviderError,
    ProviderMalformed,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
)
from apps.core.http.plans import PAST_BREAKERS, Lane
from apps.core.http.shared import SharedState
from apps.core.metrics_registry import PROVIDER_BREAKER, PROVIDER_CALLS, PROVIDER_LANE_REFUSALS, PROVIDER_LATENCY

log = structlog.get_logger(__name__)

#: What says "the provider is in trouble"; a 4xx, a 429 and our own refusals say it is alive.
_TROUBLE = (ProviderTimeout, ProviderUnavailable, ProviderMalformed)


class Gate:
    """Decides whether a call may go and learns from how it went."""

    def __init__(self, config: ProviderConfig, shared: SharedState | None) -> None:
        self.config = config
        self.plan = config.limits
        self._shared = shared if self.plan is not None else None
        self._window = MemoryWindow(self.plan) if self.plan is not None else None
        self._pause = Pause()
        self._breakers: dict[str, Breaker] = {}
        self._lock = threading.Lock()

    def breaker(self, operation: str) -> Breaker:
        """Return the breaker of one operation, made on first use."""
        found = self._breakers.get(operation)
        if found is None:
            with self._lock:
                found = self._breakers.setdefault(
                    operation,
                    Breaker(
                        failures=self.config.breaker_failures,
                        open_seconds=self.config.breaker_open_seconds,
                        longest_seconds=self.config.breaker_longest_seconds,
                    ),
                )
        return found

    def admit(self, operation: str, lane: Lane) -> None:
        """Let one call pass, or refuse it without sending anything.

        Raises:
            BreakerOpen, ProviderRateLimited (a pause holds), BudgetExhausted.
        """
        try:
            self._admit(operation, lane)
        except ProviderError as refusal:
            PROVIDER_CALLS.labels(self.config.name, operation, refusal.outcome).inc()
            if isinstance(refusal, BudgetExhausted):
                PROVIDER_LANE_REFUSALS.labels(self.config.name, lane.value).inc()
            raise

    def _admit(self, operation: str, lane: Lane) -> None:
        name = self.config.name
        if wait := self._pause.remaining():
            raise ProviderRateLimited(name, operation, retry_after_seconds=wait)
        breaker = None if lane in PAST_BREAKERS else self.breaker(operation)
        if breaker is not None and (wait := breaker.admit()):
            raise BreakerOpen(name, operation, retry_after_seconds=wait)
        if self.plan is None or self._window is None:
            return
        answer = self._shared.take(name, operation, lane, self.plan) if self._shared else None
        if answer is None:
            wait = self._window.take(lane)
        elif answer.admitted:
            self._window.record(lane)
            return
        else:
            wait = answer.wait_seconds
        if not wait:
            return
        if breaker is not None:
            breaker.abandoned()
        if answer is not None and answer.paused:
            self._pause.hold(wait)
            raise ProviderRateLimited(name, operation, retry_after_seconds=wait)
        if breaker is not None and answer is not None and answer.breaker_seconds:
            breaker.adopt(answer.breaker_seconds)
            raise BreakerOpen(name, operation, retry_after_seconds=wait)
        raise BudgetExhausted(name, operation, lane=lane.value, retry_after_seconds=wait)

    def succeeded(self, operation: str, elapsed_seconds: float) -> None:
        """Learn from an answer."""
        self._measure(operation, "ok", elapsed_seconds)
        if self.breaker(operation).succeeded():
            PROVIDER_BREAKER.labels(self.config.name, operation).set(0)
            log.info("provider_breaker_closed", provider=self.config.name, operation=operation)

    def failed(
        self,
        operation: str,
        lane: Lane,
        error: ProviderError,
        elapsed_seconds: float,
        *,
        attempt: int,
        request_id: str = "",
    ) -> None:
        """Learn from a failure: open the breaker, pause after a 429, tell the other processes."""
        name = self.config.name
        self._measure(operation, error.outcome, elapsed_seconds)
        log.warning(
            "provider_call_failed",
            provider=name,
            operation=operation,
            outcome=error.outcome,
            status=getattr(error, "http_status", None) or (error.details or {}).get("providerStatus"),
            attempt=attempt,
            elapsed_ms=round(elapsed_seconds * 1000, 1),
            provider_request_id=request_id or None,
            reason=error.message,
        )
        if isinstance(error, ProviderRateLimited):
            self._pause.hold(error.retry_after_seconds)
            if self._shared:
                self._shared.hold(name, error.retry_after_seconds)
        if not isinstance(error, _TROUBLE):
            if self.breaker(operation).succeeded():
                PROVIDER_BREAKER.labels(name, operation).set(0)
            return
        opened = None if lane in PAST_BREAKERS else self.breaker(operation).failed()
        if opened is not None:
            PROVIDER_BREAKER.labels(name, operation).set(1)
            log.warning("provider_breaker_opened", provider=name, operation=operation, seconds=opened)
            if self._shared:
                self._shared.open_breaker(name, operation, opened)

    def abandoned(self, operation: str, lane: Lane) -> None:
        """A call was cancelled before it could teach anything."""
        if lane not in PAST_BREAKERS:
            self.breaker(operation).abandoned()

    def is_open(self, operation: str) -> bool:
        """True while calls of this operation are refused by the breaker."""
        found = self._breakers.get(operation)
        return found is not None and found.state is BreakerState.OPEN

    def _measure(self, operation: str, outcome: str, elapsed_seconds: float) -> None:
        PROVIDER_CALLS.labels(self.config.name, operation, outcome).inc()
        PROVIDER_LATENCY.labels(self.config.name, operation, outcome).observe(elapsed_seconds)
