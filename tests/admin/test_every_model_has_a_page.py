"""Every model can be looked at in the admin, and its pages stand with data and without."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import last_use
from apps.signals.models import SignalDedup
from apps.trading.models import ExitIntent, SignalExecution, TradingState
from tests import factories
from tests.admin.rows import Desk, count_queries, first, make_desk

# A composite key cannot be addressed by Django's admin; the rows guard a minute each and say nothing of their own.
WITHOUT_PAGE = {SignalDedup}
OWN_MODELS = [model for model in apps.get_models() if model.__module__.startswith("apps.")]
SHOWN = sorted(admin.site._registry, key=lambda model: model._meta.label)


def _name(model: type[Model]) -> str:
    return model._meta.label


def _list(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.fixture(autouse=True)
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a session or key is used is noted once a minute: what is counted here may take longer, and one note."""
    monkeypatch.setattr(last_use, "EVERY_SECONDS", 3600)


@pytest.mark.parametrize("model", OWN_MODELS, ids=_name)
def test_every_model_of_ours_is_registered(model: type[Model]) -> None:
    assert model in admin.site._registry or model in WITHOUT_PAGE


@pytest.mark.parametrize("model", SHOWN, ids=_name)
def test_every_list_and_page_answers_with_data(model: type[Model], client: Client, desk: Desk) -> None:
    answer = client.get(_list(model))
    assert answer.status_code == 200
    label = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    if model._meta.label != "auth.Group":
        assert client.get(reverse(label, args=[first(model).pk])).status_code == 200


@pytest.mark.parametrize("model", SHOWN, ids=_name)
def test_every_list_answers_when_empty_and_when_searched(model: type[Model], client: Client) -> None:
    assert client.get(_list(model)).status_code == 200
    answer = client.get(_list(model), {"q": "no such thing"})
    assert answer.status_code in (200, 302)


def test_a_list_costs_the_same_queries_whatever_its_length(client: Client, desk: Desk) -> None:
    for model in SHOWN:
        client.get(_list(model))  # what is remembered for good (content types) is remembered now
    few = {model: count_queries(client, _list(model)) for model in SHOWN}
    for _ in range(3):
        make_desk(desk.operator)
    many = {model: count_queries(client, _list(model)) for model in SHOWN}
    assert {_name(model): (few[model], many[model]) for model in SHOWN if many[model] > few[model]} == {}


def test_no_list_costs_more_than_a_dozen_queries(client: Client, desk: Desk) -> None:
    costs = {_name(model): count_queries(client, _list(model)) for model in SHOWN}
    assert {name: cost for name, cost in costs.items() if cost > 12} == {}


def test_names_from_outside_are_text_on_every_page(client: Client, operator: User) -> None:
    nasty = "<script>alert(1)</script>"
    agent = factories.make_agent(name=nasty)
    token = factories.make_token(nasty)
    factories.make_tick(token, "0.5")
    signal = factories.make_signal(agent.user, token, signal_type=nasty, source=nasty)
    position = factories.make_position(agent, token, price="0.5", signal=signal)
    factories.make_execution(signal, agent, verdict="failed", code=nasty, reasons=[nasty], inputs={"a": nasty})
    factories.make_intent(position, last_error=nasty)
    factories.set_state("halted", agent=agent, reason=nasty)
    pages = [reverse("admin:index"), *(_list(model) for model in SHOWN)]
    for row in (agent, token, signal, position, first(SignalExecution), first(ExitIntent), first(TradingState)):
        pages.append(reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk]))
    pages.append(reverse("admin:trading_position_close_position", args=[position.pk]))
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200 and nasty not in answer.content.decode(), page
