"""The locks of every booking of exits, in their one order: desk, agent states, wallets, positions, intents.

Intents are locked closes first, each kind by position: the order in which `exit_intents.fire` meets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.agents import locks
from apps.agents.domain.trading_config import TradingConfig
from apps.core import bulk
from apps.trading.domain.adjust_decision import Standing
from apps.trading.models import IntentKind
from apps.trading.services import gate
from apps.trading.services.exit_intents import LeasedExit
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """A position as it stands under lock; amounts in whole tokens and SOL."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    mint: str
    symbol: str
    decimals: int
    signal_id: int | None
    purchase_transaction_id: UUID
    purchase_price: Decimal
    purchase_amount: Decimal
    remaining_amount: Decimal
    total_invested_sol: Decimal
    remaining_cost_sol: Decimal
    realized_profit_sol: Decimal
    proceeds_sol: Decimal
    generation: int
    peak_generation: int
    stop_price_sol: Decimal | None
    opened_at: datetime
    is_open: bool
    user_id: UUID


@dataclass(frozen=True, slots=True)
class Claim:
    """An intent still ours, as it stands under lock: a person may have joined it since it was leased.

    `barred` tells of an adjust that a close of its position is open.
    """

    kind: str
    reason: str
    generation: int
    needs_confirmation: bool
    stop_price_sol: Decimal | None
    trigger_price_sol: Decimal | None
    barred: bool

    @property
    def is_adjust(self) -> bool:
        return self.kind == IntentKind.ADJUST


#: A booking of a chunk takes a tenth of a second; who holds a lock for longer hangs.
_PATIENCE = "700ms"
_LOCK_POSITIONS = """
SELECT p.id, p.agent_id, p.wallet_id, p.epoch, p.mint, p.symbol, p.decimals, p.signal_id, p.purchase_transaction_id,
       p.purchase_price, p.purchase_amount, p.remaining_amount, p.total_invested_sol, p.remaining_cost_sol,
       p.realized_profit_sol, p.proceeds_sol, p.generation, p.peak_generation, p.stop_price_sol, p.opened_at,
       p.closed_at IS NULL, a.user_id
FROM position p JOIN agent a ON a.id = p.agent_id
WHERE p.id = ANY(%s) ORDER BY p.id FOR NO KEY UPDATE OF p
"""
_LOCK_INTENTS = """
SELECT i.id, i.kind, i.reason, i.generation, i.needs_confirmation, (i.details ->> 'stopPriceSol')::numeric,
       i.trigger_price_sol, i.kind = 'adjust' AND EXISTS (
         SELECT 1 FROM exit_intent barring WHERE barring.position_id = i.position_id AND barring.kind = 'close'
         AND barring.status IN ('due', 'leased'))
FROM exit_intent i JOIN unnest(%s::bigint[], %s::timestamptz[]) AS v (id, lease) ON v.id = i.id
WHERE i.status = 'leased' AND i.lease_until = v.lease ORDER BY i.kind DESC, i.position_id FOR NO KEY UPDATE OF i
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """What a chunk of exits holds until commit. A claim that is missing is in other hands now."""

    wallets: dict[UUID, LockedWallet]
    positions: dict[UUID, HeldPosition]
    claims: dict[int, Claim]


def lock(exits: Sequence[LeasedExit]) -> Locked:
    """Lock all that booking these exits needs, in the order of every booking, the desk shared.

    Every lock is had soon or not at all (SQLSTATE 55P03), now and for the rest of the transaction: one agent somebody
    holds must not keep the others.
    """
    bulk.fetch_all("SELECT set_config('lock_timeout', %s, true)", [_PATIENCE])
    gate.lock_desk()
    locks.lock_states({item.agent_id for item in exits})
    wallets = books.lock_wallets({item.wallet_id for item in exits})
    positions = lock_positions(item.position_id for item in exits)
    claims = bulk.fetch_all(_LOCK_INTENTS, [[item.id for item in exits], [item.lease_until for item in exits]])
    return Locked(
        wallets=wallets,
        positions=positions,
        claims={row[0]: Claim(*row[1:]) for row in claims},
    )


def lock_positions(position_ids: Iterable[UUID]) -> dict[UUID, HeldPosition]:
    """Lock positions by id, in order; callers hold their agents and wallets."""
    return {row[0]: HeldPosition(*row) for row in bulk.fetch_all(_LOCK_POSITIONS, [list(position_ids)])}


def is_current(position: HeldPosition, wallet: LockedWallet) -> bool:
    """Tell whether a position still belongs to its wallet's books: neither released nor reset since."""
    return not wallet.released and wallet.epoch == position.epoch


def standing(
    leased: LeasedExit,
    claim: Claim,
    position: HeldPosition,
    *,
    wallet_current: bool,
    config: TradingConfig | None,
    at: datetime,
) -> Standing:
    """Return what the rules of adjusts look at besides the price; `at` is the database's clock."""
    age = at - leased.created_at
    return Standing(
        fired_generation=claim.generation,
        generation=position.generation,
        is_open=position.is_open,
        wallet_current=wallet_current,
        barred=claim.barred,
        age_seconds=Decimal(age.days * 86_400 + age.seconds) + Decimal(age.microseconds).scaleb(-6),
        config=config,
    )
