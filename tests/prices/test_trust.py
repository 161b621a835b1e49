"""When a price may decide something: exact cases, and rules that hold for any price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeGuard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.prices.domain.points import PricePoint, PriceSource, usable_price
from apps.prices.domain.trust import Trust, agree, is_fresh, is_wild, judge
from apps.prices.services import fetching

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PRICES = st.decimals(min_value=Decimal("1e-20"), max_value=Decimal("1e6"), places=24)


def point(
    price: Decimal | str,
    *,
    source: PriceSource = PriceSource.JUPITER,
    provider_age: float | None = None,
    received_age: float = 0,
    mint: str = "M",
) -> PricePoint:
    provider_at = None if provider_age is None else NOW - timedelta(seconds=provider_age)
    return PricePoint(mint, Decimal(price), None, source, provider_at, NOW - timedelta(seconds=received_age))


def other(price: Decimal | str, **options: Any) -> PricePoint:
    return point(price, source=PriceSource.DEXSCREENER, **options)


def test_no_price_is_never_zero_and_never_decides() -> None:
    decision = judge(None, last_good_sol=Decimal(1), now=NOW)
    assert (decision.trust, decision.code, decision.point) == (Trust.REFUSED, "no_price", None)


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "-0"])
def test_a_price_that_is_not_above_zero_is_refused(price: str) -> None:
    assert judge(point(price), last_good_sol=None, now=NOW).code == "not_positive"
    assert usable_price(Decimal(price)) is None


@pytest.mark.parametrize(
    ("provider_age", "received_age", "code"),
    [
        (10.0, 0, "ok"),
        (10.000001, 0, "stale"),
        (3600, 0, "stale"),
        (None, 10, "ok"),
        (None, 10.1, "stale"),
        (1, 100, "ok"),
        (-4, 0, "ok"),
        (-6, 0, "stale"),
    ],
)
def test_freshness_is_judged_by_the_providers_time_and_only_else_by_receipt(
    provider_age: float | None, received_age: float, code: str
) -> None:
    decision = judge(
        point("1", provider_age=provider_age, received_age=received_age), last_good_sol=Decimal(1), now=NOW
    )
    assert decision.code == code
    assert decision.allowed == (code == "ok")


@pytest.mark.parametrize(
    ("price", "wild"), [("0.5", False), ("0.4999999", True), ("1.5", False), ("1.5000001", True), ("1e-12", True)]
)
def test_a_move_of_more_than_half_needs_a_second_opinion(price: str, wild: bool) -> None:
    assert is_wild(Decimal(price), Decimal(1)) == wild
    decision = judge(point(price), last_good_sol=Decimal(1), now=NOW)
    assert decision.code == ("wild_without_second_source" if wild else "ok")
    assert decision.needs_confirmation == wild


def test_without_a_last_good_price_no_move_is_wild() -> None:
    assert judge(point("1e9"), last_good_sol=None, now=NOW).allowed


@pytest.mark.parametrize(
    ("second", "code"),
    [
        ("0.10", "confirmed_by_second_source"),
        ("0.095", "confirmed_by_second_source"),
        ("0.0949", "wild_and_second_source_disagrees"),
        ("0.1052631", "confirmed_by_second_source"),
        ("0.1053", "wild_and_second_source_disagrees"),
        ("1", "wild_and_second_source_disagrees"),
    ],
)
def test_a_second_source_within_five_percent_of_the_higher_confirms_a_wild_move(second: str, code: str) -> None:
    decision = judge(point("0.1"), last_good_sol=Decimal(1), now=NOW, second_opinion=other(second))
    assert decision.code == code
    assert decision.trust is (Trust.TRUSTED if code == "confirmed_by_second_source" else Trust.NEEDS_CONFIRMATION)


@pytest.mark.parametrize(
    "second",
    [
        point("0.1"),
        other("0.1", received_age=11),
        other("0.1", provider_age=60),
        other("0"),
        PricePoint("OTHER", Decimal("0.1"), None, PriceSource.DEXSCREENER, None, NOW),
    ],
    ids=["same source", "old", "old by its own time", "zero", "another token"],
)
def test_a_second_opinion_must_be_another_source_fresh_and_about_the_same_token(second: PricePoint) -> None:
    decision = judge(point("0.1"), last_good_sol=Decimal(1), now=NOW, second_opinion=second)
    assert decision.code == "wild_without_second_source"


def test_the_decision_shows_the_figures_that_made_it() -> None:
    decision = judge(point("0.2", provider_age=1.5), last_good_sol=Decimal(1), now=NOW, second_opinion=other("0.25"))
    assert decision.age_seconds == Decimal("1.5")
    assert decision.move_fraction == Decimal("0.8")
    assert decision.difference_fraction == Decimal("0.2")


@given(PRICES, PRICES, PRICES)
def test_one_source_alone_never_makes_a_wild_price_trusted(price: Decimal, last: Decimal, second: Decimal) -> None:
    decision = judge(point(price), last_good_sol=last, now=NOW, second_opinion=other(second))
    if decision.allowed:
        assert not is_wild(price, last) or agree(point(price), other(second))


@given(PRICES, PRICES)
def test_a_wild_move_two_sources_see_is_trusted_at_once(price: Decimal, last: Decimal) -> None:
    assert judge(point(price), last_good_sol=last, now=NOW, second_opinion=other(price)).allowed


@given(PRICES, PRICES)
def test_agreement_does_not_depend_on_who_is_asked_first(one: Decimal, two: Decimal) -> None:
    assert agree(point(one), other(two)) == agree(other(two), point(one))


@given(PRICES, st.one_of(st.none(), PRICES), st.floats(10.001, 1e6))
def test_an_old_price_is_refused_whatever_it_says(price: Decimal, last: Decimal | None, age: float) -> None:
    decision = judge(point(price, provider_age=age), last_good_sol=last, now=NOW, second_opinion=other(price))
    assert decision.trust is Trust.REFUSED


POINTS = st.one_of(
    st.none(), st.tuples(PRICES, st.one_of(st.none(), st.floats(0, 30)), st.floats(0, 30)), st.just(("0", None, 0))
)


def a_point(drawn: Any, source: PriceSource) -> PricePoint | None:
    return (
        None if drawn is None else point(drawn[0], source=source, provider_age=drawn[1], received_age=float(drawn[2]))
    )


@given(POINTS, POINTS, st.one_of(st.none(), PRICES))
def test_with_both_sources_heard_trust_has_one_of_three_reasons(
    first: Any, other_one: Any, last: Decimal | None
) -> None:
    one, two = a_point(first, PriceSource.JUPITER), a_point(other_one, PriceSource.DEXSCREENER)
    verdict, alternative = fetching._settle(one, two, last, NOW)

    def usable(told: PricePoint | None) -> TypeGuard[PricePoint]:
        return told is not None and told.price_sol > 0 and is_fresh(told, NOW)

    def tame(told: PricePoint) -> bool:
        return not is_wild(told.price_sol, last)

    reasons = [
        usable(one) and verdict.point == one and tame(one),
        usable(one) and usable(two) and verdict.point == one and agree(one, two),
        not usable(one) and usable(two) and verdict.point == two and tame(two),
    ]
    assert verdict.allowed == any(reasons)
    if alternative is not None:
        assert not verdict.allowed and alternative.point == two
    if verdict.point is not None:
        assert verdict.point in (one, two)
    if not usable(one) and not usable(two):
        assert verdict.trust is Trust.REFUSED


@given(PRICES, PRICES, st.decimals(min_value=Decimal("1e-6"), max_value=Decimal("1e6"), places=6))
def test_the_unit_a_token_is_priced_in_changes_no_verdict(price: Decimal, last: Decimal, unit: Decimal) -> None:
    scaled = judge(point(price * unit), last_good_sol=last * unit, now=NOW)
    assert scaled.trust == judge(point(price), last_good_sol=last, now=NOW).trust


@given(PRICES, st.one_of(st.none(), PRICES), st.floats(0, 20), st.floats(0, 20))
def test_growing_older_never_makes_a_price_more_trusted(
    price: Decimal, last: Decimal | None, age: float, more: float
) -> None:
    younger = judge(point(price, provider_age=age), last_good_sol=last, now=NOW)
    older = judge(point(price, provider_age=age + more), last_good_sol=last, now=NOW)
    assert younger.allowed or not older.allowed


@given(PRICES, PRICES)
def test_a_verdict_remembers_nothing(price: Decimal, last: Decimal) -> None:
    wild = judge(point(price), last_good_sol=last, now=NOW)
    assert judge(point(price), last_good_sol=last, now=NOW) == wild
    assert judge(point(last), last_good_sol=last, now=NOW).allowed


@given(st.decimals())
def test_any_decimal_is_a_usable_price_or_none(value: Decimal) -> None:
    price = usable_price(value)
    assert price is None or (price > 0 and price < 10**16 and abs(price - value) <= Decimal("5e-25"))
