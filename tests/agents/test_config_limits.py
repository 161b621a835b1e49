"""The table of the contract, limit by limit, as a client meets it: inside is stored, outside is named."""

from __future__ import annotations

from typing import Any

import pytest

from apps.agents.models import Agent
from tests.apiclient import api_of
from tests.factories import make_agent, mint_of

pytestmark = pytest.mark.django_db

DEFAULTS = {
    "purchaseLimits": {"minimumAgentBalance": 0.5, "maxPurchasePerToken": 2, "maxPriceImpact": 0.05},
    "signals": {"minScore": 1, "allowedSignalTypes": [], "tokenFilterMode": "none", "tokenList": []},
    "stopLoss": {"enabled": True, "defaultPercentage": -32, "mode": "fixed", "trailingLevels": []},
    "positionCalculator": {
        "solBalanceThresholds": {"minimum": 0.2, "medium": 5, "large": 10},
        "positionSizes": {
            "small": {"min": 0.1, "max": 0.1},
            "medium": {"min": 0.5, "max": 1},
            "large": {"min": 1.5, "max": 2},
        },
        "randomization": {"enabled": True},
    },
    "staleTrade": {"enabled": True, "minHoldTimeMinutes": 60, "minProfitPercent": 1, "maxProfitPercent": 10},
    "dca": {"enabled": False, "mode": "moderate", "levels": [], "maxDCACount": 3, "cooldownSeconds": 30},
    "takeProfit": {
        "enabled": False,
        "mode": "moderate",
        "levels": [
            {"targetPercent": 50, "sellPercent": 25},
            {"targetPercent": 150, "sellPercent": 25},
            {"targetPercent": 300, "sellPercent": 25},
            {"targetPercent": 400, "sellPercent": 15},
        ],
        "moonBag": {"enabled": True, "triggerPercent": 300, "retainPercent": 10},
    },
}

