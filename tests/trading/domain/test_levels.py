"""Take profit, DCA and stale close: the contract's worked examples and what must always hold."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import PurchaseLimits, StaleTrade
from apps.agents.domain.trading_config import load
from apps.core.money import MONEY
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


seconds = st.decimals("0", "4000", places=3)


@given(cooldown=st.decimals("10", "3600", places=3), elapsed=seconds)
def test_a_dca_may_follow_the_last_one_from_the_very_second_its_cooldown_ends(
    cooldown: Decimal, elapsed: Decimal
) -> None:
    rules = replace(DCA, cooldown_seconds=cooldown)
    for since in (elapsed, cooldown, cooldown - Decimal("0.001")):
        decision = dca.evaluate(DcaView(Decimal(1), Decimal(1000), seconds_since_last=since), Decimal("0.5"), rules)
        assert decision.allowed == (since >= cooldown)
        assert (decision.cooldown_remaining_seconds or 0) >= cooldown - since


@given(
    bounds=st.tuples(st.decimals(-99, 99, places=4), st.decimals(-99, 99, places=4)),
    gain=st.decimals(-99, 99, places=4),
    average=tokens,
    hold=st.integers(1, 600),
    extra=st.decimals("-1", "1", places=6),
)
def test_stale_counts_both_bounds_and_the_minute_it_begins_with(
    bounds: tuple[Decimal, Decimal], gain: Decimal, average: Decimal, hold: int, extra: Decimal
) -> None:
    low, high = sorted(bounds)
    rules = StaleTrade(True, Decimal(hold), low, high)
    with localcontext(MONEY):
        for percent in (gain, low, high):
            price = average * (1 + percent / 100)
            is_stale = stale.is_stale(hold + extra, average, price, rules)
            assert is_stale == (extra >= 0 and low <= percent <= high)
    assert not stale.is_stale(hold + extra, average, average, replace(rules, enabled=False))


def test_a_position_is_stale_from_its_sixtieth_minute_as_the_contract_tells_it() -> None:
    rules = load(None).stale_trade
    almost = Decimal(3599) / 60
    judged = [(almost, "1.05"), (Decimal(60), "1.05"), (Decimal(60), "1.0099"), (Decimal(60), "1.1001")]
    assert [stale.is_stale(age, Decimal(1), Decimal(price), rules) for age, price in judged] == [
        False,
        True,
        False,
        False,
    ]


def test_dca_refuses_what_the_wallet_cannot_pay_before_it_clips() -> None:
    limits = PurchaseLimits(Decimal("0.5"), Decimal(2), None)
    assert dca.affordable(Decimal(100), Decimal(4), limits) is None
    assert dca.affordable(Decimal(4), Decimal(4), limits) == 2
    assert (
        dca.affordable(Decimal("3.5"), Decimal("3.5"), replace(limits, max_purchase_per_token_sol=Decimal(5))) is None
    )
