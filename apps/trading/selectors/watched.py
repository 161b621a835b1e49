"""Open positions as the watch needs them: which tokens are held, and which positions some prices concern.

`PositionSource` is the seam: this first one lets PostgreSQL screen each tick; the in-memory book takes its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from apps.agents.domain.model import TradingConfig
from apps.core import bulk
from apps.trading.domain.shards import shard_of
from apps.trading.domain.watch_rules import Level, Watched
from apps.trading.selectors.configs import read_config


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token somebody holds, with its newest position: the fill its price is compared with when it was never polled.

    `amount` is what that position still holds, in whole tokens.
    """

    mint: str
    symbol: str
    decimals: int
    fill_price: Decimal
    filled_at: datetime
    amount: Decimal


class PositionSource(Protocol):
    """Where the watch reads open positions from."""

    def held(self) -> Mapping[str, HeldToken]:
        """Return the tokens of this shard with open positions, by mint."""

    def concerned(
        self,
        mints: Collection[str],
        *,
        trusted: Mapping[str, Decimal],
        doubted: Mapping[str, Decimal],
        also: Collection[UUID],
    ) -> Iterable[Watched]:
        """Return the open positions in `mints` that these prices (SOL per token) may do something to.

        May err towards too many, never too few: the rules decide. What changed since the last settled tick (position,
        configuration) is among them, priced or not, and so are the positions in `also`.
        """

    def settled(self) -> None:
        """Say that the last tick was stored: what it was given because it had changed need not be given again."""


_HELD = """
SELECT DISTINCT ON (mint) mint, symbol, decimals, purchase_price, opened_at, remaining_amount FROM position
WHERE closed_at IS NULL ORDER BY mint, opened_at DESC
"""
# The screen: exact prices against stored levels, a hair wider than the rules, so that rounding of what is stored can
# only flag too much.
_CONCERNED = """
WITH price AS (
    SELECT * FROM unnest(%(mints)s::text[], %(trusted)s::numeric[], %(doubted)s::numeric[])
        AS v (mint, trusted, doubted)
), stale AS (
    SELECT * FROM unnest(%(agents)s::uuid[], %(held_seconds)s::numeric[], %(low)s::numeric[], %(high)s::numeric[])
        AS v (agent_id, held_seconds, low, high)
)
SELECT p.id, p.agent_id, p.mint, p.purchase_price, p.peak_price_sol, p.stop_percent, p.stop_price_sol, p.generation,
       p.peak_generation, p.opened_at, i.id IS NOT NULL
FROM position p
JOIN price USING (mint)
LEFT JOIN stale USING (agent_id)
LEFT JOIN exit_intent i ON i.position_id = p.id AND i.kind = 'close' AND i.status IN ('due', 'leased')
     AND NOT i.needs_confirmation
WHERE p.closed_at IS NULL AND (
    least(price.trusted, price.doubted) <= p.stop_price_sol * 1.000001
    OR price.trusted > p.peak_price_sol
    OR p.opened_at <= clock_timestamp() - make_interval(secs => stale.held_seconds::float8)
       AND price.trusted BETWEEN p.purchase_price * stale.low AND p.purchase_price * stale.high
    OR p.changed_xid >= %(since)s::xid8 OR p.agent_id = ANY(%(changed)s) OR p.id = ANY(%(also)s))
"""
_SCREEN_MARGIN = Decimal("0.000001")


class StoredPositions:
    """The source that lets PostgreSQL screen the positions each tick, and remembers the agents' configurations.

    Not thread-safe: its watch calls it from one thread at a time.
    """

    def __init__(self, shard: int, shards: int) -> None:
        self._shard = shard
        self._shards = shards
        self._configs: dict[UUID, TradingConfig | None] = {}
        self._changed: set[UUID] = set()
        self._since = self._seen = "0"

    def held(self) -> dict[str, HeldToken]:
        rows = [HeldToken(*row) for row in bulk.fetch_all(_HELD)]
        return {row.mint: row for row in rows if shard_of(row.mint, self._shards) == self._shard}

    def concerned(
        self,
        mints: Collection[str],
        *,
        trusted: Mapping[str, Decimal],
        doubted: Mapping[str, Decimal],
        also: Collection[UUID],
    ) -> list[Watched]:
        # The watermark first, as a statement of its own: whatever commits later is seen by the next tick.
        ((self._seen,),) = bulk.fetch_all("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        self._learn_configs()
        rules = [
            (agent_id, config.stale_trade)
            for agent_id, config in self._configs.items()
            if config is not None and config.stale_trade.enabled
        ]
        rows = bulk.fetch_all(
            _CONCERNED,
            {
                "mints": list(mints),
                "trusted": [trusted.get(mint) for mint in mints],
                "doubted": [doubted.get(mint) for mint in mints],
                "agents": [agent_id for agent_id, _ in rules],
                "held_seconds": [rule.min_hold_minutes * 60 for _, rule in rules],
                "low": [1 + rule.min_profit_percent / 100 - _SCREEN_MARGIN for _, rule in rules],
                "high": [1 + rule.max_profit_percent / 100 + _SCREEN_MARGIN for _, rule in rules],
                "since": self._since,
                "changed": list(self._changed),
                "also": list(also),
            },
        )
        return [Watched(*[*row, self._configs.get(row[1])]) for row in rows]

    def settled(self) -> None:
        self._since = self._seen
        self._changed.clear()

    def _learn_configs(self) -> None:
        """Read what is new among the configurations of agents with open positions; note whose rules changed."""
        rows = bulk.fetch_all("SELECT DISTINCT agent_id FROM position WHERE closed_at IS NULL")
        wanted = {row[0] for row in rows}
        self._configs = {agent_id: config for agent_id, config in self._configs.items() if agent_id in wanted}
        for agent_id, stored in bulk.fetch_all(
            "SELECT id, trading_config::text FROM agent WHERE id = ANY(%s) OR changed_xid >= %s::xid8",
            [list(wanted - self._configs.keys()), self._since],
        ):
            config = read_config(stored)
            if agent_id in wanted and (agent_id not in self._configs or self._configs[agent_id] != config):
                self._configs[agent_id] = config
                self._changed.add(agent_id)


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
