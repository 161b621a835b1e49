"""Take profit, DCA and stale close: the contract's worked examples and what must always hold."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import PurchaseLimits
from apps.agents.domain.trading_config import load
from apps.trading.domain import dca, stale, take_profit
from apps.trading.domain.dca import DcaView
from apps.trading.domain.take_profit import TakeProfitView

MODERATE = load({"takeProfit": {"enabled": True}}).take_profit
DCA = load({"dca": {"enabled": True}}).dca


def test_take_profit_climbs_the_moderate_levels_and_keeps_the_bag() -> None:
    view = TakeProfitView(Decimal(1), Decimal(1000))
    sold = []
    for price in ("1.2", "1.5", "2.5", "4", "5", "10"):
        decision = take_profit.evaluate(view, Decimal(price), MODERATE)
        if decision.allowed:
            sold.append(int(decision.sell_tokens))
            view = TakeProfitView(
                Decimal(1),
                Decimal(1000),
                decision.remaining_tokens,
                view.levels_hit + len(decision.levels),
                moon_bag_active=view.moon_bag_active or decision.activates_moon_bag,
                moon_bag_tokens=decision.moon_bag_tokens if decision.activates_moon_bag else view.moon_bag_tokens,
            )
    assert sold == [250, 250, 250, 150]
    assert view.remaining_tokens == view.moon_bag_tokens == 100


def test_a_sale_that_leaves_nothing_closes_unless_it_sets_the_bag_aside() -> None:
    levels = [{"targetPercent": 10, "sellPercent": 100}]
    whole = load({"takeProfit": {"enabled": True, "mode": "custom", "levels": levels, "moonBag": {"enabled": False}}})
    decision = take_profit.evaluate(TakeProfitView(Decimal(1), Decimal(1000)), Decimal(2), whole.take_profit)
    assert decision.closes
    assert not take_profit.evaluate(TakeProfitView(Decimal(1), Decimal(1000)), Decimal(5), MODERATE).closes


tokens = st.decimals(min_value="0.000001", max_value=10**9, places=6)


@given(bought=tokens, kept=st.decimals(0, 1, places=4), hit=st.integers(0, 5), price=tokens, bag=st.booleans())
def test_take_profit_never_sells_into_the_bag_or_more_than_remains(
    bought: Decimal, kept: Decimal, hit: int, price: Decimal, bag: bool
) -> None:
    remaining = bought * kept
    view = TakeProfitView(
        Decimal(1), bought, remaining, hit, moon_bag_active=bag, moon_bag_tokens=bought / 10 if bag else None
    )
    decision = take_profit.evaluate(view, price, MODERATE)
    assert decision.remaining_tokens + decision.sell_tokens == remaining
    if decision.allowed:
        reserve = bought / 10 if bag else decision.moon_bag_tokens
        assert decision.sell_tokens > 0
        assert decision.remaining_tokens >= reserve


def test_dca_follows_the_worked_example() -> None:
    first = dca.evaluate(DcaView(Decimal("0.001"), Decimal(1000)), Decimal("0.0008"), DCA)
    assert (first.allowed, first.buy_sol) == (True, Decimal("0.6"))
    totals = dca.new_average(Decimal(1), Decimal(1000), Decimal("0.6"), Decimal(750))
    view = DcaView(totals.average_price, totals.bought_tokens, count=1, seconds_since_last=Decimal(29))
    waiting = dca.evaluate(view, Decimal("0.0007"), DCA)
    assert (waiting.code, waiting.cooldown_remaining_seconds) == ("cooldown", 1)
    exhausted = DcaView(totals.average_price, totals.bought_tokens, count=2, seconds_since_last=Decimal(30))
    assert dca.evaluate(exhausted, Decimal("0.0001"), DCA).code == "levels_exhausted"


def test_a_drop_of_exactly_a_level_triggers() -> None:
    assert dca.evaluate(DcaView(Decimal(1), Decimal(1000)), Decimal("0.8"), DCA).allowed
    assert not dca.evaluate(DcaView(Decimal(1), Decimal(1000)), Decimal("0.800000000000000001"), DCA).allowed


@given(
    wanted=st.decimals(0, 50, places=9),
    balance=st.decimals(0, 50, places=9),
    minimum=st.decimals("0.1", 5, places=9),
    largest=st.decimals("0.000000001", 5, places=9),
)
def test_a_dca_buy_keeps_the_minimum_balance_and_is_clipped(
    wanted: Decimal, balance: Decimal, minimum: Decimal, largest: Decimal
) -> None:
    allowed = dca.affordable(wanted, balance, PurchaseLimits(minimum, largest, None))
    if allowed is not None:
        assert 0 < allowed <= min(wanted, largest)
        assert balance - allowed >= minimum


def test_stale_bounds_are_inclusive() -> None:
    rules = load({"staleTrade": {"minProfitPercent": -5, "maxProfitPercent": -1}}).stale_trade

    def judge(minutes: str, price: str) -> bool:
        return stale.is_stale(Decimal(minutes), Decimal(1), Decimal(price), rules)

    assert judge("60", "0.95") and judge("60", "0.99")
    assert not judge("59.99", "0.97") and not judge("60", "0.9901") and not judge("60", "0.9499")
