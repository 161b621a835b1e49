"""The checks before a buy, first failure first."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.trading_config import DEFAULT_CONFIG, load
from apps.trading.domain import entry_rules
from apps.trading.domain.entry_rules import EntryRequest, decide

HEALTHY = EntryRequest(DEFAULT_CONFIG, Decimal(5), size_sol=Decimal(1))
#: What breaks each check, in the order of the checks.
BREAKING: list[tuple[str, dict[str, Any]]] = [
    (entry_rules.AGENT_NOT_FOUND, {"agent_exists": False}),
    (entry_rules.CONFIG_ERROR, {"config": None}),
    (entry_rules.WALLET_NOT_FOUND, {"wallet_exists": False}),
    (entry_rules.WALLET_MISMATCH, {"wallet_belongs": False}),
    (entry_rules.WALLET_NOT_LOADED, {"wallet_type": "live", "wallet_loaded": False}),
    (entry_rules.TRADING_MODE_MISMATCH, {"wallet_type": "live", "wallet_loaded": True}),
    (entry_rules.INSUFFICIENT_BALANCE, {"balance_sol": Decimal(0)}),
    (entry_rules.BELOW_MINIMUM_THRESHOLD, {"balance_sol": Decimal("0.4")}),
    (entry_rules.POSITION_EXISTS, {"has_position": True}),
    (entry_rules.MAX_POSITIONS_EXCEEDED, {"open_positions": 25}),
    (entry_rules.INVALID_POSITION_SIZE, {"size_sol": Decimal(0)}),
]


@pytest.mark.parametrize("first", range(len(BREAKING)))
def test_the_first_failing_check_gives_the_code(first: int) -> None:
    everything_later: dict[str, Any] = {}
    for _, breaking in reversed(BREAKING[first:]):
        everything_later |= breaking
    code = BREAKING[first][0]
    decision = decide(replace(HEALTHY, **everything_later))
    assert (decision.allowed, decision.code) == (False, code)
    assert code in entry_rules.MESSAGES


def test_the_limit_on_open_positions_is_the_agents() -> None:
    assert decide(replace(HEALTHY, open_positions=2, max_open_positions=2)).code == "MAX_POSITIONS_EXCEEDED"
    assert decide(replace(HEALTHY, open_positions=30, max_open_positions=40)).allowed


def test_a_configuration_that_cannot_be_loaded_says_why() -> None:
    decision = decide(replace(HEALTHY, config=None))
    assert (decision.code, decision.cause) == ("CONFIG_ERROR", "INVALID_CONFIG")


def test_an_explicit_size_of_exactly_what_may_go_is_allowed() -> None:
    config = load({"purchaseLimits": {"maxPurchasePerToken": 4.5}})
    assert decide(EntryRequest(config, Decimal(5), size_sol=Decimal("4.5"))).allowed
    assert decide(EntryRequest(config, Decimal(5), size_sol=Decimal("4.500000001"))).code == "VIOLATES_MINIMUM_BALANCE"


@given(
    balance=st.decimals(min_value=0, max_value=50, places=9),
    size=st.none() | st.decimals(min_value=-1, max_value=50, places=9),
    draw=st.decimals(min_value=0, max_value="0.999999999", places=9),
)
def test_whatever_is_allowed_keeps_the_minimum_balance_and_the_largest_buy(
    balance: Decimal, size: Decimal | None, draw: Decimal
) -> None:
    decision = decide(EntryRequest(DEFAULT_CONFIG, balance, size_sol=size, random=draw))
    if decision.allowed:
        assert decision.size_sol is not None
        assert balance - decision.size_sol >= Decimal("0.5")
        assert 0 < decision.size_sol <= 2


def test_a_size_below_one_lamport_is_no_size_whoever_worked_it_out() -> None:
    dust, lamport = Decimal("9e-10"), Decimal("1e-9")
    minimum = DEFAULT_CONFIG.purchase_limits.minimum_agent_balance_sol
    assert decide(replace(HEALTHY, size_sol=dust)).code == entry_rules.INVALID_POSITION_SIZE
    assert decide(replace(HEALTHY, size_sol=lamport)).allowed
    drawn = replace(HEALTHY, size_sol=None)
    assert decide(replace(drawn, balance_sol=minimum + dust)).cause == entry_rules.INVALID_POSITION_SIZE
    assert decide(replace(drawn, balance_sol=minimum + lamport)).size_sol == lamport
