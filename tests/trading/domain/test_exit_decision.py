"""What ends a fired close, and what does not: decided under lock, first rule that applies."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.trading.domain import exit_decision
from apps.trading.domain.exit_decision import Action, CloseSituation

STOP = CloseSituation(
    reason="stop_loss",
    fired_generation=1,
    averaged_generation=1,
    is_open=True,
    wallet_current=True,
    exits_allowed=True,
    remaining_base_units=1_000,
    quoted_base_units=1_000,
)
DOUBTED = replace(STOP, needs_confirmation=True, stop_price_sol=Decimal("0.7"))


def test_a_stop_latches_whatever_the_price_does_since():
    bounced = replace(STOP, stop_price_sol=Decimal("0.7"), market_price_sol=Decimal(2))
    assert exit_decision.decide(bounced).allowed


@pytest.mark.parametrize(
    ("change", "action", "code"),
    [
        ({"is_open": False}, Action.CANCEL, "POSITION_CLOSED"),
        ({"wallet_current": False}, Action.CANCEL, "WALLET_RESET"),
        ({"averaged_generation": 2}, Action.CANCEL, "DCA_AFTER_STOP"),
        ({"exits_allowed": False}, Action.WAIT, "EXITS_HALTED"),
        ({"remaining_base_units": 999}, Action.REQUOTE, "AMOUNT_CHANGED"),
    ],
)
def test_what_stands_in_the_way_of_a_stop(change, action, code):
    decision = exit_decision.decide(replace(STOP, **change))
    assert (decision.action, decision.code, decision.allowed) == (action, code, False)


@pytest.mark.parametrize("reason", ["manual", "stale_trade"])
def test_a_dca_cancels_only_stops(reason):
    assert exit_decision.decide(replace(STOP, reason=reason, averaged_generation=2)).allowed


@pytest.mark.parametrize(
    ("market", "action", "code"),
    [
        ("0.5", Action.BOOK, "CONFIRMED"),
        ("0.7", Action.BOOK, "CONFIRMED"),
        ("0.735", Action.BOOK, "CONFIRMED"),
        ("0.7351", Action.CANCEL, "BAD_TICK"),
        ("1", Action.CANCEL, "BAD_TICK"),
    ],
)
def test_a_doubted_price_is_decided_by_the_quote_at_once(market, action, code):
    decision = exit_decision.decide(replace(DOUBTED, market_price_sol=Decimal(market)))
    assert (decision.action, decision.code) == (action, code)


def test_a_large_sale_in_a_thin_pool_does_not_confirm_a_bad_tick_by_its_own_impact():
    market = exit_decision.market_price(Decimal("0.6"), Decimal("0.4"))
    assert market == Decimal(1)
    assert exit_decision.decide(replace(DOUBTED, market_price_sol=market)).code == "BAD_TICK"


@given(st.decimals("0", "1", places=6), st.decimals("0.000001", "1000", places=6))
def test_a_market_price_is_never_below_what_the_sale_gets(impact, price):
    assert exit_decision.market_price(price, impact) >= price
