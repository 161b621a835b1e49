"""The typed configuration the engine gets, and the way back."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain import trading_config
from apps.agents.domain.trading_config import DEFAULT_CONFIG, DEFAULTS, InvalidConfig, load, to_document


def test_the_defaults_are_exact_and_carry_their_units() -> None:
    config = load(None)
    assert config.purchase_limits.max_price_impact_fraction == Decimal("0.05")
    assert config.position_calculator.minimum_balance_sol == Decimal("0.2")
    assert config.stop_loss.default_percent == Decimal(-32)
    assert config.stale_trade.min_hold_minutes == Decimal(60)
    assert not config.signals.bounded


def test_a_float_is_read_by_its_shortest_form() -> None:
    config = load({"purchaseLimits": {"maxPurchasePerToken": 0.1}})
    assert config.purchase_limits.max_purchase_per_token_sol == Decimal("0.1")


def test_agents_with_equal_documents_share_one_configuration() -> None:
    assert load({"signals": {"minScore": 3}}) is load({"signals": {"minScore": 3}})
    assert load({"signals": {"minScore": 3}}) is not load({"signals": {"minScore": 4}})


def test_a_document_with_exact_decimals_loads_the_same() -> None:
    exact = {"purchaseLimits": {"maxPurchasePerToken": Decimal("0.25")}}
    assert load(exact) == load({"purchaseLimits": {"maxPurchasePerToken": 0.25}})


def test_a_bad_document_is_refused_each_time_with_all_its_issues() -> None:
    bad = {"signals": {"minScore": 9}, "dca": {"cooldownSeconds": 1}}
    for _ in range(2):
        with pytest.raises(InvalidConfig) as refused:
            load(bad)
        assert refused.value.details == [
            "signals.minScore: must be at most 5",
            "dca.cooldownSeconds: must be at least 10",
        ]


def test_the_refusal_survives_a_trip_between_processes() -> None:
    with pytest.raises(InvalidConfig) as refused:
        load({"signals": {"minScore": 9}})
    again = pickle.loads(pickle.dumps(refused.value))
    assert (again.code, again.details, again.issues) == (
        refused.value.code,
        refused.value.details,
        refused.value.issues,
    )


@pytest.mark.parametrize(
    ("mode", "targets", "trigger", "retain"),
    [
        ("aggressive", [25, 50, 100, 150], 100, 10),
        ("moderate", [50, 150, 300, 400], 300, 10),
        ("conservative", [100, 200, 400, 600], 400, 15),
    ],
)
def test_a_take_profit_preset_decides_levels_and_bag_whatever_the_document_lists(
    mode: str, targets: list[int], trigger: int, retain: int
) -> None:
    section: dict[str, Any] = {"mode": mode, "levels": [], "moonBag": {"enabled": False, "retainPercent": 50}}
    profit = load({"takeProfit": section}).take_profit
    assert [level.target_percent for level in profit.levels] == targets
    assert profit.moon_bag.enabled
    assert profit.moon_bag.trigger_percent == trigger
    assert profit.moon_bag.retain_percent == retain
    assert profit.custom_levels == () and not profit.custom_moon_bag.enabled


def test_custom_take_profit_is_the_documents_own() -> None:
    levels = [{"targetPercent": 10, "sellPercent": 100}]
    section = {"mode": "custom", "levels": levels, "moonBag": {"enabled": False}}
    profit = load({"takeProfit": section}).take_profit
    assert [(level.target_percent, level.sell_percent) for level in profit.levels] == [(Decimal(10), Decimal(100))]
    assert not profit.moon_bag.enabled


@pytest.mark.parametrize(("mode", "count"), [("aggressive", 3), ("moderate", 2), ("conservative", 1)])
def test_a_dca_preset_decides_its_levels(mode: str, count: int) -> None:
    dca = load({"dca": {"mode": mode, "levels": [{"dropPercent": -5, "buyPercent": 5}]}}).dca
    assert len(dca.levels) == count
    assert len(dca.custom_levels) == 1


def test_a_configuration_turns_into_its_document_and_back() -> None:
    assert to_document(DEFAULT_CONFIG) == DEFAULTS
    own = load({"purchaseLimits": {"maxPriceImpact": None}, "signals": {"holderCountMin": 0, "tokenList": ["A" * 40]}})
    assert load(to_document(own)) == own


amounts = st.decimals(min_value="0.1", max_value=1000, places=6)


@given(
    minimum=amounts,
    largest=amounts,
    stop=st.decimals(min_value=-100, max_value=0, places=4),
    cooldown=st.integers(10, 3600),
)
def test_any_valid_document_survives_being_stored(
    minimum: Decimal, largest: Decimal, stop: Decimal, cooldown: int
) -> None:
    patch = {
        "purchaseLimits": {"minimumAgentBalance": minimum, "maxPurchasePerToken": largest},
        "stopLoss": {"defaultPercentage": stop},
        "dca": {"cooldownSeconds": cooldown},
    }
    stored = trading_config.revise(None, patch)
    config = load(stored)
    assert config.purchase_limits.minimum_agent_balance_sol == minimum
    assert config.purchase_limits.max_purchase_per_token_sol == largest
    assert config.stop_loss.default_percent == stop
    assert to_document(config) == stored
