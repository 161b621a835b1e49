"""Where the stop stands: the four formulas, and what a position's stop does over its life."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import StopLoss, TrailingLevel
from apps.agents.domain.trading_config import DEFAULT_CONFIG
from apps.core.money import MONEY, quantize_percent
from apps.trading.domain import watch_rules
from apps.trading.domain.position_changes import Books
from apps.trading.domain.stop_loss import StopState, after_dca, at_buy, stop_percent
from apps.trading.domain.watch_rules import Stop, Watched

LEVELS = tuple(
    TrailingLevel(Decimal(change), Decimal(stop)) for change, stop in ((50, 20), (100, 60), (200, 150), (300, 250))
)


def rules(mode: str = "fixed", default: str = "-32", enabled: bool = True) -> StopLoss:
    return StopLoss(enabled, Decimal(default), mode, LEVELS)


#: The table of trading.md 6: change, fixed, exponential, zones, custom.
TABLE = """
-5 -32 -32 -32 -32
0 -32 -32 -32 -32
10 -32 -32 -32 -32
19.99 -32 -32 -32 -32
20 10 -32 10 -32
20.01 10.01 0.0064 10.005 -32
21 11 0.6614 10.5 -32
25 15 3.6964 12.5 -32
25.01 15.01 3.7047 15.006 -32
30 20 8.2155 18 -32
40 30 18.908 24 -32
50 40 30.8099 30 20
50.01 40.01 30.822 35.007 20
60 50 42.0763 42 20
70 60 48.9576 49 20
75 65 53.0966 52.5 20
80 70 60.3747 56 20
85 75 69.711 59.5 20
90 80 80.1924 63 20
95 85 85.5 66.5 20
100 90 90 70 60
100.01 90.01 90.009 80.008 60
120 110 108 96 60
150 140 135 120 60
200 190 180 160 150
200.01 190.01 180.009 170.0085 150
300 290 270 255 250
500 490 450 425 250
1000 990 900 850 250
2000 1990 1800 1700 250
"""


@pytest.mark.parametrize("row", [line.split() for line in TABLE.strip().splitlines()], ids=lambda row: row[0])
def test_the_contracts_table(row: list[str]) -> None:
    change = Decimal(row[0])
    for mode, expected in zip(("fixed", "exponential", "zones", "custom"), row[1:], strict=True):
        assert stop_percent(change, rules(mode)).quantize(Decimal("0.0001")) == Decimal(expected), mode


def test_an_unknown_mode_keeps_the_default() -> None:
    assert stop_percent(Decimal(500), rules("linear")) == -32


def stop_of(average: str, percent: Decimal | None, peak: str, with_rules: StopLoss) -> Stop | None:
    return watch_rules.standing_stop(watched(Decimal(average), percent, Decimal(peak), with_rules))


def watched(average: Decimal, percent: Decimal | None, peak: Decimal, with_rules: StopLoss) -> Watched:
    return Watched(
        id=UUID(int=1),
        agent_id=UUID(int=2),
        mint="mint",
        books=Books(0, 1000, 1000, 1, 1, average),
        stop_percent=percent,
        generation=1,
        opened_at=datetime(2026, 11, 20, tzinfo=UTC),
        config=replace(DEFAULT_CONFIG, stop_loss=with_rules),
        peak_price=peak,
    )


def test_a_new_peak_earns_its_stop_at_once():
    assert stop_of("1", Decimal(-32), "2", rules()) == Stop(Decimal(90), Decimal("1.9"))


def test_the_smallest_rise_of_a_token_of_next_to_no_worth_moves_its_stop():
    before, after = (stop_of("1e-11", None, peak, rules()) for peak in ("1.5e-11", "1.500000001e-11"))
    assert after.percent - before.percent == Decimal("1e-7")


def test_a_gain_of_any_size_has_a_stop():
    assert stop_of("1e-12", None, "1e9", rules()).percent > 10**20


def test_after_a_dca_the_stop_starts_over_from_the_fill():
    assert at_buy(Decimal(1), rules()) == StopState(Decimal(1), Decimal(-32))
    state = after_dca(Decimal("0.8"), rules())
    assert state == StopState(Decimal("0.8"), Decimal(-32))
    assert stop_of("0.914", state.stop_percent, "0.8", rules()).price == Decimal("0.62152")


def test_a_stop_that_is_off_is_nowhere_and_begins_where_the_peak_is_when_it_is_put_on():
    off = rules(enabled=False)
    assert (at_buy(Decimal(1), off), after_dca(Decimal(1), off)) == (StopState(), StopState(Decimal(1), None))
    assert stop_of("1", Decimal(90), "2", off) is None
    assert stop_of("1", None, "2", rules()).percent == 90


def test_an_average_that_is_no_price_has_no_stop():
    assert [stop_of(average, Decimal(-32), "0", rules()) for average in ("0", "9e-16", "-1")] == [None] * 3


def test_a_looser_default_does_not_lower_a_stop_and_a_tighter_one_raises_it():
    assert stop_of("1", Decimal(-20), "1", rules(default="-50")).percent == -20
    assert stop_of("1", Decimal(-20), "1", rules(default="-5")).percent == -5


modes = st.sampled_from(["fixed", "exponential", "zones", "custom", "linear"])
rising_modes = st.sampled_from(["fixed", "exponential", "zones"])
prices = st.decimals(min_value="0.000000000001", max_value=10**6, places=12)
rules_at_a_tick = st.builds(
    rules, mode=modes, default=st.integers(-100, 0).map(str), enabled=st.sampled_from([True, True, True, False])
)


@given(average=prices, path=st.lists(st.tuples(prices, rules_at_a_tick, st.booleans()), min_size=1, max_size=25))
def test_the_stop_never_falls_between_dcas_whatever_price_mode_or_default_comes(average, path):
    """Every tick may come with other rules, or none; a DCA in between starts the stop over and nothing else does."""
    percent, peak = None, average
    for price, with_rules, adds in path:
        if adds:
            state = after_dca(price, with_rules)
            percent, peak = state.stop_percent, price
            assert percent == (with_rules.default_percent if with_rules.enabled else None)
        peak = max(peak, price)
        stop = watch_rules.standing_stop(watched(average, percent, peak, with_rules))
        assert (stop is None) == (not with_rules.enabled)
        if stop is not None:
            assert percent is None or stop.percent >= percent
            assert stop.percent >= with_rules.default_percent
            percent = stop.percent


@given(one=prices, other=prices, average=prices, mode=rising_modes, default=st.integers(-100, 0).map(str))
def test_three_formulas_never_give_a_higher_peak_a_lower_stop(one, other, average, mode, default):
    """The position book judges a batch by its highest price alone: it may, because these rise with the peak."""
    low, high = sorted([one, other])
    with_rules = rules(mode, default)
    stops = [watch_rules.raised(None, average, peak, with_rules) for peak in (low, high)]
    assert stops[0] <= stops[1]


@pytest.mark.parametrize("mode", ["fixed", "exponential", "zones"])
def test_three_formulas_rise_with_every_hundredth_of_a_percent(mode):
    with_rules, last = rules(mode), Decimal(-101)
    for step in range(40_000):
        stop = stop_percent(Decimal(step) / 100, with_rules)
        assert stop >= last, step
        last = stop


def test_the_exponential_formula_rises_from_its_very_beginning():
    steps = [20 + Decimal(digit).scaleb(exponent) for exponent in range(-40, 0) for digit in (1, 2, 5)]
    stops = [stop_percent(change, rules("exponential")) for change in steps]
    assert stops == sorted(stops)
    assert stops[0] == -32 and stops[-1] > 0


def test_custom_levels_that_do_not_ascend_give_a_higher_peak_a_lower_stop():
    """Validation orders gains, not stops: such a list is why a book may not judge custom stops by their peak alone."""
    falling = StopLoss(
        True,
        Decimal(-32),
        "custom",
        (TrailingLevel(Decimal(100), Decimal(20)), TrailingLevel(Decimal(50), Decimal(40))),
    )
    assert [stop_percent(Decimal(change), falling) for change in (50, 99, 100)] == [40, 40, 20]
    risen = watch_rules.raised(Decimal(-32), Decimal(1), Decimal("1.5"), falling)
    assert watch_rules.raised(risen, Decimal(1), Decimal(2), falling) == risen == 40


@given(change=st.decimals(min_value=0, max_value=10**6, places=6), mode=modes)
def test_a_trailing_stop_stays_below_the_gain_it_follows(change, mode):
    stop = stop_percent(change, rules(mode))
    assert stop == -32 or 0 < stop < change


def exponential_to_60_digits(change: Decimal) -> Decimal:
    """The formula as the contract writes it, nothing left out and nothing rounded early."""
    with localcontext(MONEY):
        x = change - 20
        kept = 1 - (-x * Decimal("3.2") / 100).exp() - Decimal("0.12") * (-(((x - 55) / 8) ** 2) / 2).exp()
        kept = min(max(kept, Decimal(0)), Decimal("0.90"))
        if x > 65:
            kept = min(Decimal("0.90"), kept + Decimal("0.30") * (1 - (-(x - 65) / 80).exp()))
        return change * kept


@given(change=st.decimals(min_value="20.01", max_value=2000, places=8))
def test_fewer_digits_for_powers_of_e_change_no_digit_that_is_kept(change):
    stop, whole = stop_percent(change, rules("exponential")), exponential_to_60_digits(change)
    assert abs(stop - whole) < Decimal("1e-30")
    assert quantize_percent(stop) == quantize_percent(whole)
