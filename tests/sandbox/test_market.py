"""The market in steps: the same seed gives the same market, scenarios do what they promise, a restart goes on."""

from __future__ import annotations

from decimal import Decimal
from statistics import pstdev

import pytest

from apps.core.money import SOL_MINT
from apps.sandbox.domain import base58, director, resume, tokens
from apps.sandbox.domain.market import Market, UnknownToken
from apps.sandbox.domain.ready_made import READY_MADE, Topic
from apps.sandbox.domain.scenarios import ScenarioName
from apps.sandbox.domain.tokens import Rest, TokenOrder

NOW = 1_790_000_000.0
TICK_MS = 500


def open_market(*, seed: int = 7, autonomous: bool = False) -> Market:
    return Market(seed=seed, demo_tokens=14, tick_ms=TICK_MS, now=NOW, autonomous=autonomous)


def play(market: Market, seconds: float) -> None:
    for _ in range(round(seconds * 1000 / TICK_MS)):
        market.step(NOW + market.tick * TICK_MS / 1000)


def list_token(market: Market, rest: Rest = Rest.STILL, *, number: int = 1) -> str:
    order = TokenOrder("TEST", number, rest, 6, Decimal("0.001"), Decimal(300), 5.0)
    token = tokens.ordered_token(market.seed, order)
    assert token is not None
    market.add([token])
    return token.mint


def price_of(market: Market, mint: str) -> float:
    return market.view.pools[mint].price_number()


def change_of(market: Market, mint: str, before: float) -> float:
    return (price_of(market, mint) / before - 1) * 100


# Determinism


def test_the_same_seed_plays_the_same_market() -> None:
    first, second = open_market(autonomous=True), open_market(autonomous=True)
    play(first, 120)
    play(second, 120)
    assert first.view.pools == second.view.pools


def test_another_seed_lists_other_mints_and_prices() -> None:
    first, second = open_market(seed=1), open_market(seed=2)
    assert not set(first.demo_mints) & set(second.demo_mints)


def test_a_tokens_walk_does_not_depend_on_the_tokens_beside_it() -> None:
    alone, crowded = open_market(), open_market()
    walker = list_token(alone, Rest.CALM)
    for number in (2, 3, 4):
        list_token(crowded, Rest.CALM, number=number)
    assert list_token(crowded, Rest.CALM) == walker
    play(alone, 30)
    play(crowded, 30)
    assert alone.view.pools[walker] == crowded.view.pools[walker]


# What is listed


def test_the_demo_market_has_varied_tokens_with_real_addresses() -> None:
    market = open_market()
    listed = [market.listing(mint).token for mint in market.demo_mints]
    assert len(listed) >= 12
    assert all(base58.is_key(token.mint) and base58.is_key(token.launch_pool.address) for token in listed)
    assert {token.decimals for token in listed} == {5, 6, 8, 9}
    assert len({token.symbol for token in listed}) == len(listed)
    for token in listed:
        assert 50_000 < market.view.liquidity_usd(token.mint) < 2_000_000
        assert 100_000 < market.view.usd_price(token.mint) * token.supply < 100_000_000
        assert token.launch_pool.base_reserve < token.supply_base_units < 2**64


def test_symbols_are_found_whatever_their_letters_case() -> None:
    market = open_market()
    assert market.mint_of("noodl") == market.demo_mints[0]
    assert market.mint_of("SOL") == SOL_MINT
    with pytest.raises(UnknownToken):
        market.mint_of("NOSUCH")


# Rest


def test_a_still_token_does_not_move_at_all() -> None:
    market = open_market(autonomous=True)
    mint = list_token(market)
    before = market.view.pools[mint]
    play(market, 60)
    assert market.view.pools[mint] == before


def test_a_calm_walk_passes_close_stops_within_two_minutes_more_often_than_not() -> None:
    market = open_market()
    walked: dict[str, list[float]] = {mint: [] for mint in market.demo_mints}
    for _ in range(1_200):
        market.step(NOW)
        for mint, prices in walked.items():
            prices.append(price_of(market, mint))
    two_minutes = 240
    falls = [
        min(prices[start : start + two_minutes]) / prices[start] - 1
        for prices in walked.values()
        for start in range(0, 1_200 - two_minutes, 60)
    ]
    assert sum(fall <= -0.03 for fall in falls) > 0.5 * len(falls)
    assert sum(fall <= -0.10 for fall in falls) > 0.15 * len(falls)


