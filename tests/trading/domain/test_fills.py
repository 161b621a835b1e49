"""From quotes to what is booked: shares, fees, rounding."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import SOL_MINT
from apps.trading.domain.fees import swap_fees
from apps.trading.domain.fills import Quote, UnusableQuote, simulated_buy, simulated_sell, value_usd

TOKEN = "TokenMint1111111111111111111111111111111111"
U64 = 2**64 - 1
FEES = {"signatureFeeLamports": 5000, "prioritizationFeeLamports": "1.5", "feeBps": 10}


def buying(lamports: int, tokens: int, **payload: Any) -> Quote:
    return Quote(SOL_MINT, TOKEN, lamports, tokens, Decimal("0.01"), 50, payload, "test")


def selling(tokens: int, lamports: int, **payload: Any) -> Quote:
    return Quote(TOKEN, SOL_MINT, tokens, lamports, payload=payload)


def test_a_buy_pays_the_network_fee_on_top_and_the_protocol_fee_inside() -> None:
    fill = simulated_buy(buying(1_000_000_000, 5_000_000, **FEES), token_decimals=6)
    assert (fill.network_fee_lamports, fill.protocol_fee_lamports) == (5002, 1_000_000)
    assert (fill.debit_lamports, fill.credit_lamports) == (1_000_005_002, 0)
    assert fill.net_lamports == -1_000_005_002
    assert fill.price_sol == Decimal("0.2")
    assert (fill.token_amount, fill.slippage_percent, fill.price_impact) == (
        Decimal(5),
        Decimal("0.5"),
        Decimal("0.01"),
    )


def test_a_sale_is_credited_after_both_fees() -> None:
    fill = simulated_sell(selling(5_000_000, 900_000_000, **FEES), token_decimals=6)
    assert (fill.protocol_fee_lamports, fill.credit_lamports) == (900_000, 900_000_000 - 900_000 - 5002)
    assert fill.debit_lamports == 0
    assert fill.price_sol == Decimal("0.18")


def test_a_sale_that_costs_more_than_it_brings_is_a_debit() -> None:
    fill = simulated_sell(selling(1, 1000, signatureFeeLamports=5000), token_decimals=0)
    assert (fill.credit_lamports, fill.debit_lamports) == (0, 4000)


def test_the_protocol_fee_of_a_share_is_of_that_share() -> None:
    quote = buying(1_000_000_000, 5_000_000, **FEES)
    fill = simulated_buy(quote, token_decimals=6, share=100_000_001)
    assert fill.protocol_fee_lamports == 100_001
    assert fill.debit_lamports == 100_000_001 + 5002
    assert fill.token_base_units == 500_000


def test_a_price_has_twenty_four_places() -> None:
    fill = simulated_buy(buying(1, 3 * 10**15), token_decimals=6)
    assert fill.price_sol == Decimal("0.000000000000000000333333")


@pytest.mark.parametrize(
    ("quote", "share"),
    [
        (buying(1_000_000_000, 0), None),
        (buying(0, 5), None),
        (buying(10, 5), 1),
        (buying(10, 5), 11),
        (buying(10, 5), 0),
        (buying(10, 5), -1),
        (selling(10, 5), None),
    ],
)
def test_a_buy_that_would_give_nothing_is_refused(quote: Quote, share: int | None) -> None:
    with pytest.raises(UnusableQuote) as refused:
        simulated_buy(quote, token_decimals=6, share=share)
    assert refused.value.code == "INVALID_TRANSACTION"


def test_a_sale_that_would_give_nothing_is_refused() -> None:
    for quote in (selling(5, 0), selling(0, 5), buying(5, 5)):
        with pytest.raises(UnusableQuote) as refused:
            simulated_sell(quote, token_decimals=6)
        assert refused.value.code == "INVALID_SALE_PRICE"


@given(total=st.integers(1, U64), out=st.integers(1, U64), cuts=st.lists(st.integers(1, U64), max_size=6))
def test_shares_of_one_quote_never_add_up_to_more_than_it(total: int, out: int, cuts: list[int]) -> None:
    quote = buying(total, out)
    given_out, left = 0, total
    for cut in [*cuts, U64]:
        share = min(cut, left)
        if share == 0:
            break
        left -= share
        try:
            given_out += simulated_buy(quote, token_decimals=9, share=share).token_base_units
        except UnusableQuote:
            assert share * out < total
    assert given_out <= out


@given(
    lamports=st.integers(1, U64),
    out=st.integers(1, U64),
    signature=st.decimals(0, 10**6, places=3),
    bps=st.integers(0, 255),
)
def test_what_goes_out_is_rounded_up_and_what_comes_in_is_not_more_than_the_exact_figure(
    lamports: int, out: int, signature: Decimal, bps: int
) -> None:
    payload = {"signatureFeeLamports": signature, "feeBps": bps}
    buy = simulated_buy(buying(lamports, out, **payload), token_decimals=6)
    assert 0 <= buy.debit_lamports - (lamports + signature) < 1
    sale = simulated_sell(selling(out, lamports, **payload), token_decimals=6)
    exact = lamports - Decimal(lamports) * bps / 10_000 - signature
    assert 0 <= exact - sale.net_lamports < 2
    assert min(sale.credit_lamports, sale.debit_lamports) == 0


@pytest.mark.parametrize(
    "junk", [None, 5, "x", [], [1], {"executeResponse": {}}, {"orderResponse": None}, {"orderResponse": 5}]
)
def test_a_payload_without_an_order_tells_no_fees(junk: Any) -> None:
    fees = swap_fees(junk)
    assert (fees.protocol_sol, fees.network_sol) == (None, None)
    assert (fees.protocol_lamports, fees.network_lamports) == (0, 0)


@pytest.mark.parametrize("junk", ["x", "", "1_000", "NaN", "Infinity", "1e999", None, True, {}, "0x10", float("nan")])
def test_a_fee_that_is_no_number_counts_as_nothing(junk: Any) -> None:
    assert swap_fees({"signatureFeeLamports": junk}).network_sol == 0
    assert swap_fees({"inputMint": SOL_MINT, "inAmount": "5", "feeBps": junk}).protocol_sol == 0


def test_a_negative_fee_never_pays_the_wallet() -> None:
    fill = simulated_buy(buying(1000, 1000, signatureFeeLamports=-5000), token_decimals=0)
    assert fill.debit_lamports == 1000


@pytest.mark.parametrize(
    ("told", "worth"),
    [
        (Decimal("123.45"), "61.725"),
        (300, "150"),
        (0, "0"),
        (None, "75"),
        ("123.45", "75"),
        (True, "75"),
        (Decimal(-1), "75"),
        (Decimal("1e15"), "75"),
        (Decimal("NaN"), "75"),
    ],
)
def test_a_fill_is_worth_what_its_quote_tells_or_its_sol(told: Any, worth: str) -> None:
    quote = buying(1_000_000_000, 5_000_000, swapUsdValue=told)
    half = simulated_buy(quote, token_decimals=6, share=500_000_000)
    assert value_usd(quote, half, Decimal(150)) == Decimal(worth)
    assert value_usd(quote, half, None) is None
