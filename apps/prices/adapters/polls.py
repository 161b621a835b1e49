"""The newest poll of each shard: in Redis for every process, in memory for this one. To be shown, not to decide by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import orjson

from apps.core import redis
from apps.prices.domain.polls import Poll

#: A shard that has not polled for longer is not shown any more.
KEPT_SECONDS = 86_400.0
_TIMES = ("polled_at", "oldest_at", "median_at")


def remember(poll: Poll) -> None:
    """Keep `poll` as its shard's newest; without Redis this process keeps it."""
    redis.put(_key(poll.shard), orjson.dumps(asdict(poll)), seconds=KEPT_SECONDS)


def recall(shards: Sequence[int]) -> list[Poll]:
    """Return the newest poll of each of `shards` that has one."""
    rows = redis.get_many([_key(shard) for shard in shards])
    return [poll for row in rows if row is not None and (poll := _read(row)) is not None]


def _key(shard: int) -> str:
    return redis.name("poll", str(shard))


def _read(row: bytes) -> Poll | None:
    try:
        document = orjson.loads(row)
        for field in _TIMES:
            if document[field] is not None:
                document[field] = datetime.fromisoformat(document[field])
        return Poll(**document)
    except (ValueError, TypeError, KeyError):
        return None
