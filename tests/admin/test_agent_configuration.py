"""The agent's configuration as a form: every field, there and back, errors where they belong, every change logged."""

from __future__ import annotations

from typing import Any

import pytest
from django.forms import BooleanField
from django.test import Client
from django.urls import reverse

from apps.accounts.audit_cells import changes
from apps.accounts.models import AuditEntry, User
from apps.agents.domain import trading_config
from apps.agents.domain.field_spec import Kind
from apps.agents.forms import AgentForm, LevelsField, LinesField, field_name
from apps.agents.models import Agent
from tests import factories

LEVELS = field_name("stopLoss.trailingLevels")


@pytest.fixture
def agent(operator: User) -> Agent:
    return factories.make_agent(name="Steady")


def url_of(agent: Agent) -> str:
    return reverse("admin:agents_agent_change", args=[agent.pk])


def as_shown(agent: Agent, **changes: Any) -> dict[str, Any]:
    """Return what a browser posts when the form is saved as it is shown, with `changes` on top."""
    form = AgentForm(instance=agent)
    posted: dict[str, Any] = {}
    for name, field in form.fields.items():
        value = form.get_initial_for_field(field, name)
        if isinstance(field, LevelsField):
            for item in field.spec.items:
                posted[f"{name}__{item.path}"] = [str(level[item.path]) for level in value or []]
        elif isinstance(field, LinesField):
            posted[name] = "\n".join(value)
        elif isinstance(field, BooleanField):
            if value:
                posted[name] = "on"
        else:
            posted[name] = "" if value is None else value
    posted.update(changes)
    return {name: value for name, value in posted.items() if value is not None}


def errors_of(client: Client, agent: Agent, **changes: Any) -> dict[str, list[str]]:
    answer = client.post(url_of(agent), as_shown(agent, **changes))
    assert answer.status_code == 200, "the form was saved"
    agent.refresh_from_db()
    assert agent.trading_config is None
    return {name: list(texts) for name, texts in answer.context["adminform"].form.errors.items()}


def save(client: Client, agent: Agent, **changes: Any) -> None:
    answer = client.post(url_of(agent), as_shown(agent, **changes))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    agent.refresh_from_db()


def test_the_form_shows_every_declared_field_with_label_help_and_unit(client: Client, agent: Agent) -> None:
    page = client.get(url_of(agent)).content.decode()
    for spec in trading_config.FIELDS:
        inputs = [f"{field_name(spec.path)}__{item.path}" for item in spec.items] or [field_name(spec.path)]
        assert all(f'name="{name}"' in page for name in inputs), spec.path
        assert spec.help_text.partition("'")[0].partition("<")[0] in page, spec.path
    assert "trading_config" not in page


def test_saving_the_form_as_it_is_shown_changes_and_logs_nothing(client: Client, agent: Agent) -> None:
    save(client, agent)
    assert agent.trading_config is None
    assert not AuditEntry.objects.filter(object_id=str(agent.pk)).exists()


def test_a_stored_configuration_survives_the_form_to_the_last_digit(client: Client, operator: User) -> None:
    stored = trading_config.revise(
        None,
        {
            "purchaseLimits": {"maxPurchasePerToken": 0.123456789, "maxPriceImpact": None},
            "signals": {"minScore": 3, "allowedSignalTypes": ["Whale buy"], "marketCapMin": 1e6, "holderCountMax": 12},
            "stopLoss": {"mode": "custom", "trailingLevels": [{"change": 20.5, "stopLoss": 10}]},
            "takeProfit": {"mode": "custom", "moonBag": {"enabled": False}},
        },
    )
    agent = factories.make_agent(config=stored)
    save(client, agent)
    assert agent.trading_config == stored


