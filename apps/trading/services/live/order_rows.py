"""Orders under lock, with what their end needs to know, and the rows that say how they ended. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from apps.agents import locks
from apps.agents.domain.trading_config import TradingConfig
from apps.core import bulk
from apps.trading.domain import order_machine
from apps.trading.selectors import adjusting, live_wallets
from apps.trading.selectors.adjusting import Adjusting
from apps.trading.selectors.configs import read_config
from apps.trading.selectors.live_wallets import LiveWallet
from apps.trading.services import exit_locks
from apps.trading.services.exit_locks import HeldPosition
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet


@dataclass(frozen=True, slots=True)
class LockedOrder:
    """An order under lock. Whole numbers are base units; what an exit intent or a signal adds is None without one."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    side: str
    purpose: str
    mint: str
    symbol: str
    decimals: int
    signal_id: int | None
    intent_id: int | None
    position_id: UUID | None
    requested_by_id: UUID | None
    attempt: int
    status: str
    in_base_units: int
    slippage_bps: int
    price_impact: Decimal | None
    inputs: dict[str, Any]
    quote: dict[str, Any]
    held_mint: str
    held_amount: Decimal
    slot_held: bool
    signature: str | None
    transaction_id: UUID | None
    created_at: datetime
    user_id: UUID
    config: TradingConfig | None
    intent_reason: str | None
    intent_kind: str | None
    intent_open: bool
    intent_at: datetime | None
    signal_at: datetime | None
    fill: dict[str, Any] | None

    @property
    def in_flight(self) -> bool:
        return self.status in order_machine.IN_FLIGHT

    @property
    def token(self) -> tuple[UUID, str]:
        """What at most one order of a side is in flight for."""
        return self.wallet_id, self.mint


@dataclass(frozen=True, slots=True)
class Situation:
    """What holds for a chunk of orders until commit. `open_by_token` are positions open in (wallet, mint)."""

    orders: list[LockedOrder]
    wallets: dict[UUID, LockedWallet]
    positions: dict[UUID, HeldPosition]
    open_by_token: dict[tuple[UUID, str], HeldPosition]
    present: dict[UUID, Adjusting]
    live: dict[tuple[UUID, str], LiveWallet]
    at: datetime
    last_tick: int

    def is_current(self, order: LockedOrder) -> bool:
        """Tell whether the wallet's books are still those the order was reserved in."""
        wallet = self.wallets[order.wallet_id]
        return not wallet.released and wallet.epoch == order.epoch


_PLACES = "SELECT id, agent_id, wallet_id, mint, position_id, intent_id FROM trade_order WHERE id = ANY(%s)"
_OPEN = """
SELECT p.id FROM position p JOIN unnest(%s::uuid[], %s::text[]) AS v (wallet, mint)
ON p.wallet_id = v.wallet AND p.mint = v.mint WHERE p.closed_at IS NULL
"""
_LOCK_INTENTS = "SELECT 1 FROM exit_intent WHERE id = ANY(%s) ORDER BY kind DESC, position_id FOR NO KEY UPDATE"
_LOCK_ORDERS = """
SELECT o.id, o.agent_id, o.wallet_id, o.epoch, o.side, o.purpose, o.mint, o.symbol, o.decimals, o.signal_id,
       o.intent_id, o.position_id, o.requested_by_id, o.attempt, o.status, o.in_base_units, o.slippage_bps,
       o.price_impact, COALESCE(o.inputs, '{}')::text, COALESCE(o.quote, '{}')::text, o.held_mint, o.held_amount,
       o.slot_held, o.signature, o.transaction_id, o.created_at, a.user_id, a.trading_config::text, i.reason, i.kind,
       COALESCE(i.status IN ('due', 'leased'), false), i.created_at, s.created_at, o.fill::text
FROM trade_order o
JOIN agent a ON a.id = o.agent_id
LEFT JOIN exit_intent i ON i.id = o.intent_id
LEFT JOIN trading_signal s ON s.id = o.signal_id
WHERE o.id = ANY(%s) ORDER BY o.id FOR NO KEY UPDATE OF o
"""
_MOMENT = "SELECT clock_timestamp(), COALESCE((SELECT max(id) FROM tick), 0)"


