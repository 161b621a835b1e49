"""Open positions as the watch needs them: which tokens are held, and every position of some tokens.

`PositionSource` is the seam: this first one asks PostgreSQL each tick; the in-memory book takes its place.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from apps.core import bulk
from apps.trading.domain.watch_rules import Level, Watched
from apps.trading.selectors.configs import read_config


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token somebody holds, with the newest fill: what its price is compared with when it was never polled."""

    mint: str
    symbol: str
    fill_price: Decimal
    filled_at: datetime


class PositionSource(Protocol):
    """Where the watch reads open positions from."""

    def held(self) -> Mapping[str, HeldToken]:
        """Return the tokens of this shard with open positions, by mint."""

    def positions(self, mints: Collection[str]) -> Iterable[Watched]:
        """Return every open position of these tokens."""


def shard_of(mint: str, shards: int) -> int:
    """Return the shard that watches a token, the same in every process and after every restart.

    >>> shard_of("So11111111111111111111111111111111111111112", 4)
    0
    """
    return zlib.crc32(mint.encode()) % shards


_HELD = """
SELECT DISTINCT ON (mint) mint, symbol, purchase_price, opened_at FROM position
WHERE closed_at IS NULL ORDER BY mint, opened_at DESC
"""
_POSITIONS = """
SELECT p.id, p.agent_id, p.mint, p.purchase_price, p.peak_price_sol, p.stop_percent, p.stop_price_sol, p.generation,
       p.peak_generation, p.opened_at, i.id IS NOT NULL
FROM position p
LEFT JOIN exit_intent i ON i.position_id = p.id AND i.kind = 'close' AND i.status IN ('due', 'leased')
     AND NOT i.needs_confirmation
WHERE p.closed_at IS NULL AND p.mint = ANY(%s)
"""


class StoredPositions:
    """The source that asks PostgreSQL each time."""

    def __init__(self, shard: int, shards: int) -> None:
        self._shard = shard
        self._shards = shards

    def held(self) -> dict[str, HeldToken]:
        rows = [HeldToken(*row) for row in bulk.fetch_all(_HELD)]
        return {row.mint: row for row in rows if shard_of(row.mint, self._shards) == self._shard}

    def positions(self, mints: Collection[str]) -> list[Watched]:
        rows = bulk.fetch_all(_POSITIONS, [list(mints)])
        configs = _configs({row[1] for row in rows})
        return [Watched(*[*row, read_config(configs.get(row[1]))]) for row in rows]


def _configs(agent_ids: Collection[UUID]) -> dict[UUID, str | None]:
    return dict(bulk.fetch_all("SELECT id, trading_config::text FROM agent WHERE id = ANY(%s)", [list(agent_ids)]))


_STORED_HIGHS = """
SELECT p.id, p.agent_id, p.mint, p.peak_generation, max(t.price_sol)
FROM position p
CROSS JOIN LATERAL (SELECT price_sol, received_at FROM tick
                    WHERE tick.mint = p.mint AND tick.id > p.peak_from_tick ORDER BY tick.id DESC LIMIT 30) t
WHERE p.closed_at IS NULL AND p.mint = ANY(%s) AND t.received_at >= p.opened_at
GROUP BY p.id HAVING max(t.price_sol) > p.peak_price_sol
"""


def highs_not_stored(mints: Collection[str]) -> list[Level]:
    """Return the levels (peak only) of positions a recent tick stands above, though their stored peak does not know.

    What a watch that died had not written back; only ticks after the opening, or the last DCA, count.
    """
    return [Level(*row) for row in bulk.fetch_all(_STORED_HIGHS, [list(mints)])]


def owners_of(mints: Collection[str]) -> dict[str, list[UUID]]:
    """Return the users with open positions, by mint."""
    rows = bulk.fetch_all(
        "SELECT p.mint, array_agg(DISTINCT a.user_id ORDER BY a.user_id) FROM position p"
        " JOIN agent a ON a.id = p.agent_id WHERE p.closed_at IS NULL AND p.mint = ANY(%s) GROUP BY p.mint",
        [list(mints)],
    )
    return dict(rows)
