"""Waiting to be woken through Redis: a subscription that ends a sweep's pause early; no loss while Redis is away."""

from __future__ import annotations

import threading

import redis
from redis.client import PubSub

from apps.core.quick_redis import RedisAway, quick_redis
from apps.core.redis import name


class Ears:
    """Listens to one channel; what is said there is not read, it only says that something is due."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._subscription: PubSub | None = None

    def pause(self, wanted: threading.Event, seconds: float) -> None:
        """Wait for a wake-up, but no longer than `seconds`."""
        try:
            self._hear(seconds)
        except (redis.RedisError, RedisAway, OSError):
            self._subscription = None
            wanted.wait(seconds)

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _hear(self, seconds: float) -> None:
        if self._subscription is None:
            subscription = quick_redis().ask(lambda client: client.pubsub(ignore_subscribe_messages=True))
            subscription.subscribe(name(self._channel))
            self._subscription = subscription
            return  # what was announced before this subscription is found by the round that follows
        if self._subscription.get_message(timeout=seconds) is not None:
            while self._subscription.get_message(timeout=0) is not None:
                pass
