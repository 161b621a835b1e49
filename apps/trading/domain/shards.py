"""How held tokens are shared out between watches: each token falls into one slot, each slot belongs to one shard.

What a watch locks are its slots (`adapters/shard_lock.py`), so that two watches can never hold the same token at once,
whatever number of shards each of them was started with.
"""

from __future__ import annotations

import zlib

#: As many shards as there may be. The same number of slots for every division: that is what makes the locks meet.
SLOTS = 64


def slot_of(mint: str) -> int:
    """Return the slot of a token, the same in every process and after every restart.

    >>> slot_of("So11111111111111111111111111111111111111112")
    44
    """
    return zlib.crc32(mint.encode()) % SLOTS


def shard_of(mint: str, shards: int) -> int:
    """Return which of `shards` shards watches a token.

    >>> shard_of("So11111111111111111111111111111111111111112", 4)
    0
    """
    return slot_of(mint) % shards


def slots_of(shard: int, shards: int) -> range:
    """Return the slots of a shard; none for a shard this division does not have.

    >>> list(slots_of(1, 24)), list(slots_of(1, 1))
    ([1, 25, 49], [])
    """
    return range(shard, SLOTS, shards) if shard < shards else range(0)
