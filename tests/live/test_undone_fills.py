"""A take profit or a DCA that a fork undid leaves its position as it was: levels, average, stop and cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.trading.models import ClosedTrade, ExitIntent, Order, OrderPurpose, Position, RealisedToday
from apps.trading.selectors import story_rows
from apps.trading.services import exit_runner
from apps.trading.services.live import reversing, settling
from tests.live import trading
from tests.trading import adjusting
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)

RULES = (
    "purchase_price",
    "purchase_amount",
    "remaining_amount",
    "total_invested_sol",
    "remaining_cost_sol",
    "realized_profit_sol",
    "dca_count",
    "take_profit_levels_hit",
    "take_profit_start_level",
    "take_profit_total_levels",
    "moon_bag_activated",
    "moon_bag_amount",
)


@pytest.fixture
def token(market):
    return market.add_token(**adjusting.DEEP)


def seen(position: Position, *names: str) -> list[object]:
    position.refresh_from_db()
    return [getattr(position, name) for name in names]


def adjusted(market, position: Position, reason: str, percent: str, **said: int) -> Order:
    """Fire an adjust, let its order land, and return the order."""
    adjusting.fire_at(market, position, reason, percent)
    exit_runner.run_due()
    order = trading.sign(Order.objects.get(purpose=reason, status="reserved"))
    settling.settle_landed([(order.pk, trading.landed(order, **said))])
    return order


def raise_stop(position: Position, percent: int) -> None:
    Position.objects.filter(pk=position.pk).update(
        peak_price_sol=position.purchase_price * 2,
        stop_percent=percent,
        stop_price_sol=position.purchase_price * (100 + percent) / 100,
    )


def test_a_take_profit_that_was_undone_may_take_its_level_again_and_the_stop_stays_where_it_was_earned(market, token):
    config = {**trading.ONE_SOL, **adjusting.taking([(50, 25), (100, 25)], bag=(50, 10))}
    position = trading.hold(token, config=config)
    raise_stop(position, 35)
    before, protected = seen(position, *RULES), seen(position, "stop_percent", "stop_price_sol", "peak_price_sol")
    sale = adjusted(market, position, "take_profit", "60", lamports=400_000_000)
    assert seen(position, "take_profit_levels_hit", "moon_bag_activated") == [1, True]

    reversing.reverse_landed(sale.pk)

    assert seen(position, *RULES) == before
    assert seen(position, "stop_percent", "stop_price_sol", "peak_price_sol") == protected
    assert RealisedToday.objects.get(agent=position.agent).profit_sol == 0
    assert [fill.is_buy for fill in story_rows.of_positions([position.pk])[position.pk].fills] == [True]
    assert differences() == []

    settling.settle_ended([(sale.pk, "expired", "EXPIRED")])
    ExitIntent.objects.filter(position=position).update(status="cancelled", finished_at=None)
    again = adjusted(market, position, "take_profit", "60", lamports=400_000_000)
    assert again.inputs["levels"] == 1
    assert seen(position, "take_profit_levels_hit") == [1]
    assert differences() == []


def test_a_take_profit_that_was_undone_and_lands_after_all_counts_its_level_once(market, token):
    position = trading.hold(token, config={**trading.ONE_SOL, **adjusting.taking()})
    sale = adjusted(market, position, "take_profit", "60", lamports=400_000_000)
    once = seen(position, *RULES)
    reversing.reverse_landed(sale.pk)
    assert ExitIntent.objects.get(position=position).status == "leased"

    settling.settle_landed([(sale.pk, trading.landed(sale, lamports=400_000_000))])

    assert seen(position, *RULES) == once
    assert differences() == []


def test_the_first_of_two_take_profits_is_undone_from_under_the_second(market, token):
    position = trading.hold(token, config={**trading.ONE_SOL, **adjusting.taking()})
    first = adjusted(market, position, "take_profit", "60", lamports=400_000_000)
    bought, average = seen(position, "purchase_amount", "purchase_price")
    adjusted(market, position, "take_profit", "110", lamports=500_000_000)

    reversing.reverse_landed(first.pk)

    assert seen(position, "take_profit_levels_hit", "purchase_amount", "purchase_price") == [1, bought, average]
    assert position.remaining_amount == bought * Decimal("0.75")
    assert differences() == []


def test_a_take_profit_of_everything_that_was_undone_is_still_to_be_sold(market, token):
    position = trading.hold(token, config={**trading.ONE_SOL, **adjusting.taking([(50, 100)])})
    sale = adjusted(market, position, "take_profit", "60", lamports=1_500_000_000)
    assert ClosedTrade.objects.get().close_reason == "take_profit"

    reversing.reverse_landed(sale.pk)

    left = Position.objects.get(closed_at=None)
    close = ExitIntent.objects.get(position=left)
    assert (close.kind, close.reason, close.status) == ("close", "take_profit", "due")
    assert differences() == []

    settling.settle_ended([(sale.pk, "expired", "EXPIRED")])
    exit_runner.run_due()
    last = trading.sign(Order.objects.get(status="reserved"))
    assert last.purpose == OrderPurpose.CLOSE
    settling.settle_landed([(last.pk, trading.landed(last))])
    assert seen(left, "close_reason", "remaining_amount") == ["take_profit", 0]
    assert differences() == []


def test_a_take_profit_of_everything_that_was_undone_and_lands_after_all_ends_the_position(market, token):
    position = trading.hold(token, config={**trading.ONE_SOL, **adjusting.taking([(50, 100)])})
    sale = adjusted(market, position, "take_profit", "60", lamports=1_500_000_000)
    reversing.reverse_landed(sale.pk)

    settling.settle_landed([(sale.pk, trading.landed(sale, lamports=1_500_000_000))])

    assert not Position.objects.filter(closed_at=None).exists()
    assert not ExitIntent.objects.filter(status__in=("due", "leased")).exists()
    assert differences() == []


def test_a_dca_that_was_undone_gives_its_turn_back_and_the_stop_is_measured_from_the_old_average(market, token):
    position = trading.hold(token, config={**trading.ONE_SOL, **adjusting.adding(), **adjusting.taking()})
    before = seen(position, *RULES, "stop_percent", "stop_price_sol")
    tokens = int(position.remaining_amount * 10**token.decimals)
    buy = adjusted(market, position, "dca", "-30", tokens=tokens // 2)
    assert seen(position, "dca_count", "take_profit_total_levels") == [1, 3]

    reversing.reverse_landed(buy.pk)

    assert seen(position, *RULES, "stop_percent", "stop_price_sol") == before
    assert differences() == []
