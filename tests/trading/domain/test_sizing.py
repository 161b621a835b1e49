"""How much a first buy spends."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import PositionCalculator, PurchaseLimits, SizeRange
from apps.agents.domain.trading_config import DEFAULT_CONFIG
from apps.trading.domain.sizing import draw, position_size

CALCULATOR, LIMITS = DEFAULT_CONFIG.position_calculator, DEFAULT_CONFIG.purchase_limits


def sol(low: str, high: str, places: int = 9) -> st.SearchStrategy[Decimal]:
    return st.decimals(min_value=low, max_value=high, places=places)


@st.composite
def calculators(draw_: st.DrawFn) -> PositionCalculator:
    lowest, middle, highest = sorted(draw_(st.lists(sol("0.001", "50"), min_size=3, max_size=3, unique=True)))
    ranges = [sorted(draw_(st.lists(sol("0", "20"), min_size=2, max_size=2))) for _ in range(3)]
    small, medium, large = (SizeRange(low, high) for low, high in ranges)
    return PositionCalculator(lowest, middle, highest, small, medium, large, randomized=draw_(st.booleans()))


limits = st.builds(PurchaseLimits, sol("0.1", "10"), sol("0.000000001", "10"), st.none())
draws = st.decimals(min_value=0, max_value="0.999999999999999999", places=18)


@given(balance=sol("-1", "100"), calculator=calculators(), limits=limits, random=draws)
def test_a_size_never_exceeds_balance_or_largest_buy_and_leaves_the_minimum(
    balance: Decimal, calculator: PositionCalculator, limits: PurchaseLimits, random: Decimal
) -> None:
    decision = position_size(balance, calculator, limits, random)
    if not decision.allowed:
        assert decision.size_sol is None
        return
    size = decision.size_sol
    assert size is not None
    assert 0 < size <= balance
    assert size <= limits.max_purchase_per_token_sol
    assert balance - size >= limits.minimum_agent_balance_sol


@given(random=draws)
def test_a_drawn_size_lies_within_its_range(random: Decimal) -> None:
    size = position_size(Decimal(7), CALCULATOR, LIMITS, random).size_sol
    assert size is not None
    assert CALCULATOR.medium.minimum_sol <= size < CALCULATOR.medium.maximum_sol


def test_thresholds_belong_to_the_higher_category() -> None:
    sizes = {
        balance: position_size(Decimal(balance), CALCULATOR, LIMITS).category for balance in ("4.999999999", "5", "10")
    }
    assert sizes == {"4.999999999": "small", "5": "medium", "10": "large"}


def test_a_huge_balance_is_sol_and_not_lamports() -> None:
    assert position_size(Decimal(5_000_000_000), CALCULATOR, LIMITS).category == "large"


def test_sizes_are_exact() -> None:
    limits = replace(LIMITS, minimum_agent_balance_sol=Decimal("0.3"))
    assert position_size(Decimal("0.33"), CALCULATOR, limits).size_sol == Decimal("0.03")


@given(signal=st.uuids(), agent=st.uuids())
def test_the_draw_of_a_pair_never_changes_and_is_below_one(signal: object, agent: object) -> None:
    assert draw(signal, agent) == draw(str(signal), str(agent))
    assert 0 <= draw(signal, agent) < 1


def test_draws_are_spread_evenly() -> None:
    drawn = [draw("signal", agent) for agent in range(4_000)]
    tenths = [sum(1 for value in drawn if int(value * 10) == tenth) for tenth in range(10)]
    assert min(tenths) > 300
    assert max(tenths) < 500