def test_volatility_is_a_parameter_of_the_token() -> None:
    market = open_market()
    quiet = list_token(market, Rest.CALM)
    order = TokenOrder("WILD", 1, Rest.CALM, 6, Decimal("0.001"), Decimal(300), 25.0)
    token = tokens.ordered_token(market.seed, order)
    assert token is not None
    market.add([token])
    wild = token.mint
    play(market, 120)
    spread = {mint: pstdev(market.listing(mint).history) for mint in (quiet, wild)}
    assert spread[wild] > 2 * spread[quiet]


def test_sol_walks_against_the_dollar_and_token_dollar_prices_with_it() -> None:
    market = open_market()
    mint = list_token(market)
    sol_before, usd_before = market.view.sol_usd, market.view.usd_price(mint)
    play(market, 60)
    assert market.view.sol_usd != sol_before
    assert abs(market.view.sol_usd / sol_before - 1) < 0.05
    assert market.view.usd_price(mint) / usd_before == pytest.approx(market.view.sol_usd / sol_before, rel=1e-9)


# Scenarios


@pytest.mark.parametrize(
    ("name", "seconds", "least", "most"),
    [
        (ScenarioName.CRASH, 6, -80, -60),
        (ScenarioName.GAP, 0.5, -70, -50),
        (ScenarioName.PUMP, 18, 60, 160),
        (ScenarioName.RUG, 2, -98, -96),
    ],
)
def test_a_scenario_moves_the_price_as_far_as_it_says(name, seconds, least, most) -> None:
    market = open_market()
    mint = list_token(market)
    before = price_of(market, mint)
    market.start(mint, name)
    play(market, seconds)
    assert least <= change_of(market, mint, before) <= most
    assert market.listing(mint).plan is None


@pytest.mark.parametrize("rest", list(Rest))
def test_a_crash_of_seventy_percent_is_one_of_seventy_percent(rest: Rest) -> None:
    market = open_market()
    mint = list_token(market, rest)
    before = price_of(market, mint)
    market.start(mint, ScenarioName.CRASH, change_percent=70, seconds=3)
    play(market, 3)
    assert change_of(market, mint, before) == pytest.approx(-70, abs=1e-6 if rest is Rest.STILL else 3)


def test_a_crash_falls_over_seconds_and_a_gap_at_once() -> None:
    market = open_market()
    crashing, gapping = list_token(market), list_token(market, number=2)
    market.start(crashing, ScenarioName.CRASH, change_percent=70, seconds=5)
    market.start(gapping, ScenarioName.GAP, change_percent=70)
    play(market, 0.5)
    assert change_of(market, gapping, 0.001) == pytest.approx(-70, abs=1e-6)
    assert -40 < change_of(market, crashing, 0.001) < -10


def test_a_rug_drains_the_sol_side() -> None:
    market = open_market()
    mint = list_token(market)
    market.start(mint, ScenarioName.RUG)
    play(market, 2)
    assert market.view.pools[mint].sol_reserve == pytest.approx(300e9 * 0.01, rel=1e-6)
    assert market.listing(mint).scenario == "rugged"


def test_calm_gives_a_rugged_pool_its_depth_back_at_the_price_it_has() -> None:
    market = open_market()
    mint = list_token(market)
    market.start(mint, ScenarioName.RUG)
    play(market, 2)
    before, product = price_of(market, mint), market.listing(mint).token.launch_pool.product
    market.start(mint, ScenarioName.CALM)
    assert price_of(market, mint) == pytest.approx(before, rel=1e-6)
    assert market.view.pools[mint].product == pytest.approx(product, rel=1e-6)
    assert market.listing(mint).scenario == "calm"


def test_a_still_token_stands_still_again_after_a_scenario() -> None:
    market = open_market()
    mint = list_token(market)
    market.start(mint, ScenarioName.CRASH)
    play(market, 6)
    after = market.view.pools[mint]
    play(market, 10)
    assert market.view.pools[mint] == after


def test_the_market_plays_scenarios_of_its_own_on_demo_tokens_only() -> None:
    market = open_market(autonomous=True)
    mine = list_token(market, Rest.CALM)
    seen = set()
    for _ in range(600):
        market.step(NOW)
        seen |= {mint for mint, listing in market.listings.items() if listing.plan is not None}
    assert len(seen) >= 5
    assert mine not in seen
    assert seen <= set(market.demo_mints)


