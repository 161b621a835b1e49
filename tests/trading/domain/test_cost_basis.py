"""Remaining cost: what is realised adds up to what the cash says."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.trading.domain.cost_basis import Holding, trigger_average


def test_take_profit_and_dca_report_the_cash_profit() -> None:
    """The contract's example: 1 SOL for 1000, sell 500 for 0.75, buy 1000 for 0.5, sell 1500 for 1.5."""
    first = Holding(0, 0).bought(1000, 1_000_000_000).sold(500, 750_000_000)
    last = first.holding.bought(1000, 500_000_000).sold(1500, 1_500_000_000)
    assert first.profit_lamports + last.profit_lamports == 750_000_000
    assert last.holding == Holding(0, 0)


steps = st.lists(st.tuples(st.booleans(), st.integers(1, 10**15), st.integers(0, 10**12)), max_size=20)


@given(steps=steps)
def test_costs_of_all_sales_add_up_to_exactly_what_was_invested(steps: list[tuple[bool, int, int]]) -> None:
    holding, invested, received, cost, profit = Holding(10**9, 10**9), 10**9, 0, 0, 0
    for buys, units, lamports in [*steps, (False, 10**30, 5)]:
        if buys:
            holding, invested = holding.bought(units, lamports), invested + lamports
        elif holding.base_units:
            realised = holding.sold(min(units, holding.base_units), lamports)
            assert 0 <= realised.cost_lamports <= holding.cost_lamports
            holding, received = realised.holding, received + lamports
            cost, profit = cost + realised.cost_lamports, profit + realised.profit_lamports
    assert holding == Holding(0, 0)
    assert cost == invested
    assert profit == received - invested


@pytest.mark.parametrize("units", [0, -1, 11])
def test_nothing_or_more_than_is_held_cannot_be_sold(units: int) -> None:
    with pytest.raises(ValueError, match="cannot sell"):
        Holding(10, 10).sold(units, 1)


def test_the_trigger_average_is_all_invested_over_all_bought() -> None:
    assert trigger_average(1_000_105_000, 1_000_000_000, 6) == Decimal("0.001000105")
    assert trigger_average(5, 0, 6) == 0
