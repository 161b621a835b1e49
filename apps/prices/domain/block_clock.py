"""A time for prices that only carry a block number: a feed whose newest block stands still is standing still.

The wrapped SOL price of every Jupiter response trades in every block, so the response's newest block tells how old the
response is. A single quiet token's old block says nothing: its price is what it last traded at.
"""

from __future__ import annotations

from datetime import datetime, timedelta

#: Only used for a response older than the newest block seen; blocks are made about this often.
BLOCK_TIME = timedelta(milliseconds=400)
_LONGEST_LAG_BLOCKS = 10_000_000


class BlockClock:
    """Remembers the newest block of a feed and when it was first seen. Not thread-safe: callers hold a lock."""

    def __init__(self) -> None:
        self._newest: tuple[int, datetime] | None = None

    @property
    def newest(self) -> tuple[int, datetime] | None:
        """The newest block seen and when it was first seen."""
        return self._newest

    def learn(self, block: int, seen_at: datetime) -> None:
        """Take over what another process saw."""
        if self._newest is None or block > self._newest[0] or (block == self._newest[0] and seen_at < self._newest[1]):
            self._newest = (block, seen_at)

    def observe(self, newest_block: int | None, received_at: datetime) -> datetime | None:
        """Return the time the response was true at; None when it carries no block.

        >>> from datetime import UTC
        >>> clock, start = BlockClock(), datetime(2026, 1, 1, tzinfo=UTC)
        >>> clock.observe(100, start) == start
        True
        >>> clock.observe(100, start + timedelta(seconds=30)) == start
        True
        >>> clock.observe(50, start + timedelta(seconds=31)) == start - timedelta(seconds=20)
        True
        """
        if newest_block is None:
            return None
        if self._newest is None or newest_block > self._newest[0]:
            self._newest = (newest_block, received_at)
            return received_at
        block, first_seen_at = self._newest
        return first_seen_at - min(block - newest_block, _LONGEST_LAG_BLOCKS) * BLOCK_TIME
