"""Positions that were added to: new average, new peak, the stop and the take-profit list started over.

Written together, whoever filled the buy, in the caller's transaction, under the locks of agents, wallets, positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.agents.domain.trading_config import TradingConfig
from apps.core import bulk, outbox
from apps.core.money import lamports_to_sol, quantize_percent, quantize_price
from apps.trading.domain import stop_loss
from apps.trading.domain.fills import Fill
from apps.trading.domain.position_changes import Books
from apps.trading.models import Position
from apps.trading.services import position_feed
from apps.wallets.services.books import LockedWallet


@dataclass(frozen=True, slots=True)
class Added:
    """A position as a buy leaves it: its books, and where its stop starts over (None: it has none)."""

    position_id: UUID
    wallet_address: str
    books: Books
    fill_price_sol: Decimal
    stop_percent: Decimal | None
    stop_price_sol: Decimal | None
    last_tick: int


def restarted(
    position_id: UUID, wallet: LockedWallet, after: Books, fill: Fill, config: TradingConfig | None, last_tick: int
) -> Added:
    """Return the position with its stop started over from the new average; `config` None has none."""
    percent = None
    if config is not None and config.stop_loss.enabled:
        percent = stop_loss.after_dca(fill.price_sol, config.stop_loss).stop_percent
    return Added(
        position_id=position_id,
        wallet_address=wallet.address,
        books=after,
        fill_price_sol=fill.price_sol,
        stop_percent=None if percent is None else quantize_percent(percent),
        stop_price_sol=None if percent is None else quantize_price(stop_loss.level(after.average_price, percent)),
        last_tick=last_tick,
    )


_ADD = """
UPDATE position p
SET purchase_price = v.average, purchase_amount = v.bought, remaining_amount = v.remaining,
    total_invested_sol = v.invested, remaining_cost_sol = v.cost, dca_count = v.dcas, last_dca_at = %(at)s,
    take_profit_start_level = v.first_level, take_profit_total_levels = v.total_levels,
    peak_price_sol = v.fill_price, peak_from_tick = v.last_tick, peak_generation = p.generation + 1,
    stop_percent = v.stop_percent, stop_price_sol = v.stop_price,
    stop_updated_at = CASE WHEN v.stop_percent IS NULL THEN p.stop_updated_at ELSE %(at)s END,
    generation = p.generation + 1, updated_at = %(at)s
FROM unnest(%(ids)s::uuid[], %(averages)s::numeric[], %(bought)s::numeric[], %(remaining)s::numeric[],
            %(invested)s::numeric[], %(costs)s::numeric[], %(dcas)s::int[], %(first_levels)s::int[],
            %(total_levels)s::int[], %(fill_prices)s::numeric[], %(last_ticks)s::bigint[],
            %(stop_percents)s::numeric[], %(stop_prices)s::numeric[])
    AS v (id, average, bought, remaining, invested, cost, dcas, first_level, total_levels, fill_price, last_tick,
          stop_percent, stop_price)
WHERE p.id = v.id
"""


def write(added: Sequence[Added], at: datetime) -> None:
    """Write what buys made of positions."""
    if not added:
        return
    bulk.execute(
        _ADD,
        {
            "at": at,
            "ids": [item.position_id for item in added],
            "averages": [item.books.average_price for item in added],
            "bought": [item.books.tokens(item.books.bought_units) for item in added],
            "remaining": [item.books.tokens(item.books.remaining_units) for item in added],
            "invested": [lamports_to_sol(item.books.invested_lamports) for item in added],
            "costs": [lamports_to_sol(item.books.remaining_cost_lamports) for item in added],
            "dcas": [item.books.dca_count for item in added],
            "first_levels": [item.books.batch_start for item in added],
            "total_levels": [item.books.total_levels for item in added],
            "fill_prices": [item.fill_price_sol for item in added],
            "last_ticks": [item.last_tick for item in added],
            "stop_percents": [item.stop_percent for item in added],
            "stop_prices": [item.stop_price_sol for item in added],
        },
    )


def messages(added: Sequence[Added]) -> list[outbox.Message]:
    """Tell of the positions as they stand now; after `write`."""
    if not added:
        return []
    addresses = {item.position_id: item.wallet_address for item in added}
    rows = Position.objects.filter(pk__in=addresses).order_by("agent_id", "pk")
    return position_feed.updated((row, addresses[row.pk]) for row in rows)
