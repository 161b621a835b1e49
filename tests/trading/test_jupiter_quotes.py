"""Quotes from the sandbox's Jupiter: exact amounts, impact as a loss, refusals told apart from failures."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.http import (
    Answer,
    ProviderError,
    ProviderMalformed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    call_loop,
)
from apps.core.money import SOL_MINT
from apps.trading.adapters import jupiter
from apps.trading.domain.fills import Quote
from apps.trading.errors import TokenNotTradable
from tests.core.misbehaving_server import MisbehavingServer, reply
from tests.desk import wait_until
from tests.sandbox_server import SandboxControl

UNKNOWN = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
SOL = 1_000_000_000


def buy(mint: str, lamports: int = SOL, *, seconds: float = 20.0) -> Quote:
    return jupiter.quote_now(SOL_MINT, mint, lamports, lane="entry", deadline_seconds=seconds)


def document(**changes: Any) -> dict[str, Any]:
    answer = {
        "inputMint": SOL_MINT,
        "outputMint": UNKNOWN,
        "inAmount": str(SOL),
        "outAmount": "18446744073709551615",
        "priceImpact": Decimal("-0.0951"),
        "priceImpactPct": "-0.000951",
        "slippageBps": 40,
    }
    return {name: value for name, value in (answer | changes).items() if value != "absent"}


def read(**changes: Any) -> Quote:
    return jupiter.read_quote(Answer(document(**changes)), (SOL_MINT, UNKNOWN, SOL))


def test_a_quote_is_what_the_market_says_to_the_base_unit(market: SandboxControl) -> None:
    token = market.add_token()
    told = market.order(input_mint=SOL_MINT, output_mint=token.mint, amount=SOL)
    quote = buy(token.mint)
    assert (quote.input_mint, quote.output_mint) == (SOL_MINT, token.mint)
    assert (quote.in_amount, quote.out_amount) == (SOL, int(told["outAmount"]))
    assert quote.slippage_bps == told["slippageBps"]
    assert quote.source == "jupiter"
    assert quote.quoted_at is not None
    assert quote.payload["platformFee"] == told["platformFee"]
    assert quote.payload["routePlan"][0]["swapInfo"] == told["routePlan"][0]["swapInfo"]


def test_price_impact_is_a_positive_fraction_for_a_loss_and_grows_with_size(market: SandboxControl) -> None:
    token = market.add_token(liquidity_sol=100)
    small, large = buy(token.mint, SOL // 100), buy(token.mint, 50 * SOL)
    assert 0 < small.price_impact < large.price_impact < 1
    assert large.price_impact > Decimal("0.3")
    sale = jupiter.quote_now(token.mint, SOL_MINT, large.out_amount, lane="exit", deadline_seconds=20)
    assert sale.price_impact > Decimal("0.2")


@pytest.mark.parametrize(
    ("changes", "impact"),
    [
        ({}, "0.000951"),
        ({"priceImpactPct": "absent"}, "0.000951"),
        ({"priceImpactPct": None, "priceImpact": Decimal("0.1")}, "-0.001"),
        ({"priceImpactPct": "0"}, "0"),
        ({"priceImpactPct": "absent", "priceImpact": "absent"}, "0"),
        ({"priceImpactPct": "NaN", "priceImpact": Decimal("-5")}, "0.05"),
        ({"priceImpactPct": "0.02"}, "-0.02"),
    ],
)
def test_impact_in_either_form_becomes_one_signed_fraction(changes: dict[str, Any], impact: str) -> None:
    assert read(**changes).price_impact == Decimal(impact)


def test_amounts_of_sixty_four_bits_stay_whole() -> None:
    assert read().out_amount == 2**64 - 1


@pytest.mark.parametrize(
    "changes",
    [
        {"outAmount": "absent"},
        {"outAmount": None},
        {"outAmount": "0"},
        {"outAmount": "-5"},
        {"outAmount": "1e9"},
        {"outAmount": Decimal("1.5")},
        {"outAmount": "18446744073709551616"},
        {"outAmount": True},
        {"inAmount": "999"},
        {"inAmount": None},
        {"inputMint": UNKNOWN},
        {"outputMint": SOL_MINT},
    ],
    ids=repr,
)
def test_an_answer_that_is_not_the_swap_asked_for_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(ProviderMalformed):
        read(**changes)


def test_an_answer_with_an_error_code_is_an_error_even_with_amounts() -> None:
    with pytest.raises(ProviderRejected) as caught:
        read(errorCode=1, errorMessage="Insufficient funds")
    assert caught.value.body_code == "1"
    assert read(errorCode=0).in_amount == SOL


@given(
    st.dictionaries(
        st.sampled_from([*document(), "errorCode"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False) | st.lists(st.none()),
    )
)
def test_no_answer_can_break_the_reader(changes: dict[str, Any]) -> None:
    try:
        quote = read(**changes)
    except ProviderError:
        return
    assert (quote.in_amount, quote.input_mint, quote.output_mint) == (SOL, SOL_MINT, UNKNOWN)
    assert 0 < quote.out_amount < 2**64
    assert quote.price_impact.is_finite()


def test_a_mint_nobody_quotes_is_not_tradable_in_every_way_of_asking(market: SandboxControl) -> None:
    for ask in (
        lambda: buy(UNKNOWN),
        lambda: call_loop.run(jupiter.quote(UNKNOWN, SOL_MINT, 5, lane="exit", deadline_seconds=20)),
    ):
        with pytest.raises(TokenNotTradable) as caught:
            ask()
        assert caught.value.code == "TOKEN_NOT_TRADABLE"
        assert caught.value.details["reason"] == "TOKEN_NOT_TRADABLE"


def test_an_amount_too_small_for_any_route_is_not_tradable(market: SandboxControl) -> None:
    token = market.add_token(price_sol="0.1", decimals=0)
    with pytest.raises(TokenNotTradable):
        buy(token.mint, 1)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"requestId": "x", "error": "Failed to get quotes"}, TokenNotTradable),
        ({"error": "The token abc is not tradable", "errorCode": "TOKEN_NOT_TRADABLE"}, TokenNotTradable),
        ({"error": "Could not find any route"}, TokenNotTradable),
        ({"error": "Invalid amount"}, ProviderRejected),
        ({"error": "Failed to get quotes", "errorCode": "CIRCULAR_ARBITRAGE_IS_DISABLED"}, ProviderRejected),
    ],
)
def test_a_refusal_is_about_the_token_only_when_it_says_so(
    body: dict[str, str], kind: type[Exception], settings: Any
) -> None:
    server = MisbehavingServer()
    server.answers(reply(400, body))
    settings.PROVIDERS = {"jupiter": {"base_url": server.url, "plan": "sandbox"}}
    with pytest.raises(kind):
        buy(UNKNOWN)
    server.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("server_error", ProviderUnavailable),
        ("disconnect", ProviderUnavailable),
        ("hang", ProviderTimeout),
        ("rate_limit", ProviderRateLimited),
        ("unauthorized", ProviderRejected),
        ("null_price", ProviderMalformed),
        ("missing_price", ProviderMalformed),
    ],
)
def test_a_failing_provider_is_never_taken_for_an_untradable_token(
    market: SandboxControl, fault: str, kind: type[ProviderError]
) -> None:
    token = market.add_token()
    market.fault("jupiter_quote", fault, mints=[token.mint])
    with pytest.raises(kind):
        buy(token.mint, seconds=0.5 if fault == "hang" else 3.0)


def test_many_quotes_come_at_once_and_in_order(market: SandboxControl) -> None:
    token = market.add_token()
    market.fault("jupiter_quote", "latency", latency_ms=1000)
    amounts = [SOL, SOL // 2, SOL * 3, SOL // 7, SOL * 2, SOL // 5]
    started = time.perf_counter()
    quotes = jupiter.quote_many([(SOL_MINT, token.mint, each) for each in amounts], lane="entry", deadline_seconds=20)
    assert time.perf_counter() - started < 5  # one after another: six
    assert [quote.in_amount for quote in quotes if isinstance(quote, Quote)] == amounts
    assert jupiter.quote_many([], lane="entry", deadline_seconds=1) == []


@pytest.mark.parametrize("number", [1, 3])
def test_a_failing_quote_of_many_is_told_in_its_place(market: SandboxControl, number: int) -> None:
    token = market.add_token()
    requests = [(SOL_MINT, UNKNOWN, SOL), *[(SOL_MINT, token.mint, SOL)] * (number - 1)]
    refused, *quotes = jupiter.quote_many(requests, lane="entry", deadline_seconds=20)
    assert isinstance(refused, TokenNotTradable)
    assert [isinstance(quote, Quote) for quote in quotes] == [True] * (number - 1)


def test_a_hanging_quote_delays_no_other(market: SandboxControl) -> None:
    stuck, fine = market.add_tokens(2)
    market.fault("jupiter_quote", "hang", count=1)
    hanging = call_loop.submit(jupiter.quote(stuck.mint, SOL_MINT, 10**6, lane="exit", deadline_seconds=60))
    wait_until(lambda: market.state()["faults"] == [])  # it has asked
    others = [
        call_loop.submit(jupiter.quote(fine.mint, SOL_MINT, 10**6, lane="exit", deadline_seconds=20)) for _ in range(8)
    ]
    assert [other.result(60).out_amount > 0 for other in others] == [True] * 8
    assert not hanging.done()
    hanging.cancel()
