"""Scripts in steps, on a clock the test holds: every price at its time, to the last digit, and nothing else moves."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sandbox.domain import tokens
from apps.sandbox.domain.market import Market, UnknownToken
from apps.sandbox.domain.ready_made import READY_MADE
from apps.sandbox.domain.scenarios import ScenarioName
from apps.sandbox.domain.scripts import ImpossiblePoint, Point, Script
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import Rest, TokenOrder

NOW = 1_790_000_000.0
LAUNCH = Decimal("0.001")


def open_market() -> Market:
    return Market(seed=7, demo_tokens=3, tick_ms=500, now=NOW, autonomous=False)


def list_token(market: Market, rest: Rest = Rest.STILL, *, number: int = 1) -> str:
    token = tokens.ordered_token(
        market.seed, TokenOrder("TEST", number, rest, 6, LAUNCH, Decimal(300), 5.0, pool_fee_bps=0)
    )
    assert token is not None
    market.add([token])
    return token.mint


def chart(*points: tuple[int, str], loops: bool = False, holds: bool = False) -> Script:
    """Return a script of (milliseconds, price) points; a price that ends in % is relative."""
    made = [
        Point(at, percent=Decimal(text[:-1])) if text.endswith("%") else Point(at, Decimal(text)) for at, text in points
    ]
    return Script("path", tuple(made), loops=loops, holds=holds)


def price_at(market: Market, mint: str, seconds: float) -> Fraction:
    market.follow_scripts(NOW + seconds)
    return Fraction(*market.view.pools[mint].price_ratio)


def shown(market: Market, mint: str, *seconds: float) -> list[str]:
    return [str(Decimal(one.numerator) / one.denominator) for one in (price_at(market, mint, at) for at in seconds)]


def test_each_price_shows_exactly_from_its_time_on_and_the_last_stays() -> None:
    market = open_market()
    mint = list_token(market, Rest.CALM)
    market.play([mint], chart((0, "0.001"), (200, "0.0030001"), (500, "0.00050003"), holds=True), now=NOW)
    assert shown(market, mint, 0, 0.199, 0.2, 0.499, 0.5, 0.799) == [
        "0.001", "0.001", "0.0030001", "0.0030001", "0.00050003", "0.00050003",
    ]  # fmt: skip
    assert market.listing(mint).scenario == "path"
    market.follow_scripts(NOW + 0.8)
    assert market.listing(mint).scenario == "still"
    market.step(NOW + 10)
    assert shown(market, mint, 11) == ["0.00050003"]


def test_a_percentage_counts_from_the_price_at_the_start_whatever_was_shown_since() -> None:
    market = open_market()
    mint = list_token(market)
    market.set_price(mint, Decimal("0.0008"))
    market.play([mint], chart((0, "0%"), (1_000, "50%"), (2_000, "-20%"), (3_000, "12.5%")), now=NOW)
    assert shown(market, mint, 0, 1, 2, 3) == ["0.0008", "0.0012", "0.00064", "0.0009"]


def test_prices_and_percentages_may_stand_side_by_side() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.004"), (1_000, "100%")), now=NOW)
    assert shown(market, mint, 0, 1) == ["0.004", "0.002"]


@given(st.lists(st.integers(1, 10**8), min_size=2, max_size=30))
def test_any_prices_of_eight_digits_are_played_to_the_last_digit(digits) -> None:
    market = open_market()
    mint = list_token(market)
    prices = [Decimal(number).scaleb(-9) for number in digits]
    market.play([mint], chart(*((index * 250, str(price)) for index, price in enumerate(prices))), now=NOW)
    assert [price_at(market, mint, index * 0.25) for index in range(len(prices))] == [Fraction(one) for one in prices]


def test_before_its_first_point_a_script_leaves_the_price_alone() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((2_000, "0.005"), (3_000, "0.006")), now=NOW)
    assert shown(market, mint, 0, 1.99, 2) == ["0.001", "0.001", "0.005"]


def test_a_playing_token_does_not_walk_and_walks_on_afterwards() -> None:
    market = open_market()
    mint = list_token(market, Rest.CALM)
    market.play([mint], chart((0, "0.001"), (1_000, "0.002")), now=NOW)
    for tick in range(3):
        market.step(NOW + tick / 2)
    assert shown(market, mint, 1) == ["0.002"]
    market.step(NOW + 2.5)
    assert market.listing(mint).playing is None
    assert market.listing(mint).scenario == "calm"
    market.step(NOW + 3)
    assert price_at(market, mint, 3) != Fraction(2, 1_000)


def test_the_player_says_when_the_next_change_is_due() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.001"), (1_000, "0.002")), now=NOW)
    assert market.follow_scripts(NOW) == pytest.approx(NOW + 1)
    assert market.follow_scripts(NOW + 1) == pytest.approx(NOW + 2)
    assert market.follow_scripts(NOW + 2) is None


def test_the_nearest_of_several_scripts_is_due_next() -> None:
    market = open_market()
    first, second = list_token(market), list_token(market, number=2)
    market.play([first], chart((0, "0.001"), (5_000, "0.002")), now=NOW)
    market.play([second], chart((0, "0.001"), (3_000, "0.002")), now=NOW)
    assert market.follow_scripts(NOW + 1) == pytest.approx(NOW + 3)


def test_two_markets_of_one_seed_play_a_script_alike() -> None:
    seen = []
    for _ in range(2):
        market = open_market()
        mint = list_token(market, Rest.CALM)
        market.step(NOW)
        market.play([mint], READY_MADE["trailing_zones"].script, now=NOW)
        for tick in range(80):
            market.step(NOW + tick / 2)
            seen.append(market.view.pools[mint])
    assert seen[:80] == seen[80:]


# Loops


def test_a_loop_begins_again_after_the_last_price_has_had_its_time() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.001"), (1_000, "0.002"), (3_000, "0.003"), loops=True), now=NOW)
    assert shown(market, mint, 0, 1, 3, 4.9, 5, 6, 8, 10) == [
        "0.001", "0.002", "0.003", "0.003", "0.001", "0.002", "0.003", "0.001",
    ]  # fmt: skip
    assert market.listing(mint).playing.round == 2


def test_a_loop_that_waits_for_its_first_point_waits_at_the_last_price() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((1_000, "0.002"), (2_000, "0.003"), loops=True), now=NOW)
    assert shown(market, mint, 0, 1, 2, 3, 3.9, 4) == ["0.001", "0.002", "0.003", "0.003", "0.003", "0.002"]


def test_percentages_of_a_loop_do_not_add_up() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0%"), (1_000, "50%"), loops=True), now=NOW)
    assert shown(market, mint, 0, 1, 2, 3, 40, 41) == ["0.001", "0.0015"] * 3


# Steering


def test_twice_the_speed_takes_half_the_time() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.001"), (1_000, "0.002"), (2_000, "0.003")), now=NOW, speed=2)
    assert shown(market, mint, 0.49, 0.5, 1) == ["0.001", "0.002", "0.003"]


def test_a_change_of_speed_counts_from_that_moment() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.001"), (4_000, "0.002"), (8_000, "0.003")), now=NOW)
    market.listing(mint).playing.set_speed(4, NOW + 2)
    assert shown(market, mint, 2.49, 2.5, 3.49, 3.5) == ["0.001", "0.002", "0.002", "0.003"]


def test_a_clock_that_stands_shows_nothing_new_until_told_to() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.001"), (1_000, "0.002"), (2_000, "0.003"), holds=True), now=NOW, speed=0)
    playing = market.listing(mint).playing
    assert market.follow_scripts(NOW + 60) is None
    assert shown(market, mint, 3_600) == ["0.001"]
    prices = []
    for _ in range(3):
        playing.skip(NOW + 3_600)
        prices += shown(market, mint, 3_600)
    assert prices == ["0.002", "0.003", "0.003"]
    assert market.listing(mint).playing is None
    assert market.listing(mint).rest is Rest.STILL


def test_what_was_skipped_to_goes_on_at_its_own_pace() -> None:
    market = open_market()
    mint = list_token(market)
    market.play([mint], chart((0, "0.001"), (5_000, "0.002"), (6_000, "0.003")), now=NOW)
    market.listing(mint).playing.skip(NOW + 1)
    assert shown(market, mint, 1, 1.9, 2) == ["0.002", "0.002", "0.003"]


@pytest.mark.parametrize(("holds", "scenario"), [(True, "still"), (False, "calm")])
def test_a_cancelled_script_ends_at_the_price_that_shows(holds: bool, scenario: str) -> None:
    market = open_market()
    mint = list_token(market, Rest.CALM)
    market.play([mint], chart((0, "0.001"), (1_000, "0.002"), (2_000, "0.003"), holds=holds), now=NOW)
    market.follow_scripts(NOW + 1)
    assert market.cancel_script(mint)
    assert shown(market, mint, 5) == ["0.002"]
    assert market.listing(mint).scenario == scenario
    assert not market.cancel_script(mint)


def test_a_script_replaces_a_scenario_and_is_replaced_by_one() -> None:
    market = open_market()
    mint = list_token(market)
    market.start(mint, ScenarioName.CRASH)
    market.play([mint], chart((0, "0.001")), now=NOW)
    assert market.listing(mint).plan is None
    market.start(mint, ScenarioName.PUMP)
    assert market.listing(mint).playing is None
    market.play([mint], chart((0, "0.001")), now=NOW)
    market.set_price(mint, Decimal("0.002"))
    assert market.listing(mint).playing is None


# Refusals


def test_a_price_no_pool_carries_is_refused_and_nothing_moves_anywhere() -> None:
    market = open_market()
    first, second = list_token(market), list_token(market, number=2)
    with pytest.raises(ImpossiblePoint) as refused:
        market.play([first, second], chart((0, "0.5"), (1_000, "1e-18")), now=NOW)
    assert refused.value.index == 1
    for mint in (first, second):
        assert market.listing(mint).playing is None
        assert shown(market, mint, 5) == ["0.001"]


def test_an_unknown_token_among_known_ones_plays_nothing() -> None:
    market = open_market()
    mint = list_token(market)
    with pytest.raises(UnknownToken):
        market.play([mint, "nosuch"], chart((0, "0.5")), now=NOW)
    assert market.listing(mint).playing is None


# What single sources say


def test_a_lie_is_one_sources_and_ends_with_its_point() -> None:
    market = open_market()
    mint, other = list_token(market), list_token(market, number=2)
    lie = Script(
        "path", (Point(0), Point(1_000, told={Source.JUPITER_PRICE: Decimal("0.1")}), Point(2_000)), holds=True
    )
    market.play([mint], lie, now=NOW)

    def told(source: Source, token: str) -> float:
        return market.view.told_by(source).pools[token].price_number() / 0.001

    for seconds, said in ((0, 1), (1, 0.1), (1.9, 0.1), (2, 1), (3.1, 1)):
        market.follow_scripts(NOW + seconds)
        assert told(Source.JUPITER_PRICE, mint) == pytest.approx(said), seconds
        assert told(Source.DEXSCREENER, mint) == told(Source.JUPITER_QUOTE, mint) == pytest.approx(1)
        assert told(Source.JUPITER_PRICE, other) == pytest.approx(1)


# The charts that come with the market


@pytest.mark.parametrize("name", READY_MADE)
def test_a_ready_made_chart_plays_the_prices_it_announces(name: str) -> None:
    market = open_market()
    mint = list_token(market)
    script = READY_MADE[name].script
    market.play([mint], script, now=NOW)
    for point in script.points:
        assert price_at(market, mint, point.at_ms / 1000) == Fraction(LAUNCH) * (100 + Fraction(point.percent)) / 100
    market.follow_scripts(NOW + script.length_ms / 1000)
    assert market.listing(mint).playing is None


@pytest.mark.parametrize("name", READY_MADE)
def test_a_ready_made_chart_shows_each_price_long_enough_for_a_look_a_second(name: str) -> None:
    times = [point.at_ms for point in READY_MADE[name].script.points]
    assert times[0] == 0
    assert all(later - earlier >= 1_500 for earlier, later in pairwise(times))


@pytest.mark.parametrize("name", sorted(set(READY_MADE) - {"take_profit_jump", "gap_through_stop"}))
def test_only_the_charts_that_are_meant_to_jump_wildly_do(name: str) -> None:
    levels = [100 + point.percent for point in READY_MADE[name].script.points]
    for before, after in pairwise(levels):
        assert abs(after / before - 1) <= Decimal("0.5"), (before, after)


def test_a_ready_made_chart_says_in_a_sentence_what_one_will_see() -> None:
    for made in READY_MADE.values():
        assert made.name == made.script.name
        assert made.sentence.endswith(".") and len(made.sentence) > 60
        assert made.name not in set(ScenarioName) | set(Rest) | {"path", "rugged"}
