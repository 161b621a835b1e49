"""A position as it would be had one of its fills never been: for a sale, or a DCA, that the finalized chain lacks.

Its books are those of the fills that stand. Its peak and the stop it has earned stay: the price was there, whatever
became of the sale. Levels of take profit the sale had counted may be reached again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from apps.core import bulk, outbox
from apps.core.money import lamports_to_sol, quantize_price, sol_to_lamports, to_base_units
from apps.trading.domain.cost_basis import Holding, trigger_average
from apps.trading.domain.position_changes import Books
from apps.trading.models import OrderPurpose, Position
from apps.trading.selectors import undone_fills
from apps.trading.services import position_feed
from apps.trading.services.live.order_rows import LockedOrder


def undo(order: LockedOrder, position_id: UUID, before: Books, *, wallet_address: str, at: datetime) -> outbox.Message:
    """Write the position without the fill of `order`, whose compensation is written already; return who is told.

    `before` are its books with the fill in them. Under the locks of a settlement.
    """
    after = _without(order, _replayed(position_id, before), position_id)
    bulk.execute(
        _WRITE,
        {
            "id": position_id,
            "at": at,
            "average": quantize_price(after.average_price),
            "bought": after.tokens(after.bought_units),
            "remaining": after.tokens(after.remaining_units),
            "invested": lamports_to_sol(after.invested_lamports),
            "cost": lamports_to_sol(after.remaining_cost_lamports),
            "proceeds": lamports_to_sol(after.proceeds_lamports),
            "realised": lamports_to_sol(after.realised_lamports),
            "dcas": after.dca_count,
            "levels": after.levels_hit,
            "first_level": after.batch_start,
            "total_levels": after.total_levels,
            "bag_active": after.moon_bag_active,
            "bag": after.moon_bag_tokens,
        },
    )
    (message,) = position_feed.updated([(Position.objects.get(pk=position_id), wallet_address)])
    return message


# The stop is a percentage of the average: where that moves, its price moves with it. Its percentage never falls here.
_WRITE = """
UPDATE position SET purchase_price = %(average)s, purchase_amount = %(bought)s, remaining_amount = %(remaining)s,
    total_invested_sol = %(invested)s, remaining_cost_sol = %(cost)s, proceeds_sol = %(proceeds)s,
    realized_profit_sol = %(realised)s, dca_count = %(dcas)s, take_profit_levels_hit = %(levels)s,
    take_profit_start_level = %(first_level)s, take_profit_total_levels = %(total_levels)s,
    moon_bag_activated = %(bag_active)s, moon_bag_amount = %(bag)s,
    stop_price_sol = CASE WHEN purchase_price = %(average)s THEN stop_price_sol
                          ELSE round(%(average)s * (1 + stop_percent / 100), 24) END,
    generation = generation + 1, updated_at = %(at)s
WHERE id = %(id)s
"""


def _replayed(position_id: UUID, before: Books) -> Books:
    """Return the books of the fills that stand; progress of take profit is not theirs to say."""
    holding, bought, invested, proceeds, dcas = Holding(0, 0), 0, 0, 0, 0
    for is_buy, amount, sol, is_dca in undone_fills.left_of(position_id):
        units, lamports = to_base_units(amount, before.token_decimals), sol_to_lamports(sol)
        if is_buy:
            holding = holding.bought(units, lamports)
            bought, invested, dcas = bought + units, invested + lamports, dcas + int(is_dca)
        else:
            holding = holding.sold(units, lamports).holding
            proceeds += lamports
    return replace(
        before,
        bought_units=bought,
        remaining_units=holding.base_units,
        invested_lamports=invested,
        remaining_cost_lamports=holding.cost_lamports,
        average_price=trigger_average(invested, bought, before.token_decimals),
        proceeds_lamports=proceeds,
        realised_lamports=proceeds - invested + holding.cost_lamports,
        dca_count=dcas,
    )


def _without(order: LockedOrder, books: Books, position_id: UUID) -> Books:
    """Return the books with the take-profit progress they had before the order's fill."""
    if order.purpose == OrderPurpose.TAKE_PROFIT:
        levels = int(order.inputs["levels"])
        # A DCA after it began its list behind the levels counted then.
        began_later = books.batch_start if undone_fills.has_dca_after(position_id, order.transaction_id) else 0
        books = replace(
            books,
            levels_hit=max(0, books.levels_hit - levels),
            batch_start=max(0, began_later - levels) if began_later else books.batch_start,
            total_levels=books.total_levels - levels if began_later and books.total_levels else books.total_levels,
        )
        if order.inputs.get("moonBagUnits") is not None:
            books = replace(books, moon_bag_active=False, moon_bag_units=None)
    elif not books.dca_count:
        books = replace(books, batch_start=0, total_levels=None)
    return books
