"""The agents a signal concerns, with everything a first decision needs, in two queries however many there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.agents.domain.trading_config import TradingConfig
from apps.agents.models import TradingMode
from apps.core import bulk
from apps.core.money import SOL_MINT
from apps.signals.queue import LeasedSignal
from apps.trading.selectors import live_wallets
from apps.trading.selectors.configs import read_config
from apps.trading.selectors.live_wallets import LiveWallet


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent as it stands before its booking; everything is judged again under lock.

    `config` is None when the stored document no longer validates. `balance_sol` None: no SOL was ever there.
    """

    agent_id: UUID
    trading_mode: str
    automated: bool
    config: TradingConfig | None
    wallet_id: UUID | None
    wallet_address: str | None
    epoch: int | None
    balance_sol: Decimal | None
    open_positions: int
    max_open_positions: int
    has_position: bool
    desk_state: str
    own_state: str
    #: A live wallet's key is with the signer; simulated ones need none.
    wallet_loaded: bool = False


_QUERY = """
SELECT a.id, a.trading_mode,
       CASE a.trading_mode WHEN 'live' THEN a.automated_trading_live ELSE a.automated_trading_simulation END,
       a.trading_config::text, w.id, w.address, w.epoch, b.amount, s.open_positions, s.max_open_positions,
       EXISTS (SELECT 1 FROM position p WHERE p.wallet_id = w.id AND p.mint = %(mint)s AND p.closed_at IS NULL),
       COALESCE((SELECT state FROM trading_state WHERE agent_id IS NULL), 'active'), COALESCE(t.state, 'active')
FROM agent a
JOIN agent_state s ON s.agent_id = a.id
LEFT JOIN wallet w ON w.agent_id = a.id AND w.wallet_type = a.trading_mode AND w.released_at IS NULL
LEFT JOIN balance b ON b.wallet_id = w.id AND b.mint = %(sol)s
LEFT JOIN trading_state t ON t.agent_id = a.id
WHERE a.archived_at IS NULL
"""
_UNDECIDED = """ AND a.user_id = %(user)s AND a.created_at <= %(before)s
  AND NOT EXISTS (SELECT 1 FROM signal_execution e WHERE e.signal_id = %(signal)s AND e.agent_id = a.id)
ORDER BY a.id"""
_FOR_SIGNAL = _QUERY + _UNDECIDED
_AGENTS = "SELECT a.id FROM agent a WHERE a.archived_at IS NULL" + _UNDECIDED
_OF_AGENT = _QUERY + " AND a.id = %(agent)s"


def for_signal(signal: LeasedSignal) -> list[Candidate]:
    """Return the owner's agents that existed when the signal came and have no verdict on it yet, by id."""
    return _candidates(_FOR_SIGNAL, {**_asked(signal), "mint": signal.token_address})


def undecided(signal: LeasedSignal) -> list[UUID]:
    """Return the same agents as `for_signal`, by id alone: reads nothing that could be broken about them."""
    return [row[0] for row in bulk.fetch_all(_AGENTS, _asked(signal))]


def of_agent(*, agent_id: UUID, mint: str) -> Candidate | None:
    """Return one agent as a candidate for `mint`, or None when it is archived or unknown."""
    found = _candidates(_OF_AGENT, {"agent": agent_id, "mint": mint})
    return found[0] if found else None


def _asked(signal: LeasedSignal) -> dict[str, Any]:
    return {"signal": signal.id, "user": signal.user_id, "before": signal.created_at}


def _candidates(query: str, parameters: dict[str, Any]) -> list[Candidate]:
    rows = bulk.fetch_all(query, {**parameters, "sol": SOL_MINT})
    found = [Candidate(*(*row[:3], read_config(row[3]), *row[4:])) for row in rows]
    live = live_wallets.read(
        (item.wallet_id, parameters["mint"])
        for item in found
        if item.trading_mode == TradingMode.LIVE and item.wallet_id is not None
    )
    return [_with_chain(item, live, parameters["mint"]) for item in found] if live else found


def _with_chain(item: Candidate, live: dict[tuple[UUID, str], LiveWallet], mint: str) -> Candidate:
    """Return a candidate of a live wallet with its key, and a buy that is under way as the position it may become."""
    known = None if item.wallet_id is None else live.get((item.wallet_id, mint))
    if known is None:
        return item
    return replace(item, wallet_loaded=known.loaded, has_position=item.has_position or known.buying)