MINT = mint_of("listed")
#: Path, what is just inside its limits, what is just outside or of another kind.
LIMITS: list[tuple[str, list[Any], list[Any]]] = [
    ("purchaseLimits.minimumAgentBalance", [0.1, 100], [0.0999, -1, "1", None, True]),
    ("purchaseLimits.maxPurchasePerToken", [0.000000001, 10], [0, -1, "2", None]),
    ("purchaseLimits.maxPriceImpact", [0, 1, None], [-0.01, 1.01, "0.1"]),
    ("signals.minScore", [1, 5], [0, 6, 2.5, "3", None]),
    ("signals.allowedSignalTypes", [[], ["x"], ["x" * 50]], [[""], ["x" * 51], [5], "x", None]),
    ("signals.tokenFilterMode", ["none", "blacklist", "whitelist"], ["grey", None, 1]),
    ("signals.tokenList", [[], [MINT], ["x" * 32], ["x" * 44]], [["x" * 31], ["x" * 45], [1], MINT]),
    ("signals.marketCapMin", [0.01, 10**12, None], [0, -1, "1"]),
    ("signals.marketCapMax", [0.01, None], [0, -1]),
    ("signals.liquidityMin", [0.01, None], [0, -1]),
    ("signals.liquidityMax", [0.01, None], [0, -1]),
    ("signals.holderCountMin", [0, 1000, None], [-1, 1.5, "1"]),
    ("signals.holderCountMax", [0, 1000, None], [-1, 1.5]),
    ("stopLoss.enabled", [True, False], ["true", 1, None]),
    ("stopLoss.defaultPercentage", [-100, 0, -0.5], [-100.1, 0.1, "-32", None]),
    ("stopLoss.mode", ["fixed", "exponential", "zones"], ["trailing", 1]),
    (
        "stopLoss.trailingLevels",
        [[], [{"change": 0.1, "stopLoss": 1000}]],
        [[{"change": 0, "stopLoss": 5}], [{"change": 5, "stopLoss": 0}], [{"change": 5, "stopLoss": 1001}], [5], None],
    ),
    ("positionCalculator.solBalanceThresholds.minimum", [0.01, 4.99], [0, -1, 5, 6]),
    ("positionCalculator.solBalanceThresholds.medium", [0.21, 9.99], [0.2, 10, 0]),
    ("positionCalculator.solBalanceThresholds.large", [5.01], [5, 0]),
    ("positionCalculator.positionSizes.small.min", [0, 0.1], [-0.1, 0.11]),
    ("positionCalculator.positionSizes.medium.max", [0.5, 9], [0.49, -1]),
    ("positionCalculator.positionSizes.large.max", [1.5], [1.49]),
    ("positionCalculator.randomization.enabled", [True, False], ["yes", None]),
    ("staleTrade.enabled", [True, False], [0, None]),
    ("staleTrade.minHoldTimeMinutes", [1, 100000], [0.9, -1, None]),
    ("staleTrade.minProfitPercent", [-50, 10], [10.1, "1"]),
    ("staleTrade.maxProfitPercent", [1, 1000], [0.9, None]),
    ("dca.enabled", [True, False], ["on", None]),
    ("dca.mode", ["aggressive", "moderate", "conservative"], ["wild", 1]),
    (
        "dca.levels",
        [[], [{"dropPercent": -99, "buyPercent": 1}, {"dropPercent": -1, "buyPercent": 500}]],
        [
            [{"dropPercent": -99.1, "buyPercent": 50}],
            [{"dropPercent": -0.9, "buyPercent": 50}],
            [{"dropPercent": -10, "buyPercent": 0.9}],
            [{"dropPercent": -10, "buyPercent": 501}],
            [{"dropPercent": -10}],
        ],
    ),
    ("dca.maxDCACount", [1, 10, 2.5], [0.9, 10.1, None]),
    ("dca.cooldownSeconds", [10, 3600], [9.9, 3600.1, None]),
    ("takeProfit.enabled", [True, False], [1, None]),
    ("takeProfit.mode", ["aggressive", "moderate", "conservative", "custom"], ["wild", 1]),
    (
        "takeProfit.levels",
        [[], [{"targetPercent": 1, "sellPercent": 100}], [{"targetPercent": 10000, "sellPercent": 1}] * 10],
        [
            [{"targetPercent": 0.9, "sellPercent": 5}],
            [{"targetPercent": 10001, "sellPercent": 5}],
            [{"targetPercent": 10, "sellPercent": 0.9}],
            [{"targetPercent": 10, "sellPercent": 101}],
            [{"targetPercent": 10, "sellPercent": 1}] * 11,
        ],
    ),
    ("takeProfit.moonBag.enabled", [True, False], [1, None]),
    ("takeProfit.moonBag.triggerPercent", [1, 10000], [0.9, 10001, None]),
    ("takeProfit.moonBag.retainPercent", [1, 50], [0.9, 50.1, None]),
]
INSIDE = [(path, value) for path, inside, _ in LIMITS for value in inside]
OUTSIDE = [(path, value) for path, _, outside in LIMITS for value in outside]
CUSTOM = [
    ({"stopLoss": {"enabled": True, "mode": "custom", "trailingLevels": []}}, "stopLoss.trailingLevels"),
    (
        {"stopLoss": {"mode": "custom", "trailingLevels": [{"change": 10, "stopLoss": 5}] * 2}},
        "stopLoss.trailingLevels.1",
    ),
    ({"dca": {"enabled": True, "mode": "custom", "levels": []}}, "dca.levels"),
    (
        {
            "dca": {
                "mode": "custom",
                "levels": [{"dropPercent": -20, "buyPercent": 50}, {"dropPercent": -10, "buyPercent": 50}],
            }
        },
        "dca.levels.1",
    ),
    ({"takeProfit": {"mode": "custom", "levels": []}}, "takeProfit.levels"),
    (
        {"takeProfit": {"mode": "custom", "levels": [{"targetPercent": 300, "sellPercent": 91}]}},
        "takeProfit.levels",
    ),
    (
        {"takeProfit": {"mode": "custom", "levels": [{"targetPercent": 300, "sellPercent": 10}] * 2}},
        "takeProfit.levels.1",
    ),
    (
        {"takeProfit": {"mode": "custom", "levels": [{"targetPercent": 299, "sellPercent": 10}]}},
        "takeProfit.moonBag.triggerPercent",
    ),
    ({"signals": {"marketCapMin": 2, "marketCapMax": 1}}, "signals.marketCapMax"),
    ({"signals": {"liquidityMin": 2, "liquidityMax": 1}}, "signals.liquidityMax"),
    ({"signals": {"holderCountMin": 2, "holderCountMax": 1}}, "signals.holderCountMax"),
]


