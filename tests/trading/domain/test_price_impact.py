"""The price-impact limit and the few quotes many buyers share."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.trading.domain.price_impact import (
    MAX_QUOTE_CALLS,
    RETRY_PERCENTS,
    SizeRequest,
    exceeds,
    group_sizes,
    retry_amount,
    retry_calls,
)


def requests(amounts: list[int]) -> list[SizeRequest]:
    return [SizeRequest(index, amount) for index, amount in enumerate(amounts)]


@given(amounts=st.lists(st.integers(1, 10**12), max_size=60), most=st.integers(1, 5))
def test_every_request_is_served_once_by_a_quote_at_least_its_size(amounts: list[int], most: int) -> None:
    groups = group_sizes(requests(amounts), most)
    assert len(groups) <= most
    served = [member.key for group in groups for member in group.members]
    assert sorted(served, key=repr) == sorted(range(len(amounts)), key=repr)
    for group in groups:
        assert group.amount == max(member.amount for member in group.members)


@given(amounts=st.lists(st.integers(1, 10**12), min_size=1, max_size=60))
def test_up_to_three_sizes_are_quoted_exactly(amounts: list[int]) -> None:
    groups = group_sizes(requests(amounts))
    if len(set(amounts)) <= 3:
        assert [group.amount for group in groups] == sorted(set(amounts), reverse=True)
    assert all(group.members for group in groups)


@given(amounts=st.lists(st.integers(1, 1000), min_size=4, max_size=9, unique=True))
def test_no_other_grouping_keeps_sizes_nearer_together(amounts: list[int]) -> None:
    def worst(parts: list[list[int]]) -> Decimal:
        return max(Decimal(max(part)) / min(part) for part in parts)

    ordered = sorted(amounts)
    ours = worst([[member.amount for member in group.members] for group in group_sizes(requests(amounts))])
    best = min(
        worst([part for part in (ordered[:i], ordered[i:j], ordered[j:]) if part])
        for i in range(len(ordered))
        for j in range(i, len(ordered))
    )
    assert ours <= best + Decimal("1e-9")


def test_an_amount_of_nothing_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="above zero"):
        group_sizes(requests([5, 0]))
    assert group_sizes([]) == ()


@pytest.mark.parametrize("first_round", [1, 2, 3])
@given(greedy=st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_a_signal_never_costs_more_than_six_quotes_and_each_retry_gets_one(first_round: int, greedy: list[int]) -> None:
    calls = first_round
    for percent, wanted in zip(RETRY_PERCENTS, greedy, strict=True):
        allowed = retry_calls(percent, calls)
        assert allowed >= 1
        calls += min(wanted, allowed)
    assert calls <= MAX_QUOTE_CALLS


@given(lamports=st.integers(1, 10**12))
def test_a_retry_is_smaller_rounded_down_and_not_below_a_hundredth_of_a_sol(lamports: int) -> None:
    for percent in RETRY_PERCENTS:
        retried = retry_amount(lamports, percent)
        if lamports * percent < 10_000_000 * 100:
            assert retried is None
        else:
            assert retried is not None
            assert 0 <= Decimal(lamports) * percent / 100 - retried < 1


def test_only_a_loss_counts_as_impact() -> None:
    limit = Decimal("0.05")
    assert exceeds(Decimal("0.05"), limit)
    assert not exceeds(Decimal("0.0499"), limit)
    assert not exceeds(Decimal("-0.5"), limit)


def test_no_limit_lets_everything_pass_and_a_limit_of_nothing_refuses_everything() -> None:
    assert not exceeds(Decimal("0.99"), None)
    assert exceeds(Decimal(0), Decimal(0))
    assert exceeds(Decimal("-0.5"), Decimal(0))
