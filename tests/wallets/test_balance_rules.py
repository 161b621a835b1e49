"""What a transaction does to balances: exact, without tolerance, never below zero."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import SOL_MINT, SOL_QUANTUM
from apps.wallets.domain.balance_effects import BURN, DEPOSIT, SWAP, BalanceRefused, Leg, apply, effects

TOKEN = "TokenMint1111111111111111111111111111111111"


def sol(amount: str) -> Leg:
    return Leg(SOL_MINT, Decimal(amount))


def test_one_unit_too_much_is_short_and_changes_nothing() -> None:
    before = {SOL_MINT: Decimal(1)}
    with pytest.raises(BalanceRefused) as refused:
        apply(before, SWAP, sol("1.000000001"), Leg(TOKEN, Decimal(1)))
    assert (refused.value.reason, refused.value.code) == ("insufficient", "INSUFFICIENT_BALANCE")
    assert before == {SOL_MINT: Decimal(1)}


def test_sol_going_out_is_rounded_up_and_coming_in_rounded_down() -> None:
    assert effects(SWAP, sol("0.1000000001"), Leg(TOKEN, Decimal(1)))[SOL_MINT] == Decimal("-0.100000001")
    assert effects(DEPOSIT, sol("0.1000000019"))[SOL_MINT] == Decimal("0.100000001")
    assert effects(SWAP, Leg(TOKEN, Decimal(1)), sol("0.1000000019"))[SOL_MINT] == Decimal("0.100000001")


def test_tokens_are_not_rounded() -> None:
    assert effects(BURN, Leg(TOKEN, Decimal("0.123456789012345678")))[TOKEN] == Decimal("-0.123456789012345678")


@pytest.mark.parametrize(
    ("kind", "given_leg", "taken"),
    [
        (DEPOSIT, None, None),
        (DEPOSIT, Leg("", Decimal(1)), None),
        (DEPOSIT, sol("0"), None),
        (DEPOSIT, sol("-1"), None),
        (DEPOSIT, sol("NaN"), None),
        (SWAP, sol("1"), None),
        (SWAP, sol("1"), Leg(TOKEN, Decimal(0))),
        ("TRANSFER", sol("1"), None),
    ],
)
def test_a_transaction_without_its_sides_is_refused(kind: str, given_leg: Leg | None, taken: Leg | None) -> None:
    with pytest.raises(BalanceRefused) as refused:
        apply({SOL_MINT: Decimal(5)}, kind, given_leg, taken)
    assert refused.value.reason == "invalid_input"


def test_what_was_never_held_cannot_be_taken_out() -> None:
    with pytest.raises(BalanceRefused) as refused:
        apply({SOL_MINT: Decimal(5)}, BURN, Leg(TOKEN, Decimal(1)))
    assert refused.value.reason == "balance_not_found"


def test_mints_differing_in_case_are_different_tokens() -> None:
    after = apply({"Abc": Decimal(1)}, DEPOSIT, Leg("aBC", Decimal(2)))
    assert after == {"Abc": Decimal(1), "aBC": Decimal(2)}


amounts = st.decimals(min_value="0.000000001", max_value=10**9, places=12)


@given(held=amounts, out=amounts, tokens=amounts)
def test_no_balance_ever_falls_below_zero_and_sol_stays_whole_lamports(
    held: Decimal, out: Decimal, tokens: Decimal
) -> None:
    before = {SOL_MINT: held.quantize(SOL_QUANTUM)}
    try:
        after = apply(before, SWAP, Leg(SOL_MINT, out), Leg(TOKEN, tokens))
    except BalanceRefused:
        assert out > before[SOL_MINT] - SOL_QUANTUM
        return
    assert after[SOL_MINT] >= 0
    assert after[SOL_MINT] == after[SOL_MINT].quantize(SOL_QUANTUM)
    assert before[SOL_MINT] - after[SOL_MINT] >= out
    assert after[TOKEN] == tokens