@pytest.fixture
def agent():
    return make_agent(sol=None)


@pytest.fixture
def api(agent):
    return api_of(agent.user)


def patch_of(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def put(api, agent, config):
    return api.put(f"/agents/{agent.pk}/config", {"config": config})


def test_the_defaults_are_those_of_the_table(api, agent):
    shown = api.get(f"/agents/{agent.pk}/config").json["config"]
    assert _plain(shown) == DEFAULTS


def test_the_table_is_whole(api, agent):
    named = {path for path, _, _ in LIMITS}
    missing = [
        path
        for path in _leaves(DEFAULTS)
        if path not in named and not path.startswith("positionCalculator.positionSizes.")
    ]
    assert missing == []


@pytest.mark.parametrize(("path", "value"), INSIDE, ids=[f"{path}={str(value)[:40]}" for path, value in INSIDE])
def test_what_is_inside_is_stored_and_shown(api, agent, path, value):
    if path == "takeProfit.mode" and value == "custom":
        answer = put(api, agent, {"takeProfit": {"mode": value, "levels": DEFAULTS["takeProfit"]["levels"]}})
    else:
        answer = put(api, agent, patch_of(path, value))
    assert answer.status == 200, answer
    assert _plain(at(answer.json["config"], path)) == value
    assert at(api.get(f"/agents/{agent.pk}/config").json["config"], path) == at(answer.json["config"], path)


@pytest.mark.parametrize(("path", "value"), OUTSIDE, ids=[f"{path}={str(value)[:40]}" for path, value in OUTSIDE])
def test_what_is_outside_is_named_and_nothing_is_stored(api, agent, path, value):
    answer = put(api, agent, patch_of(path, value))
    assert (answer.status, answer.code) == (400, "INVALID_CONFIG"), answer
    assert answer.json["error"]
    assert all(isinstance(detail, str) and ": " in detail for detail in answer.json["details"])
    section = path.split(".")[0]
    assert all(detail.startswith(section) for detail in answer.json["details"])
    assert Agent.objects.get(pk=agent.pk).trading_config is None


@pytest.mark.parametrize(("config", "path"), CUSTOM, ids=[path for _, path in CUSTOM])
def test_rules_between_fields_are_named_at_their_place(api, agent, config, path):
    answer = put(api, agent, config)
    assert (answer.status, answer.code) == (400, "INVALID_CONFIG"), answer
    assert path in [detail.partition(": ")[0] for detail in answer.json["details"]]
    assert Agent.objects.get(pk=agent.pk).trading_config is None


def test_the_legacy_key_is_taken_off_what_is_read_and_written(api, agent):
    Agent.objects.filter(pk=agent.pk).update(trading_config={"stopLoss": {"continuousTrailing": {"a": 1}}})
    assert "continuousTrailing" not in api.get(f"/agents/{agent.pk}/config").json["config"]["stopLoss"]
    shown = put(api, agent, {"stopLoss": {"continuousTrailing": {"b": 2}, "defaultPercentage": -20}}).json["config"]
    assert "continuousTrailing" not in shown["stopLoss"]
    assert "continuousTrailing" not in Agent.objects.get(pk=agent.pk).trading_config["stopLoss"]


def test_what_is_wrong_is_told_in_the_order_of_the_contract(api, agent):
    """Form of the id, presence of `config`, whose agent, then the configuration itself."""
    foreign, bad = make_agent(sol=None), {"config": {"signals": {"minScore": 9}}}
    assert api.put("/agents/7/config", {}).code == "INVALID_AGENT_ID"
    assert api.put(f"/agents/{foreign.pk}/config", {}).json["field"] == "config"
    assert api.put(f"/agents/{foreign.pk}/config", bad).code == "AGENT_NOT_FOUND"
    assert api.put(f"/agents/{agent.pk}/config", bad).code == "INVALID_CONFIG"


def _plain(value: Any) -> Any:
    """Return exact numbers as a test writes them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return int(value) if value == int(value) else float(value)


def _leaves(document: Any, path: str = "") -> list[str]:
    if not isinstance(document, dict):
        return [path]
    return [leaf for key, inner in document.items() for leaf in _leaves(inner, f"{path}.{key}" if path else key)]
