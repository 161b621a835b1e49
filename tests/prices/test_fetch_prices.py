"""One poll of the sources against the sandbox, with every fault a source can have."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from pytest_django import Settings

from apps.core.http import Lane
from apps.core.http.plans import plan_for
from apps.core.money import SOL_MINT
from apps.prices import services as prices
from apps.prices.domain.points import PricePoint
from apps.prices.domain.trust import Trust, TrustDecision
from apps.prices.services import fetching
from tests.prices.world import providers
from tests.sandbox_server import SandboxControl

pytestmark = pytest.mark.django_db(transaction=True)


def close_to(price: Decimal, expected: Decimal) -> bool:
    return abs(price - expected) <= expected * Decimal("1e-9")


def fetch_one(mint: str, last_good: Decimal | None = None) -> TrustDecision:
    return prices.fetch_prices([mint], last_good_sol={} if last_good is None else {mint: last_good}).decisions[mint]


def point_of(decision: TrustDecision) -> PricePoint:
    assert decision.point is not None
    return decision.point


def test_a_poll_brings_every_held_token_from_one_source(market: SandboxControl) -> None:
    tokens = market.add_tokens(120)
    result = prices.fetch_prices([token.mint for token in tokens])
    assert len(result.trusted) == 120
    assert {point.source for point in result.trusted} == {"jupiter"}
    for token in tokens:
        assert close_to(point_of(result.decisions[token.mint]).price_sol, token.price_sol)
    assert result.errors == ()
    assert result.sol_usd is not None


def test_a_tiny_price_arrives_with_its_digits(market: SandboxControl) -> None:
    token = market.add_token(price_sol="0.00000000006632", decimals=6, liquidity_sol=10)
    assert close_to(point_of(fetch_one(token.mint)).price_sol, token.price_sol)


def test_a_token_jupiter_leaves_out_is_priced_by_dexscreener(market: SandboxControl) -> None:
    lost, kept = market.add_tokens(2)
    market.fault("jupiter_price", "missing_price", mints=[lost.mint])
    result = prices.fetch_prices([lost.mint, kept.mint])
    assert point_of(result.decisions[lost.mint]).source == "dexscreener"
    assert point_of(result.decisions[kept.mint]).source == "jupiter"
    assert close_to(point_of(result.decisions[lost.mint]).price_sol, lost.price_sol)


def test_a_null_price_is_no_price_and_a_token_nobody_prices_is_missing(market: SandboxControl) -> None:
    token = market.add_token()
    market.fault(["jupiter_price", "dexscreener"], "null_price", mints=[token.mint])
    result = prices.fetch_prices([token.mint])
    assert result.decisions[token.mint].code == "no_price"
    assert result.missing == {token.mint}
    assert result.trusted == []


def test_an_absurd_price_from_one_source_waits_for_confirmation_and_shows_the_others_view(
    market: SandboxControl,
) -> None:
    token = market.add_token()
    market.fault("jupiter_price", "absurd_price", mints=[token.mint], factor=Decimal("0.001"))
    result = prices.fetch_prices([token.mint], last_good_sol={token.mint: token.price_sol})
    decision = result.decisions[token.mint]
    assert decision.trust is Trust.NEEDS_CONFIRMATION
    assert decision.code == "wild_and_second_source_disagrees"
    assert result.alternatives[token.mint].allowed
    assert close_to(point_of(result.alternatives[token.mint]).price_sol, token.price_sol)
    assert result.trusted == []
    assert [d.code for d in result.doubtful] == ["wild_and_second_source_disagrees"]


def test_an_absurd_dollar_price_of_sol_makes_no_tokens_price_trusted(market: SandboxControl) -> None:
    tokens = market.add_tokens(3)
    market.fault("jupiter_price", "absurd_price", mints=[SOL_MINT], factor=Decimal(10))
    last = {token.mint: token.price_sol for token in tokens}
    result = prices.fetch_prices(list(last), last_good_sol=last)
    assert {d.trust for d in result.decisions.values()} == {Trust.NEEDS_CONFIRMATION}


@pytest.mark.parametrize("factor", ["0.02", "0.45", "1.6", "40"])
def test_a_real_crash_or_pump_is_trusted_in_the_same_poll(market: SandboxControl, factor: str) -> None:
    token = market.add_token()
    now_at = market.set_price(token.mint, token.price_sol * Decimal(factor))
    decision = fetch_one(token.mint, last_good=token.price_sol)
    assert decision.code == "confirmed_by_second_source"
    assert close_to(point_of(decision).price_sol, now_at)


def test_a_wild_move_waits_when_the_second_source_is_down(market: SandboxControl) -> None:
    token = market.add_token()
    market.set_price(token.mint, token.price_sol / 10)
    market.fault("dexscreener", "server_error")
    decision = fetch_one(token.mint, last_good=token.price_sol)
    assert decision.code == "wild_without_second_source"
    assert decision.needs_confirmation


def test_a_stale_feed_is_refused_and_the_second_source_takes_over(market: SandboxControl) -> None:
    token = market.add_token()
    assert fetch_one(token.mint).allowed
    market.fault("jupiter_price", "stale_price", age_seconds=60)
    market.set_price(token.mint, token.price_sol * Decimal("0.7"))
    decision = fetch_one(token.mint, last_good=token.price_sol)
    assert decision.allowed
    assert point_of(decision).source == "dexscreener"
    assert close_to(point_of(decision).price_sol, token.price_sol * Decimal("0.7"))
    market.fault("dexscreener", "server_error")
    assert fetch_one(token.mint, last_good=token.price_sol).code == "stale"


def test_a_stale_feed_is_known_as_such_by_a_process_that_only_starts(market: SandboxControl) -> None:
    token = market.add_token()
    result = prices.fetch_prices([token.mint])
    prices.record_ticks(result.trusted)
    from apps.prices.adapters import jupiter_prices

    jupiter_prices.forget()
    market.fault("jupiter_price", "stale_price", age_seconds=60)
    market.fault("dexscreener", "server_error")
    assert fetch_one(token.mint, last_good=token.price_sol).code == "stale"


@pytest.mark.parametrize("kind", ["server_error", "rate_limit", "hang", "disconnect", "unauthorized"])
def test_an_outage_of_the_primary_is_bridged_within_the_deadline(market: SandboxControl, kind: str) -> None:
    tokens = market.add_tokens(60)
    market.fault("jupiter_price", kind)
    result = prices.fetch_prices([token.mint for token in tokens], deadline_seconds=4.0)
    assert len(result.trusted) == 60
    assert {point.source for point in result.trusted} == {"dexscreener"}
    assert len(result.errors) == 2


def test_when_every_source_hangs_the_poll_ends_with_its_deadline_and_nothing_is_made_up(market: SandboxControl) -> None:
    token = market.add_token()
    market.fault(["jupiter_price", "dexscreener"], "hang")
    started = time.perf_counter()
    result = prices.fetch_prices([token.mint], deadline_seconds=0.4)
    assert 0.3 < time.perf_counter() - started < 10  # the sources hang for half a minute
    assert result.decisions[token.mint].code == "no_price"
    assert {error.code for error in result.errors} == {"PROVIDER_TIMEOUT"}


def test_a_failed_batch_costs_no_other(market: SandboxControl) -> None:
    tokens = market.add_tokens(90)
    market.fault("jupiter_price", "unauthorized", count=1)
    market.fault("dexscreener", "unauthorized")
    result = prices.fetch_prices([token.mint for token in tokens])
    assert len(result.trusted) in (41, 49)
    assert len(result.missing) == 90 - len(result.trusted)
    assert len(result.errors) >= 2


def test_without_last_prices_given_a_move_is_measured_from_the_recorded_ones(market: SandboxControl) -> None:
    token = market.add_token()
    prices.record_ticks(prices.fetch_prices([token.mint]).trusted)
    market.fault("jupiter_price", "absurd_price", mints=[token.mint], factor=Decimal(50))
    market.fault("dexscreener", "missing_price", mints=[token.mint])
    assert prices.fetch_prices([token.mint]).decisions[token.mint].code == "wild_without_second_source"


def test_on_a_small_plan_dexscreener_polls_and_jupiter_gives_the_second_opinion(
    market: SandboxControl, settings: Settings
) -> None:
    settings.PROVIDERS = providers(market, jupiter="keyless", dexscreener="keyless")
    token = market.add_token()
    assert point_of(fetch_one(token.mint)).source == "dexscreener"
    market.set_price(token.mint, token.price_sol / 20)
    decision = fetch_one(token.mint, last_good=token.price_sol)
    assert decision.code == "confirmed_by_second_source"
    assert point_of(decision).source == "dexscreener"


def test_polling_slows_down_with_the_tokens_a_small_plan_must_cover(settings: Settings, market: SandboxControl) -> None:
    assert prices.poll_interval_seconds(10_000) == 1
    settings.PROVIDERS = providers(market, jupiter="keyless", dexscreener="keyless")
    assert prices.poll_interval_seconds(0) == 1
    assert prices.poll_interval_seconds(60) == 1
    assert prices.poll_interval_seconds(300) == 4
    settings.PRICE_SHARDS = 2  # the other shard spends calls of the same plan
    assert prices.poll_interval_seconds(150) == 4


@pytest.mark.parametrize("plan", ["keyless", "free", "developer", "launch", "pro"])
@pytest.mark.parametrize("tokens", [1, 50, 200, 1_000, 5_000])
def test_polling_never_needs_more_than_its_lane_always_has(
    settings: Settings, market: SandboxControl, plan: str, tokens: int
) -> None:
    settings.PROVIDERS = providers(market, jupiter=plan, dexscreener="keyless")
    primary, _ = fetching.sources()
    limits = plan_for(primary.PROVIDER, "keyless" if primary.PROVIDER == "dexscreener" else plan)
    assert limits is not None
    calls = -(-tokens // primary.TOKENS_PER_CALL) * limits.window_seconds / prices.poll_interval_seconds(tokens)
    assert calls <= limits.reserved[Lane.HELD_PRICES] + 1e-9


def test_asking_for_nothing_or_for_nonsense_calls_nobody(market: SandboxControl) -> None:
    market.fault(["jupiter_price", "dexscreener"], "server_error")
    assert prices.fetch_prices([]).decisions == {}
    result = prices.fetch_prices(["not a mint", "../../etc", "a,b"])
    assert {d.code for d in result.decisions.values()} == {"no_price"}
    assert result.errors == ()


def test_sol_itself_costs_one_sol(market: SandboxControl) -> None:
    point = point_of(fetch_one(SOL_MINT))
    assert point.price_sol == 1
    assert point.price_usd is not None
