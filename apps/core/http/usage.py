"""How much of a provider's plan is used, for people: what all processes together called in the present window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.core.http.config import provider_config
from apps.core.http.plans import Lane
from apps.core.http.shared import shared_state


@dataclass(frozen=True, slots=True)
class CallsLeft:
    """A plan's window and the calls each lane made in it; `used` is None while nobody knows, as Redis is away."""

    plan: str
    limit: int
    window_seconds: float
    used: Mapping[Lane, int] | None

    @property
    def left(self) -> int | None:
        """How many calls the window still has, for whichever lane may take them."""
        return None if self.used is None else max(0, self.limit - sum(self.used.values()))


def calls_left(provider: str) -> CallsLeft | None:
    """Return what is left of a provider's plan; None for a plan without limits."""
    config = provider_config(provider)
    if config.limits is None:
        return None
    shared = shared_state()
    used = None if shared is None else shared.used(provider, config.limits)
    return CallsLeft(config.plan, config.limits.limit, config.limits.window_seconds, used)