def test_a_change_is_stored_and_logged_with_before_and_after(client: Client, agent: Agent, operator: User) -> None:
    save(client, agent, config__signals__minScore="4", config__dca__enabled="on")
    assert agent.trading_config is not None
    assert agent.trading_config["signals"]["minScore"] == 4
    assert agent.trading_config["dca"]["enabled"] is True
    entry = AuditEntry.objects.get(action="agent.config.updated", object_id=str(agent.pk))
    assert (entry.actor_id, entry.actor_label) == (operator.pk, operator.email)
    assert changes(entry.before, entry.after) == [("dca.enabled", False, True), ("signals.minScore", 1, 4)]


def test_only_what_was_changed_is_sent_to_the_service(agent: Agent) -> None:
    form = AgentForm(_lists(as_shown(agent, config__stopLoss__defaultPercentage="-20")), instance=agent)
    assert form.is_valid(), form.errors
    assert form.patch() == {"stopLoss": {"defaultPercentage": -20}}


def test_an_optional_number_can_be_set_and_cleared(client: Client, agent: Agent) -> None:
    save(client, agent, config__signals__liquidityMin="50000.5", config__purchaseLimits__maxPriceImpact="")
    assert agent.trading_config is not None
    assert agent.trading_config["signals"]["liquidityMin"] == 50000.5
    assert agent.trading_config["purchaseLimits"]["maxPriceImpact"] is None
    save(client, agent, config__signals__liquidityMin="", config__purchaseLimits__maxPriceImpact="0.1")
    assert "liquidityMin" not in agent.trading_config["signals"]
    assert agent.trading_config["purchaseLimits"]["maxPriceImpact"] == 0.1


def test_levels_are_edited_as_rows_and_empty_rows_are_left_out(client: Client, agent: Agent) -> None:
    rows = {f"{LEVELS}__change": ["200", "", "100.5"], f"{LEVELS}__stopLoss": ["90", "", "40"]}
    save(client, agent, config__stopLoss__mode="custom", **rows)
    assert agent.trading_config is not None
    assert agent.trading_config["stopLoss"]["trailingLevels"] == [
        {"change": 200, "stopLoss": 90},
        {"change": 100.5, "stopLoss": 40},
    ]


