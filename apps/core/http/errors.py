"""What can go wrong on the way out, each with a stable code and the provider and operation it happened to.

Pure. A refusal of ours (budget, breaker) is told apart from the provider's (rate limit, rejection) and from not knowing
(time-out, unavailable): only the caller knows what each means for its trade.
"""

from __future__ import annotations

from typing import Any

from apps.core.errors import SoldeskError


class ProviderError(SoldeskError):
    """A call to a provider that brought no usable answer."""

    status = 503
    code = "PROVIDER_ERROR"
    outcome = "error"

    def __init__(
        self,
        provider: str,
        operation: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            type(self).code,
            message,
            details={"provider": provider, "operation": operation, **(details or {})},
        )
        self.provider = provider
        self.operation = operation


class ProviderTimeout(ProviderError):
    """No answer before the deadline: nobody knows whether the provider saw the request."""

    status = 504
    code = "PROVIDER_TIMEOUT"
    outcome = "timeout"


class ProviderUnavailable(ProviderError):
    """The connection failed or the provider answered 5xx."""

    code = "PROVIDER_UNAVAILABLE"
    outcome = "unavailable"


class ProviderMalformed(ProviderError):
    """The provider answered 2xx with something that is not the promised JSON."""

    status = 502
    code = "PROVIDER_MALFORMED"
    outcome = "malformed"


class ProviderRateLimited(ProviderError):
    """The provider answered 429; `retry_after_seconds` says when a slot is expected to be free."""

    code = "PROVIDER_RATE_LIMITED"
    outcome = "rate_limited"

    def __init__(self, provider: str, operation: str, *, retry_after_seconds: float) -> None:
        super().__init__(
            provider,
            operation,
            f"{provider} limits our calls; try again in {retry_after_seconds:.1f} s",
            details={"retryAfterSeconds": round(retry_after_seconds, 3)},
        )
        self.retry_after_seconds = retry_after_seconds


class ProviderRejected(ProviderError):
    """The provider answered 3xx or 4xx: the same call will be refused again.

    `http_status` is the provider's, `body_code` the machine-readable code of its body ("" when it gave none) and
    `body_message` its sentence.
    """

    status = 502
    code = "PROVIDER_REJECTED"
    outcome = "rejected"

    def __init__(
        self,
        provider: str,
        operation: str,
        *,
        http_status: int,
        body_code: str = "",
        body_message: str = "",
    ) -> None:
        super().__init__(
            provider,
            operation,
            f"{provider} refused {operation} with status {http_status}" + (f": {body_message}" if body_message else ""),
            details={"providerStatus": http_status, "providerCode": body_code},
        )
        self.http_status = http_status
        self.body_code = body_code
        self.body_message = body_message


class BudgetExhausted(ProviderError):
    """Our own call budget has no slot for this lane; nothing was sent."""

    code = "PROVIDER_BUDGET_EXHAUSTED"
    outcome = "budget_exhausted"

    def __init__(self, provider: str, operation: str, *, lane: str, retry_after_seconds: float) -> None:
        super().__init__(
            provider,
            operation,
            f"no call to {provider} left for {lane}; a slot frees in {retry_after_seconds:.1f} s",
            details={"lane": lane, "retryAfterSeconds": round(retry_after_seconds, 3)},
        )
        self.lane = lane
        self.retry_after_seconds = retry_after_seconds


class BreakerOpen(ProviderError):
    """The provider failed repeatedly a moment ago; nothing was sent."""

    code = "PROVIDER_BREAKER_OPEN"
    outcome = "breaker_open"

    def __init__(self, provider: str, operation: str, *, retry_after_seconds: float) -> None:
        super().__init__(
            provider,
            operation,
            f"{provider} {operation} keeps failing; it is tried again in {retry_after_seconds:.1f} s",
            details={"retryAfterSeconds": round(retry_after_seconds, 3)},
        )
        self.retry_after_seconds = retry_after_seconds
