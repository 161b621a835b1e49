"""One Redis subscription to the channels of the feed, for as long as it lasts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import redis

from apps.core.feed import FEED_CHANNEL, PRICES_CHANNEL
from apps.core.redis import async_client, name

QUIET_SECONDS = 15.0
#: What `listen` ends with.
LOST = (redis.RedisError, OSError, TimeoutError)


async def listen(subscribed: Callable[[], None], take: Callable[[str, bytes], None]) -> None:
    """Hand every frame to `take`, with its channel; never returns.

    `subscribed` is called for each subscription, also a renewed one: what was said before it is missed.

    Raises:
        RedisError, OSError, TimeoutError: Redis is away, or has been silent when asked.
    """
    client = async_client()
    ears = client.pubsub()
    channels = {name(channel).encode(): channel for channel in (FEED_CHANNEL, PRICES_CHANNEL)}
    last = name(PRICES_CHANNEL).encode()
    try:
        await ears.subscribe(*channels)
        while True:
            message = await ears.get_message(timeout=QUIET_SECONDS)
            if message is None:
                # Nothing for a while is normal at night; a dead connection must not look the same.
                await asyncio.wait_for(ears.ping(), 5)
                if await ears.get_message(timeout=5) is None:
                    raise TimeoutError
            elif message["type"] == "subscribe" and message["channel"] == last:
                subscribed()
            elif message["type"] == "message":
                take(channels[message["channel"]], message["data"])
    finally:
        with contextlib.suppress(redis.RedisError, OSError):
            await ears.aclose()
            await client.aclose()
