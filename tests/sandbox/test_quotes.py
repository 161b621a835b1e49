"""Quotes are exact: the pool's integers, the protocol fee in SOL, the impact from the pool's own price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import SOL_MINT
from apps.sandbox.domain import quotes
from apps.sandbox.domain.pools import U64_MAX, Pool
from apps.sandbox.domain.tokens import USDC_MINT
from apps.sandbox.domain.views import MarketView

MINT = "EFbJZaoMkoCivAdXAGqkdVSCrmD3PNbeCgQEor7Swoi4"
OTHER = "3EXQthtCu2Up4UwZJeCsVqe4RVfxtuZQgw28tzDY3YHi"
#: 0.00001 SOL a token, 500 SOL deep; SOL at 150 dollars.
VIEW = MarketView(
    tick=1,
    observed_at=1_790_000_000.0,
    pools={
        MINT: Pool("pool", 6, 50_000_000_000_000, 500_000_000_000, 25),
        OTHER: Pool("other", 9, 20_000_000_000_000_000, 400_000_000_000, 30),
        USDC_MINT: Pool("dollar", 6, 90_000_000_000_000, 600_000_000_000_000, 4),
    },
)


def a_quote(
    input_mint: str = SOL_MINT,
    output_mint: str = MINT,
    amount: int = 10**9,
    fee_bps: int = 10,
    slippage_bps: int | None = 50,
) -> quotes.Quote:
    return quotes.quote(
        VIEW, input_mint=input_mint, output_mint=output_mint, amount=amount, fee_bps=fee_bps, slippage_bps=slippage_bps
    )


def test_a_buy_pays_its_fee_out_of_the_input() -> None:
    quote = a_quote()
    assert quote.in_amount == 1_000_000_000
    assert quote.fee_lamports == 1_000_000
    assert quote.legs[0].in_amount == 999_000_000
    assert quote.out_amount == VIEW.pools[MINT].buy(999_000_000) == 99_452_041_583


def test_a_sales_output_is_stated_before_the_fee() -> None:
    quote = a_quote(MINT, SOL_MINT, 100_000_000_000)
    assert quote.out_amount == VIEW.pools[MINT].sell(100_000_000_000)
    assert quote.fee_lamports == quote.out_amount * 10 // 10_000


def test_between_two_tokens_the_fee_comes_off_the_sol_in_the_middle() -> None:
    quote = a_quote(MINT, OTHER, 100_000_000_000)
    gross = VIEW.pools[MINT].sell(100_000_000_000)
    assert [leg.in_amount for leg in quote.legs] == [100_000_000_000, gross - gross * 10 // 10_000]
    assert quote.out_amount == VIEW.pools[OTHER].buy(quote.legs[1].in_amount)


def test_impact_is_the_loss_against_the_pools_own_price() -> None:
    quote = a_quote()
    value_out = Decimal(quote.out_amount) * 500_000_000_000 / 50_000_000_000_000
    assert quote.impact_fraction == (value_out / 10**9 - 1).quantize(Decimal("1e-12"))
    assert quote.impact_fraction == Decimal("-0.005479584170")
    assert quote.in_usd == pytest.approx(150)
    assert quote.out_usd == pytest.approx(150 * (1 - 0.00547958417))


@given(st.integers(10**9, 10**14), st.booleans())
def test_impact_grows_with_size_and_is_never_a_gain(amount: int, buys: bool) -> None:
    mints = (SOL_MINT, MINT) if buys else (MINT, SOL_MINT)
    small, large = a_quote(*mints, amount), a_quote(*mints, amount * 10)
    assert large.impact_fraction <= small.impact_fraction + Decimal("0.001")
    assert large.impact_fraction < 0


@given(st.integers(1, U64_MAX), st.integers(0, 10_000))
def test_the_least_output_allows_exactly_the_slippage(amount: int, slippage_bps: int) -> None:
    try:
        quote = a_quote(amount=amount, slippage_bps=slippage_bps)
    except quotes.NoRoute:
        return
    exact = Decimal(quote.out_amount) * (10_000 - slippage_bps) / 10_000
    assert 0 <= quote.least_out_amount - exact < 1


def test_slippage_is_estimated_from_the_impact_when_nobody_asks() -> None:
    assert (
        a_quote(amount=10**6, slippage_bps=None).slippage_bps < a_quote(amount=10**11, slippage_bps=None).slippage_bps
    )


def test_dust_and_unknown_mints_have_no_quote() -> None:
    with pytest.raises(quotes.NoRoute):
        a_quote(MINT, SOL_MINT, 1)
    with pytest.raises(quotes.NotTradable, match="Vote111"):
        a_quote(output_mint="Vote111111111111111111111111111111111111111")


def test_a_quote_does_not_move_the_pool() -> None:
    assert a_quote().out_amount == a_quote().out_amount