def places(order_ids: Iterable[UUID]) -> list[tuple[UUID, UUID, UUID, str]]:
    """Return (order, agent, wallet, mint) of the orders there are, read without a lock."""
    return [row[:4] for row in bulk.fetch_all(_PLACES, [list(order_ids)])]


def lock(order_ids: Collection[UUID]) -> Situation:
    """Lock all that ending these orders needs, in the order of every booking, the orders last; read them then."""
    rows = bulk.fetch_all(_PLACES, [list(order_ids)])
    locks.lock_states({row[1] for row in rows})
    wallets = books.lock_wallets({row[2] for row in rows})
    tokens = sorted({(row[2], row[3]) for row in rows})
    found = bulk.fetch_all(_OPEN, [[wallet for wallet, _ in tokens], [mint for _, mint in tokens]])
    wanted = {row[0] for row in found} | {row[4] for row in rows if row[4] is not None}
    positions = exit_locks.lock_positions(wanted) if wanted else {}
    intents = [row[5] for row in rows if row[5] is not None]
    if intents:
        bulk.fetch_all(_LOCK_INTENTS, [intents])
    orders = [_order(row) for row in bulk.fetch_all(_LOCK_ORDERS, [list(order_ids)])]
    ((at, last_tick),) = bulk.fetch_all(_MOMENT)
    return Situation(
        orders=orders,
        wallets=wallets,
        positions=positions,
        open_by_token={(item.wallet_id, item.mint): item for item in positions.values() if item.is_open},
        present=adjusting.read(positions),
        live=live_wallets.read(tokens),
        at=at,
        last_tick=last_tick,
    )


def _order(row: Sequence[Any]) -> LockedOrder:
    values = list(row)
    values[15] = int(values[15])
    values[18], values[19] = orjson.loads(values[18]), orjson.loads(values[19])
    values[27] = read_config(values[27])
    values[33] = None if values[33] is None else orjson.loads(values[33])
    return LockedOrder(*values)


@dataclass(frozen=True, slots=True)
class Ended:
    """What an order's row says of its end. `landed_slot`, `fill` and `transaction_id` only when it is in the chain."""

    order_id: UUID
    status: str
    code: str = ""
    detail: str = ""
    landed_slot: int | None = None
    fill: dict[str, Any] | None = None
    transaction_id: UUID | None = None


_END = """
UPDATE trade_order o
SET status = v.status, code = v.code, detail = v.detail, slot_held = false,
    landed_slot = COALESCE(v.landed_slot, o.landed_slot), fill = COALESCE(v.fill, o.fill),
    transaction_id = COALESCE(v.transaction_id, o.transaction_id),
    landed_at = CASE WHEN v.landed_slot IS NULL THEN o.landed_at ELSE clock_timestamp() END,
    ended_at = CASE WHEN v.status = ANY(%s) THEN clock_timestamp() END
FROM jsonb_to_recordset(%s::jsonb) AS v(order_id uuid, status text, code text, detail text, landed_slot bigint,
     fill jsonb, transaction_id uuid)
WHERE o.id = v.order_id
"""


def end(ended: Sequence[Ended]) -> None:
    """Write how orders ended; who holds their lease keeps it."""
    if not ended:
        return
    rows = [
        {name: getattr(item, name) for name in Ended.__dataclass_fields__}
        | {"code": item.code[:60], "detail": item.detail[:300]}
        for item in ended
    ]
    bulk.execute(_END, [sorted(order_machine.TERMINAL), orjson.dumps(rows).decode()])


def reflect_slots(slots: Sequence[tuple[UUID, int]]) -> None:
    """Raise what wallets' books reflect of the chain: an older answer of a node says nothing about them any more."""
    if slots:
        bulk.execute(
            "UPDATE wallet w SET chain_slot = greatest(w.chain_slot, v.slot)"
            " FROM (SELECT id, max(slot) AS slot FROM unnest(%s::uuid[], %s::bigint[]) AS t (id, slot) GROUP BY id) v"
            " WHERE w.id = v.id",
            [[wallet for wallet, _ in slots], [slot for _, slot in slots]],
        )
