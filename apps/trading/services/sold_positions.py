"""Positions that were sold, in part or whole: what is left of them, their trades, their slots, and who is told.

Written together, whoever filled the sale, in the caller's transaction, under the locks of agents, wallets, positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.agents import locks
from apps.core import bulk, outbox
from apps.core.money import ZERO, lamports_to_sol
from apps.trading import presentation
from apps.trading.domain.fills import Fill
from apps.trading.domain.position_changes import Books
from apps.trading.models import Position
from apps.trading.services import new_closed_trades, position_feed
from apps.trading.services.exit_locks import HeldPosition
from apps.trading.services.new_closed_trades import NewClosedTrade
from apps.wallets.services.books import LockedWallet


@dataclass(frozen=True, slots=True)
class Effect:
    """What a sale leaves of a position, whole tokens and SOL. The last two are a take profit's, None otherwise.

    `moon_bag_amount` is the bag this very sale sets aside.
    """

    remaining_amount: Decimal
    remaining_cost_sol: Decimal
    proceeds_sol: Decimal
    realized_profit_sol: Decimal
    levels_hit: int | None = None
    moon_bag_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sold:
    """A position as it was, and what a sale made of it; `trade` when that ended it."""

    position: HeldPosition
    wallet: LockedWallet
    effect: Effect
    trade: NewClosedTrade | None


def of_everything(position: HeldPosition, fill: Fill) -> Effect:
    """Return what a sale of everything leaves: it takes what is left of the cost."""
    net = lamports_to_sol(fill.net_lamports)
    return Effect(
        remaining_amount=ZERO,
        remaining_cost_sol=ZERO,
        proceeds_sol=position.proceeds_sol + net,
        realized_profit_sol=position.realized_profit_sol + net - position.remaining_cost_sol,
    )


def of_books(after: Books, *, took_profit: bool = False, set_bag_aside: bool = False) -> Effect:
    """Return what the books hold after a sale."""
    return Effect(
        remaining_amount=after.tokens(after.remaining_units),
        remaining_cost_sol=lamports_to_sol(after.remaining_cost_lamports),
        proceeds_sol=lamports_to_sol(after.proceeds_lamports),
        realized_profit_sol=lamports_to_sol(after.realised_lamports),
        levels_hit=after.levels_hit if took_profit else None,
        moon_bag_amount=after.moon_bag_tokens if set_bag_aside else None,
    )


_CHANGE_POSITIONS = """
UPDATE position p
SET remaining_amount = v.remaining, remaining_cost_sol = v.cost, proceeds_sol = v.proceeds,
    realized_profit_sol = v.realised, generation = p.generation + 1, updated_at = %(at)s,
    closed_at = CASE WHEN v.reason <> '' THEN %(at)s END, close_reason = v.reason,
    take_profit_levels_hit = COALESCE(v.levels, p.take_profit_levels_hit),
    last_take_profit_at = CASE WHEN v.levels IS NULL THEN p.last_take_profit_at ELSE %(at)s END,
    moon_bag_activated = p.moon_bag_activated OR v.bag IS NOT NULL,
    moon_bag_amount = COALESCE(v.bag, p.moon_bag_amount)
FROM unnest(%(ids)s::uuid[], %(remaining)s::numeric[], %(costs)s::numeric[], %(proceeds)s::numeric[],
            %(realised)s::numeric[], %(reasons)s::text[], %(levels)s::int[], %(bags)s::numeric[])
    AS v (id, remaining, cost, proceeds, realised, reason, levels, bag)
WHERE p.id = v.id
"""


def write(sold: Sequence[Sold], at: datetime) -> None:
    """Write what sales made of positions, the trades they ended, and the slots those free."""
    if not sold:
        return
    bulk.execute(
        _CHANGE_POSITIONS,
        {
            "at": at,
            "ids": [item.position.id for item in sold],
            "remaining": [item.effect.remaining_amount for item in sold],
            "costs": [item.effect.remaining_cost_sol for item in sold],
            "proceeds": [item.effect.proceeds_sol for item in sold],
            "realised": [item.effect.realized_profit_sol for item in sold],
            "reasons": ["" if item.trade is None else item.trade.close_reason for item in sold],
            "levels": [item.effect.levels_hit for item in sold],
            "bags": [item.effect.moon_bag_amount for item in sold],
        },
    )
    write_trades(sold)


def write_trades(sold: Sequence[Sold]) -> None:
    """Write the trades of positions that ended, and free their slots."""
    trades = [item.trade for item in sold if item.trade is not None]
    if trades:
        new_closed_trades.insert(trades)
        locks.count_positions(_slots_freed(trades))


def _slots_freed(trades: Sequence[NewClosedTrade]) -> dict[UUID, int]:
    freed: dict[UUID, int] = {}
    for trade in trades:
        freed[trade.agent_id] = freed.get(trade.agent_id, 0) - 1
    return freed


def messages(sold: Sequence[Sold]) -> list[outbox.Message]:
    """Tell of the positions as they stand now, of those that are gone, and of their trades; after `write`."""
    return [*_updates(sold), *(message for item in sold for message in _end(item))]


def _updates(sold: Sequence[Sold]) -> list[outbox.Message]:
    addresses = {item.position.id: item.wallet.address for item in sold if item.trade is None}
    if not addresses:
        return []
    rows = Position.objects.filter(pk__in=addresses).order_by("agent_id", "pk")
    return position_feed.updated((row, addresses[row.pk]) for row in rows)


def _end(item: Sold) -> list[outbox.Message]:
    if item.trade is None:
        return []
    position = item.position
    trade = {"agentId": str(position.agent_id), "trade": presentation.closed_trade(item.trade, item.wallet.address)}
    return [
        position_feed.closed(position.agent_id, position.id),
        outbox.Message(outbox.user_stream(position.user_id), "trade_closed", trade),
    ]
