"""The one way out: HTTP clients for named providers, with deadline, retries, breaker, call budget and metrics.

`client(provider)` and `async_client(provider)` are what adapters use (webhooks use `PostClient`); `call_loop` runs the
async ones for callers that have no event loop. Nothing here knows what a price or a quote is: that belongs to the
adapters of the apps above.
"""

from apps.core.http import call_loop
from apps.core.http.answers import Answer
from apps.core.http.async_calls import AsyncProviderClient
from apps.core.http.clients import async_client, client, close_async_clients, forget_clients
from apps.core.http.config import ProviderConfig, provider_config
from apps.core.http.errors import (
    BreakerOpen,
    BudgetExhausted,
    ProviderError,
    ProviderMalformed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from apps.core.http.plans import Lane
from apps.core.http.posts import PostClient, Posted
from apps.core.http.sync_calls import ProviderClient

__all__ = [
    "Answer",
    "AsyncProviderClient",
    "BreakerOpen",
    "BudgetExhausted",
    "Lane",
    "PostClient",
    "Posted",
    "ProviderClient",
    "ProviderConfig",
    "ProviderError",
    "ProviderMalformed",
    "ProviderRateLimited",
    "ProviderRejected",
    "ProviderTimeout",
    "ProviderUnavailable",
    "async_client",
    "call_loop",
    "client",
    "close_async_clients",
    "forget_clients",
    "provider_config",
]