def test_lists_of_text_are_edited_one_a_line(client: Client, agent: Agent) -> None:
    mint = factories.mint_of("a token")
    save(client, agent, config__signals__tokenFilterMode="whitelist", config__signals__tokenList=f"\n {mint} \n\n")
    assert agent.trading_config is not None
    assert agent.trading_config["signals"]["tokenList"] == [mint]


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("stopLoss.defaultPercentage", "-150", "at least -100"),
        ("purchaseLimits.maxPurchasePerToken", "0", "greater than 0"),
        ("purchaseLimits.maxPriceImpact", "1.5", "at most 1"),
        ("signals.minScore", "2.5", "whole number"),
        ("signals.minScore", "nine", "whole number"),
        ("dca.cooldownSeconds", "NaN", "number"),
        ("dca.cooldownSeconds", "1e400", "number"),
        ("dca.cooldownSeconds", "", "required"),
        ("takeProfit.mode", "reckless", "valid choice"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_at_the_field(
    path: str, text: str, words: str, client: Client, agent: Agent
) -> None:
    errors = errors_of(client, agent, **{field_name(path): text})
    assert list(errors) == [field_name(path)]
    assert words in " ".join(errors[field_name(path)])


def test_a_rule_between_fields_is_said_at_the_field_it_names(client: Client, agent: Agent) -> None:
    errors = errors_of(client, agent, config__signals__marketCapMin="10", config__signals__marketCapMax="5")
    assert errors == {field_name("signals.marketCapMax"): ["Must not be below “Market cap from”"]}


def test_a_rule_of_an_object_is_said_at_its_first_field(client: Client, agent: Agent) -> None:
    errors = errors_of(client, agent, config__positionCalculator__positionSizes__small__min="3")
    assert list(errors) == [field_name("positionCalculator.positionSizes.small.min")]


def test_an_error_in_a_level_names_its_row_and_marks_it(client: Client, agent: Agent) -> None:
    rows = {f"{LEVELS}__change": ["100", "150", "x"], f"{LEVELS}__stopLoss": ["50", "5000", "1"]}
    answer = client.post(url_of(agent), as_shown(agent, config__stopLoss__mode="custom", **rows))
    assert answer.context["adminform"].form.errors[LEVELS] == ["Level 3, Gain: must be a number"]
    assert answer.content.decode().count('class="sd-bad"') == 1
    rows[f"{LEVELS}__change"][2] = "50"
    errors = errors_of(client, agent, config__stopLoss__mode="custom", **rows)
    assert errors[LEVELS] == [
        "Level 2, Stop at: must be at most 1000",
        "Level 2: must have a smaller change than the level before",
    ]


def test_an_error_in_a_list_of_text_names_its_line(client: Client, agent: Agent) -> None:
    text = f"{factories.mint_of('good')}\nshort"
    errors = errors_of(client, agent, config__signals__tokenList=text)
    assert errors[field_name("signals.tokenList")] == ["Line 2: must have at least 32 characters"]


def test_the_forms_errors_are_the_domains_errors(client: Client, agent: Agent) -> None:
    rows = {
        f"{field_name('takeProfit.levels')}__targetPercent": ["50", "40"],
        f"{field_name('takeProfit.levels')}__sellPercent": ["80", "30"],
    }
    errors = errors_of(client, agent, config__takeProfit__mode="custom", **rows)
    document = trading_config.apply_patch(
        None,
        {
            "takeProfit": {
                "mode": "custom",
                "levels": [
                    {"targetPercent": 50, "sellPercent": 80},
                    {"targetPercent": 40, "sellPercent": 30},
                ],
            }
        },
    )
    assert sum(map(len, errors.values())) == len(trading_config.validate(document)) == 3


def test_name_mode_and_switches_are_changed_through_the_service(client: Client, agent: Agent) -> None:
    save(client, agent, name="  Nimble  ", automated_trading_simulation=None)
    assert (agent.name, agent.automated_trading_simulation) == ("Nimble", False)
    entry = AuditEntry.objects.get(action="agent.updated", object_id=str(agent.pk))
    assert (entry.before["name"], entry.after["name"]) == ("Steady", "Nimble")
    assert "name" in errors_of(client, agent, name="ab")


def test_the_configuration_goes_back_to_the_defaults_by_a_button(client: Client, agent: Agent) -> None:
    save(client, agent, config__signals__minScore="4")
    client.post(reverse("admin:agents_agent_reset_config", args=[agent.pk]))
    agent.refresh_from_db()
    assert agent.trading_config is None


def test_an_operator_who_may_only_look_sees_the_configuration_and_cannot_save(agent: Agent) -> None:
    client = Client()
    client.force_login(_viewer())
    page = client.get(url_of(agent))
    assert page.status_code == 200 and "minimumAgentBalance" in page.content.decode()
    assert client.post(url_of(agent), as_shown(agent, name="Mine now")).status_code == 403
    agent.refresh_from_db()
    assert agent.name == "Steady"


def test_a_new_agent_comes_with_state_wallet_and_log(client: Client, operator: User) -> None:
    owner = factories.make_user()
    posted = {"user": str(owner.pk), "name": "Fresh", "trading_mode": "simulation"}
    answer = client.post(reverse("admin:agents_agent_add"), posted)
    agent = Agent.objects.get(name="Fresh")
    assert answer.status_code == 302
    assert (agent.user, agent.state.open_positions, agent.wallets.count()) == (owner, 0, 1)
    assert AuditEntry.objects.get(action="agent.created").actor_id == operator.pk


def test_every_kind_of_declared_field_is_covered_here() -> None:
    assert {spec.kind for spec in trading_config.FIELDS} == set(Kind)


def _viewer() -> User:
    from django.contrib.auth.models import Permission

    viewer = factories.make_user(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_agent"))
    return viewer


def _lists(data: dict[str, Any]) -> Any:
    from django.http import QueryDict

    lists = QueryDict(mutable=True)
    for name, value in data.items():
        lists.setlist(name, value if isinstance(value, list) else [value])
    return lists
