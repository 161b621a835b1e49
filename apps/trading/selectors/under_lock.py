"""What a booking of entries reads once its agents and wallets are locked, in one query for the whole chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.core import bulk
from apps.core.money import SOL_MINT


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """One agent's part: its switches, the wallet's free SOL (None: never any), what stands in the way already."""

    archived: bool
    trading_mode: str
    automated: bool
    own_state: str
    balance_sol: Decimal | None
    has_position: bool
    decided: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds for all of them. `at` is the database's clock; a peak counts from `last_tick`, the newest."""

    at: datetime
    last_tick: int
    desk_state: str
    signal_deleted: bool


_READ = """
SELECT clock_timestamp(), COALESCE((SELECT max(id) FROM tick), 0),
       COALESCE((SELECT state FROM trading_state WHERE agent_id IS NULL), 'active'),
       EXISTS (SELECT 1 FROM trading_signal WHERE id = %(signal)s AND deleted_at IS NOT NULL),
       v.agent, a.archived_at IS NOT NULL, a.trading_mode,
       CASE a.trading_mode WHEN 'live' THEN a.automated_trading_live ELSE a.automated_trading_simulation END,
       COALESCE(t.state, 'active'), b.amount,
       EXISTS (SELECT 1 FROM position p WHERE p.wallet_id = v.wallet AND p.mint = %(mint)s AND p.closed_at IS NULL),
       EXISTS (SELECT 1 FROM signal_execution e WHERE e.signal_id = %(signal)s AND e.agent_id = v.agent)
FROM unnest(%(agents)s::uuid[], %(wallets)s::uuid[]) AS v (agent, wallet)
JOIN agent a ON a.id = v.agent
LEFT JOIN trading_state t ON t.agent_id = v.agent
LEFT JOIN balance b ON b.wallet_id = v.wallet AND b.mint = %(sol)s
"""


def entry_facts(
    pairs: Sequence[tuple[UUID, UUID | None]], *, mint: str, signal_id: int | None
) -> tuple[Moment, dict[UUID, EntryFacts]]:
    """Return the moment and each agent's facts for a buy of `mint`; `pairs` are (agent, wallet), at least one."""
    rows = bulk.fetch_all(
        _READ,
        {
            "mint": mint,
            "signal": signal_id,
            "sol": SOL_MINT,
            "agents": [agent for agent, _ in pairs],
            "wallets": [wallet for _, wallet in pairs],
        },
    )
    return Moment(*rows[0][:4]), {row[4]: EntryFacts(*row[5:]) for row in rows}
