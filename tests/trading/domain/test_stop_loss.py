"""Where the stop stands, and when it fires."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import StopLoss, TrailingLevel
from apps.trading.domain.stop_loss import StopState, after_dca, at_buy, evaluate, stop_percent

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


def test_a_stop_fires_at_its_price_and_not_above() -> None:
    start = at_buy(Decimal(1), rules())
    assert evaluate(Decimal(1), start, Decimal("0.68"), rules()).triggered
    assert not evaluate(Decimal(1), start, Decimal("0.680000000000000000000001"), rules()).triggered


def test_a_fall_from_a_new_peak_is_judged_with_the_stop_that_peak_earned() -> None:
    risen = evaluate(Decimal(1), at_buy(Decimal(1), rules()), Decimal(2), rules())
    assert (risen.state, risen.stop_price, risen.changed) == (StopState(Decimal(2), Decimal(90)), Decimal("1.9"), True)
    assert evaluate(Decimal(1), risen.state, Decimal("1.9"), rules()).triggered


def test_the_smallest_rise_of_the_peak_is_kept() -> None:
    start = at_buy(Decimal("1e-11"), rules())
    risen = evaluate(Decimal("1e-11"), start, Decimal("1.000000001e-11"), rules())
    assert risen.changed
    assert risen.state.peak_price == Decimal("1.000000001e-11")


def test_a_gain_of_any_size_has_a_stop() -> None:
    huge = evaluate(Decimal("1e-12"), at_buy(Decimal("1e-12"), rules()), Decimal(10**9), rules())
    assert huge.stop_percent is not None
    assert huge.stop_percent > 10**20
    assert not huge.triggered


def test_after_a_dca_the_stop_starts_over_from_the_fill() -> None:
    state = after_dca(Decimal("0.8"), rules())
    decision = evaluate(Decimal("0.914"), state, Decimal("0.8"), rules())
    assert not decision.triggered
    assert decision.stop_percent == -32


def test_a_stop_that_is_off_judges_nothing_and_forgets_nothing() -> None:
    off = rules(enabled=False)
    earned = StopState(Decimal(2), Decimal(90))
    decision = evaluate(Decimal(1), earned, Decimal("0.01"), off)
    assert (decision.triggered, decision.changed, decision.stop_percent, decision.state) == (False, False, None, earned)
    assert at_buy(Decimal(1), off) == StopState()
    assert evaluate(Decimal(1), StopState(), Decimal("0.5"), rules()).triggered


def test_an_average_that_is_no_price_is_not_judged() -> None:
    for average in ("0", "9e-16", "-1"):
        assert not evaluate(Decimal(average), StopState(), Decimal(0), rules()).triggered


def test_a_looser_default_does_not_lower_a_stop_and_a_tighter_one_raises_it() -> None:
    state = at_buy(Decimal(1), rules(default="-20"))
    assert evaluate(Decimal(1), state, Decimal("0.9"), rules(default="-50")).stop_percent == -20
    assert evaluate(Decimal(1), state, Decimal("0.9"), rules(default="-5")).stop_percent == -5


modes = st.sampled_from(["fixed", "exponential", "zones", "custom", "linear"])
prices = st.decimals(min_value="0.000000000001", max_value=10**6, places=12)


@given(average=prices, path=st.lists(prices, min_size=1, max_size=25), modes_=st.lists(modes, min_size=1, max_size=3))
def test_neither_stop_nor_peak_ever_falls_whatever_price_or_mode_comes(
    average: Decimal, path: list[Decimal], modes_: list[str]
) -> None:
    state = at_buy(average, rules())
    for step, price in enumerate(path):
        decision = evaluate(average, state, price, rules(modes_[step % len(modes_)]))
        new = decision.state
        assert new.stop_percent is not None and state.stop_percent is not None
        assert new.peak_price is not None and state.peak_price is not None
        assert new.stop_percent >= state.stop_percent
        assert new.peak_price == max(state.peak_price, price)
        assert decision.changed == (new != state)
        assert decision.stop_price is not None
        assert decision.triggered == (price <= decision.stop_price)
        state = new


@given(change=st.decimals(min_value=0, max_value=10**6, places=6), mode=modes)
def test_a_trailing_stop_stays_below_the_gain_it_follows(change: Decimal, mode: str) -> None:
    stop = stop_percent(change, rules(mode))
    assert stop == -32 or 0 < stop < change
