"""An agent's configuration over HTTP: whole when read, merged when written, untouched when wrong."""

import json
from decimal import Decimal

import pytest

from apps.accounts.models import AuditEntry
from apps.agents.models import Agent
from tests.apiclient import api_of
from tests.factories import make_agent, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def api(user):
    return api_of(user)


@pytest.fixture
def agent(user):
    return make_agent(user, sol=None)


@pytest.fixture
def path(agent):
    return f"/agents/{agent.pk}/config"


def test_an_agent_without_a_document_runs_under_the_defaults(api, path):
    config = api.get(path).json["config"]
    assert list(config) == [
        "purchaseLimits",
        "signals",
        "stopLoss",
        "positionCalculator",
        "staleTrade",
        "dca",
        "takeProfit",
    ]
    assert config["purchaseLimits"] == {
        "minimumAgentBalance": Decimal("0.5"),
        "maxPurchasePerToken": 2,
        "maxPriceImpact": Decimal("0.05"),
    }


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_both_verbs_merge_what_is_given_and_answer_the_whole(api, path, agent, method):
    answer = api.call(method, path, {"config": {"stopLoss": {"defaultPercentage": -12.5}}})
    assert answer.status == 200
    assert answer.json["config"]["stopLoss"]["defaultPercentage"] == Decimal("-12.5")
    assert answer.json["config"]["stopLoss"]["mode"] == "fixed"
    assert answer.json == api.get(path).json
    again = api.call(method, path, {"config": {"signals": {"minScore": 3}}})
    assert again.json["config"]["stopLoss"]["defaultPercentage"] == Decimal("-12.5")
    assert again.json["config"]["signals"]["minScore"] == 3


def test_null_goes_back_to_the_defaults(api, path, agent):
    api.put(path, {"config": {"signals": {"minScore": 5}}})
    answer = api.put(path, {"config": None})
    assert answer.json["config"]["signals"]["minScore"] == 1
    agent.refresh_from_db()
    assert agent.trading_config is None


def test_null_clears_a_bound_and_the_price_impact_limit(api, path):
    api.put(path, {"config": {"signals": {"marketCapMin": 1000}}})
    patch = {"signals": {"marketCapMin": None}, "purchaseLimits": {"maxPriceImpact": None}}
    config = api.put(path, {"config": patch}).json["config"]
    assert "marketCapMin" not in config["signals"]
    assert "maxPriceImpact" not in config["purchaseLimits"]
    assert api.get(path).json["config"] == config


def test_unknown_keys_are_dropped(api, path):
    config = api.put(path, {"config": {"weird": 1, "dca": {"note": "x", "maxDCACount": 2}}}).json["config"]
    assert "weird" not in config
    assert config["dca"] == {**config["dca"], "maxDCACount": 2} and "note" not in config["dca"]


@pytest.mark.parametrize(
    ("config", "detail"),
    [
        ({"signals": {"minScore": 9}}, "signals.minScore: "),
        ({"signals": {"minScore": "3"}}, "signals.minScore: "),
        ({"signals": None}, "signals: "),
        ({"stopLoss": {"defaultPercentage": 5}}, "stopLoss.defaultPercentage: "),
        ({"purchaseLimits": {"maxPurchasePerToken": float("inf")}}, "purchaseLimits.maxPurchasePerToken: "),
        ({"signals": {"allowedSignalTypes": ["a\0b"]}}, "signals.allowedSignalTypes.0: "),
        (5, "root: "),
        ("text", "root: "),
        ([], "root: "),
    ],
)
def test_what_breaks_a_rule_is_listed_and_nothing_is_stored(api, path, agent, config, detail):
    raw = json.dumps({"config": config}).replace("Infinity", "1e999").encode()
    answer = api.call("PUT", path, raw)
    assert (answer.status, answer.code) == (400, "INVALID_CONFIG"), answer
    assert answer.json["details"][0].startswith(detail)
    agent.refresh_from_db()
    assert agent.trading_config is None


def test_a_number_of_three_hundred_digits_is_kept_and_shown(api, path):
    answer = api.call("PUT", path, body=b'{"config": {"purchaseLimits": {"maxPurchasePerToken": 1e300}}}')
    assert answer.status == 200
    assert answer.json["config"]["purchaseLimits"]["maxPurchasePerToken"] == 10**300
    assert api.get(path).json == answer.json


def test_all_that_is_wrong_is_listed_at_once(api, path):
    answer = api.put(path, {"config": {"signals": {"minScore": 0}, "staleTrade": {"minHoldTimeMinutes": 0}}})
    assert [line.partition(":")[0] for line in answer.json["details"]] == [
        "signals.minScore",
        "staleTrade.minHoldTimeMinutes",
    ]


@pytest.mark.parametrize("body", [None, {}, {"cfg": {}}])
def test_a_body_without_config_is_refused(api, path, body):
    answer = api.put(path, body)
    assert (answer.status, answer.code) == (400, "INVALID_CONFIG")
    assert answer.json["field"] == "config"


def test_a_stored_document_that_breaks_a_rule_is_told(api, user):
    agent = make_agent(user, sol=None, config={"signals": {"minScore": 99}})
    answer = api.get(f"/agents/{agent.pk}/config")
    assert (answer.status, answer.code) == (400, "INVALID_CONFIG")


def test_a_change_is_audited_with_before_and_after(api, path, agent, user):
    api.put(path, {"config": {"signals": {"minScore": 2}}})
    api.put(path, {"config": {"signals": {"minScore": 4}}})
    entry = AuditEntry.objects.filter(action="agent.config.updated").latest("id")
    assert entry.object_id == str(agent.pk) and entry.actor_id == user.pk
    assert entry.before["signals"]["minScore"] == 2 and entry.after["signals"]["minScore"] == 4


def test_two_changes_at_once_both_stay(user):
    agent = make_agent(user, sol=None)
    from apps.agents import services

    stale = Agent.objects.get(pk=agent.pk)
    services.update_config(agent=agent, patch={"signals": {"minScore": 2}}, actor=user)
    services.update_config(agent=stale, patch={"dca": {"maxDCACount": 5}}, actor=user)
    agent.refresh_from_db()
    assert agent.trading_config["signals"]["minScore"] == 2
    assert agent.trading_config["dca"]["maxDCACount"] == 5
