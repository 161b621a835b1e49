"""How the watch's polls go: how often, with what, and how old the prices of held tokens are."""

from __future__ import annotations

from django.conf import settings

from apps.prices.adapters import polls
from apps.prices.domain.polls import Poll, Polling, together

__all__ = ["Poll", "Polling", "latest_polls", "polling"]


def latest_polls() -> list[Poll]:
    """Return the newest poll of every shard that has polled within a day; look at its age before believing it."""
    return polls.recall(range(settings.PRICE_SHARDS))


def polling() -> Polling | None:
    """Return how all shards poll, as one; None while no poll is known, as when Redis is away."""
    return together(latest_polls())
