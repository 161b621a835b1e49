"""Constant-product pools: what no sequence of swaps, moves and withdrawals may break."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.sandbox.domain.pools import U64_MAX, Pool, PoolOutOfRange, swap_out
from apps.sandbox.domain.tokens import launch_pool

RESERVES = st.integers(10_000, U64_MAX)
AMOUNTS = st.integers(1, U64_MAX)
FEES = st.integers(0, 1_000)


def a_pool(*, base: int = 50_000_000_000_000, sol: int = 500_000_000_000, decimals: int = 6, fee_bps: int = 25) -> Pool:
    return Pool("pool", decimals, base, sol, fee_bps)


@given(RESERVES, RESERVES, AMOUNTS, FEES)
def test_a_swap_never_shrinks_the_product_of_the_reserves(reserve_in, reserve_out, amount, fee_bps) -> None:
    out = swap_out(reserve_in, reserve_out, amount, fee_bps)
    assert 0 <= out < reserve_out
    assert (reserve_in + amount) * (reserve_out - out) >= reserve_in * reserve_out


@given(RESERVES, RESERVES, st.integers(1, 2**40), FEES)
def test_there_and_back_never_makes_a_profit(base, sol, lamports, fee_bps) -> None:
    pool = Pool("pool", 6, base, sol, fee_bps)
    tokens = pool.buy(lamports)
    after = Pool("pool", 6, base - tokens, sol + lamports, fee_bps)
    assert after.sell(tokens) <= lamports


@given(RESERVES, RESERVES, AMOUNTS, AMOUNTS, FEES)
def test_more_in_never_gives_less_out(reserve_in, reserve_out, first, second, fee_bps) -> None:
    small, large = sorted((first, second))
    assert swap_out(reserve_in, reserve_out, small, fee_bps) <= swap_out(reserve_in, reserve_out, large, fee_bps)


def test_the_output_is_exact_to_the_last_unit() -> None:
    # in' = 1e9 * 0.9975; out = 50e12 * in' / (500e9 + in'), rounded down; and back with the roles exchanged
    assert a_pool().buy(1_000_000_000) == 99_551_394_967
    assert a_pool().sell(99_551_394_967) == 991_056_875


@given(RESERVES, RESERVES, st.floats(-3, 3))
def test_flow_moves_the_price_along_the_curve(base, sol, log_return) -> None:
    pool = Pool("pool", 9, base, sol, 30)
    moved = pool.moved(log_return)
    assert moved.product >= pool.product
    assert max(moved.base_reserve, moved.sol_reserve) <= U64_MAX
    assert min(moved.base_reserve, moved.sol_reserve) >= 10_000 or moved == pool


@given(st.decimals("1e-9", "1e3", places=12))
def test_a_price_that_is_set_is_the_price_that_is_reported(price) -> None:
    pool = a_pool().at_price(price)
    assert abs(pool.price_sol / price - 1) < Decimal("1e-6")


def test_a_price_is_carried_to_many_digits_by_a_deep_pool() -> None:
    price = Decimal("0.0000123456789")
    assert abs(a_pool().at_price(price).price_sol / price - 1) < Decimal("1e-12")


@given(st.integers(1, 99_999_999), st.integers(-12, -4), st.sampled_from((5, 6, 8, 9)))
def test_a_price_is_exact_while_its_digits_are_few_beside_the_pools_lamports(digits, exponent, decimals) -> None:
    price = Decimal(digits).scaleb(exponent)
    pool = a_pool(base=400_000 * 10**decimals, sol=400 * 10**9, decimals=decimals)
    moved = pool.at_price(price)
    assume(digits * 11_000 <= moved.sol_reserve)
    assert Fraction(*moved.price_ratio) == Fraction(price)
    assert abs(Fraction(moved.product, pool.product) - 1) <= Fraction(1, 9_000)


@given(st.decimals("1e-9", "1e3", places=24))
def test_a_longer_price_is_met_to_half_a_unit_of_the_larger_reserve(price) -> None:
    moved = a_pool().at_price(price)
    error = abs(Fraction(*moved.price_ratio) / Fraction(price) - 1)
    assert error <= Fraction(1, 2 * max(moved.base_reserve, moved.sol_reserve) - 1)


def test_prices_set_over_and_over_take_nothing_from_the_depth() -> None:
    pool = moved = a_pool()
    for number in range(1, 2_001):
        moved = moved.at_price(Decimal(number * 7_919 % 9_973 + 1).scaleb(-6))
    assert abs(Fraction(moved.product, pool.product) - 1) < Fraction(1, 1_000)


@pytest.mark.parametrize("price", ["0", "-1", "1e-30", "1e30"])
def test_a_price_no_pool_can_carry_is_refused(price: str) -> None:
    with pytest.raises(PoolOutOfRange):
        a_pool().at_price(Decimal(price))


def test_liquidity_leaves_at_an_unchanged_price() -> None:
    drained = a_pool().with_liquidity(Decimal("0.01"))
    assert drained.sol_reserve == 5_000_000_000
    assert drained.price_sol == a_pool().price_sol


def test_a_pool_opens_at_its_launch_price() -> None:
    pool = launch_pool(
        pool_address="pool", decimals=9, price_sol=Decimal("0.00004"), liquidity_sol=Decimal(5_000), fee_bps=25
    )
    assert pool is not None
    assert pool.price_sol == Decimal("0.00004")
    assert pool.sol_reserve == 5_000 * 10**9


def test_a_launch_that_does_not_fit_64_bits_is_no_pool() -> None:
    assert (
        launch_pool(
            pool_address="pool", decimals=9, price_sol=Decimal("1e-12"), liquidity_sol=Decimal(5_000), fee_bps=25
        )
        is None
    )
