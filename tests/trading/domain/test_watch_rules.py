"""What one price does to one position: the order of the rules, peaks that only rise, doubts that raise nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain import trading_config
from apps.core.money import quantize_percent, quantize_price
from apps.trading.domain import watch_rules
from apps.trading.domain.watch_rules import Level, Watched

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRESH = Watched(
    id=UUID(int=1),
    agent_id=UUID(int=2),
    mint="mint",
    average_price=Decimal(1),
    peak_price=Decimal(1),
    stop_percent=Decimal(-32),
    stop_price=Decimal("0.68"),
    generation=1,
    peak_generation=1,
    opened_at=NOW,
    closing=False,
    config=trading_config.DEFAULT_CONFIG,
)
OLD = replace(FRESH, opened_at=NOW - timedelta(hours=2))
prices = st.decimals("0.000001", "100", places=6)


@pytest.mark.parametrize(("price", "fires"), [("0.68", True), ("0.680000000000000000000001", False), ("0.1", True)])
def test_the_stop_fires_at_its_level_to_the_last_digit(price, fires):
    assert (watch_rules.judge(FRESH, Decimal(price), now=NOW).close_reason == "stop_loss") is fires


def test_the_stop_goes_before_the_stale_close():
    passed = replace(OLD, peak_price=Decimal("1.5"), stop_percent=Decimal(40), stop_price=Decimal("1.4"))
    assert watch_rules.judge(passed, Decimal("1.05"), now=NOW).close_reason == "stop_loss"
    assert watch_rules.judge(OLD, Decimal("1.05"), now=NOW).close_reason == "stale_trade"


@pytest.mark.parametrize(("age_seconds", "closes"), [(3600, True), (3599.999, False)])
def test_a_stale_close_waits_for_the_full_time(age_seconds, closes):
    position = replace(FRESH, opened_at=NOW - timedelta(seconds=age_seconds))
    assert (watch_rules.judge(position, Decimal("1.05"), now=NOW).close_reason is not None) is closes


def test_a_position_that_is_being_closed_is_not_judged():
    assert watch_rules.judge(replace(FRESH, closing=True), Decimal("0.1"), now=NOW) == watch_rules.NOTHING


def test_nothing_is_to_be_stored_while_the_price_stays_below_the_peak():
    assert watch_rules.judge(FRESH, Decimal("0.9"), now=NOW).level is None


def test_a_small_rise_stores_the_peak_and_moves_no_stop():
    level = watch_rules.judge(FRESH, Decimal("1.0000001"), now=NOW).level
    assert level is not None
    assert (level.peak_price, level.stop_percent, level.stop_moved) == (Decimal("1.0000001"), Decimal(-32), False)


def test_what_was_stored_is_not_stored_again_because_of_rounding():
    third = replace(FRESH, average_price=Decimal(3))
    level = watch_rules.judge(third, Decimal(4), now=NOW).level
    assert level is not None and level.stop_moved
    stored = replace(third, peak_price=level.peak_price, stop_percent=level.stop_percent, stop_price=level.stop_price)
    assert watch_rules.judge(stored, Decimal(4), now=NOW).level is None


@given(prices)
def test_a_doubted_price_raises_nothing_and_fires_only_the_stop(price):
    verdict = watch_rules.judge_doubted(OLD, price)
    assert verdict.level is None
    assert verdict.close_reason == ("stop_loss" if price <= Decimal("0.68") else None)


@given(st.lists(prices, min_size=1, max_size=20))
def test_peak_and_stop_only_rise_whatever_the_prices(path):
    position = FRESH
    for price in path:
        level = watch_rules.judge(position, price, now=NOW).level
        if level is not None:
            assert level.stop_percent is not None and level.stop_price is not None
            assert position.stop_percent is not None
            assert level.peak_price >= position.peak_price
            assert level.stop_percent >= position.stop_percent
            assert level.stop_percent == quantize_percent(level.stop_percent)
            assert level.stop_price == quantize_price(level.stop_price)
            position = replace(
                position, peak_price=level.peak_price, stop_percent=level.stop_percent, stop_price=level.stop_price
            )
    assert position.peak_price == max(Decimal(1), *path)


def test_a_broken_configuration_leaves_the_stored_stop_and_judges_nothing_else():
    broken = replace(OLD, config=None)
    assert watch_rules.judge(broken, Decimal("1.05"), now=NOW) == watch_rules.NOTHING
    assert watch_rules.judge(broken, Decimal("0.68"), now=NOW).close_reason == "stop_loss"
    assert watch_rules.judge(replace(broken, stop_price=None), Decimal("0.1"), now=NOW) == watch_rules.NOTHING


def test_a_level_not_stored_yet_counts_unless_its_average_is_gone():
    level = Level(FRESH.id, FRESH.agent_id, "mint", 1, Decimal("1.5"), Decimal(40), Decimal("1.4"), True)
    risen = watch_rules.raised(FRESH, level)
    assert (risen.peak_price, risen.stop_percent, risen.stop_price) == (Decimal("1.5"), Decimal(40), Decimal("1.4"))
    assert watch_rules.raised(replace(FRESH, peak_generation=2), level).peak_price == 1
