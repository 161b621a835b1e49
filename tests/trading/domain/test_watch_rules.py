"""What one price does to one position: the order of the rules, stops that only rise, doubts that raise nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain import trading_config
from apps.core.money import quantize_percent
from apps.trading.domain import watch_rules
from apps.trading.domain.position_changes import Books
from apps.trading.domain.watch_rules import Watched

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BOOKS = Books(6, 1_000_000_000, 1_000_000_000, 10**12, 10**12, Decimal(1))
FRESH = Watched(
    id=UUID(int=1),
    agent_id=UUID(int=2),
    mint="mint",
    books=BOOKS,
    stop_percent=Decimal(-32),
    generation=1,
    opened_at=NOW,
    config=trading_config.DEFAULT_CONFIG,
)
OLD = replace(FRESH, opened_at=NOW - timedelta(hours=2))
LADDER = trading_config.load({"takeProfit": {"enabled": True}, "dca": {"enabled": True}})
prices = st.decimals("0.000001", "100", places=6)


def reason(position: Watched, price: str) -> str | None:
    return watch_rules.judge(position, Decimal(price), now=NOW).reason


@pytest.mark.parametrize(("price", "fires"), [("0.68", True), ("0.680000000000000000000001", False), ("0.1", True)])
def test_the_stop_fires_at_its_level_to_the_last_digit(price, fires):
    assert (reason(FRESH, price) == "stop_loss") is fires


def test_the_stop_goes_before_the_stale_close():
    assert reason(replace(OLD, stop_percent=Decimal(40)), "1.05") == "stop_loss"
    assert reason(replace(OLD, peak_price=Decimal("1.5")), "1.05") == "stop_loss"
    assert reason(OLD, "1.05") == "stale_trade"


def test_the_stop_goes_before_take_profit_and_take_profit_before_the_stale_close():
    drifting = trading_config.load(
        {"takeProfit": {"enabled": True}, "staleTrade": {"minProfitPercent": 1, "maxProfitPercent": 500}}
    )
    position = replace(OLD, config=drifting)
    assert reason(position, "1.5") == "take_profit"
    assert reason(replace(position, stop_percent=Decimal(60)), "1.5") == "stop_loss"
    assert reason(replace(position, adjusting=True), "1.5") == "stale_trade"


def test_the_stale_close_goes_before_dca():
    falling = trading_config.load(
        {"dca": {"enabled": True}, "staleTrade": {"minProfitPercent": -40, "maxProfitPercent": 0}}
    )
    assert reason(replace(FRESH, config=falling), "0.8") == "dca"
    assert reason(replace(OLD, config=falling), "0.8") == "stale_trade"


def test_a_jump_over_three_levels_sells_them_as_one():
    verdict = watch_rules.judge(replace(FRESH, config=LADDER), Decimal("4.5"), now=NOW)
    assert verdict.reason == "take_profit" and verdict.take_profit is not None
    assert [level.target_percent for level in verdict.take_profit.levels] == [50, 150, 300]


def test_who_may_not_sell_or_add_is_left_alone_but_for_the_stop():
    barred = replace(FRESH, config=LADDER, may_sell=False, may_add=False)
    assert [reason(barred, price) for price in ("1.5", "0.8", "0.6")] == [None, None, "stop_loss"]


def test_a_dca_waits_for_its_cooldown():
    at = NOW - timedelta(seconds=30)
    once = replace(FRESH, config=LADDER, last_dca_at=at, books=replace(BOOKS, dca_count=1))
    assert reason(once, "0.8") == "dca"
    assert reason(replace(once, last_dca_at=at + timedelta(microseconds=1)), "0.8") is None


@pytest.mark.parametrize(("age_seconds", "closes"), [(3600, True), (3599.999, False)])
def test_a_stale_close_waits_for_the_full_time(age_seconds, closes):
    position = replace(FRESH, opened_at=NOW - timedelta(seconds=age_seconds))
    assert (reason(position, "1.05") is not None) is closes


def test_a_position_that_is_being_closed_is_not_judged():
    assert watch_rules.judge(replace(FRESH, closing=True), Decimal("0.1"), now=NOW) == watch_rules.NOTHING


@given(prices)
def test_a_doubted_price_fires_only_the_stop(price):
    verdict = watch_rules.judge_doubted(OLD, price)
    assert verdict.reason == ("stop_loss" if price <= Decimal("0.68") else None)


@given(st.lists(prices, min_size=1, max_size=20), st.sampled_from(["fixed", "exponential", "zones"]))
def test_the_last_stop_of_a_path_is_that_of_its_peak(path, mode):
    rules = trading_config.load({"stopLoss": {"mode": mode}}).stop_loss
    percent = Decimal(-32)
    for price in path:
        risen = watch_rules.raised(percent, Decimal(1), price, rules)
        assert risen >= percent and risen == quantize_percent(risen)
        percent = risen
    assert percent == watch_rules.raised(Decimal(-32), Decimal(1), max(path), rules)


def test_a_broken_configuration_leaves_the_stored_stop_and_judges_nothing_else():
    broken = replace(OLD, config=None)
    assert [reason(broken, "1.05"), reason(broken, "0.68")] == [None, "stop_loss"]
    assert reason(replace(broken, stop_percent=None), "0.1") is None