def charts_begun(market: Market, seconds: float, held: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Return the charts that begin within these seconds, with the tokens that play them."""
    begun = []
    for _ in range(round(seconds * 1000 / TICK_MS)):
        before = {mint: listing.playing for mint, listing in market.listings.items()}
        market.step(NOW + market.tick * TICK_MS / 1000, held)
        begun += [
            (listing.playing.script.name, mint)
            for mint, listing in market.listings.items()
            if listing.playing is not None and listing.playing is not before[mint]
        ]
    return begun


def test_within_three_minutes_the_market_plays_a_chart_of_every_topic() -> None:
    begun = charts_begun(open_market(autonomous=True), 180)
    assert {READY_MADE[name].about for name, _ in begun} == set(Topic)


def test_within_ten_minutes_the_market_plays_every_chart() -> None:
    begun = charts_begun(open_market(autonomous=True), 600)
    assert {name for name, _ in begun} == set(READY_MADE)


def test_charts_go_to_tokens_that_are_held_while_there_are_any_that_walk() -> None:
    market = open_market(autonomous=True)
    held = frozenset(market.demo_mints[:6])
    begun = charts_begun(market, 300, held)
    assert len(begun) > 15
    assert {mint for _, mint in begun} <= held


def test_what_is_held_does_not_change_when_charts_begin() -> None:
    one, other = open_market(autonomous=True), open_market(autonomous=True)
    names = [name for name, _ in charts_begun(one, 200)]
    assert [name for name, _ in charts_begun(other, 200, frozenset(other.demo_mints[:8]))] == names


def test_a_token_far_above_its_anchor_is_rarely_sent_further_up() -> None:
    calm = [("high", 1.5), ("low", -0.5)]
    chosen = {"high": 0, "low": 0}
    for tick in range(30, 30_000, 30):
        show = director.decide_show(seed=1, tick=tick, tick_ms=TICK_MS, calm=calm, held=frozenset())
        if show is not None and show.chart.direction > 0:
            chosen[show.mint] += 1
    assert chosen["high"] < chosen["low"] / 10


def test_an_hour_of_its_own_life_leaves_every_demo_token_tradable() -> None:
    market = open_market(autonomous=True)
    play(market, 3_600)
    for mint in market.demo_mints:
        pool = market.view.pools[mint]
        launched = market.listing(mint).token.launch_pool
        assert 1e-4 < pool.price_number() / launched.price_number() < 1e3
        assert pool.buy(10_000_000) > 0


def test_a_rugged_demo_token_finds_new_liquidity_by_itself() -> None:
    market = open_market(autonomous=True)
    mint = market.demo_mints[0]
    market.start(mint, ScenarioName.RUG)
    play(market, 3)
    assert market.listing(mint).scenario == "rugged"
    play(market, 185)
    assert market.listing(mint).drained_since_tick is None


# Setting


def test_a_price_that_is_set_ends_what_was_playing() -> None:
    market = open_market()
    mint = list_token(market)
    market.start(mint, ScenarioName.CRASH)
    market.set_price(mint, Decimal("0.002"))
    play(market, 6)
    assert market.view.pools[mint].price_sol == pytest.approx(Decimal("0.002"), rel=Decimal("1e-9"))


# Going on


def test_a_restarted_market_goes_on_where_it_was() -> None:
    market = open_market(autonomous=True)
    mine = list_token(market)
    market.set_price(mine, Decimal("0.004"))
    market.start(market.demo_mints[0], ScenarioName.RUG)
    play(market, 30)
    again = Market(seed=7, demo_tokens=14, tick_ms=TICK_MS, now=NOW + 3_600, autonomous=True)
    assert resume.adopt(again, resume.to_document(market))
    assert again.view.pools == market.view.pools
    assert again.tick == market.tick
    assert again.listing(mine).listed_at == market.listing(mine).listed_at
    assert again.listing(market.demo_mints[0]).scenario == "rugged"
    play(market, 0.5)
    play(again, 0.5)
    assert again.view.pools[mine] == market.view.pools[mine]


def test_another_seeds_document_is_left_alone() -> None:
    market = open_market(seed=2)
    before = market.view.pools
    assert not resume.adopt(market, resume.to_document(open_market(seed=1)))
    assert market.view.pools == before
