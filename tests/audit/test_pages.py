"""Every change in the admin leaves an entry: who, what, before and after, and the request it came with.

The pages are walked: what a registered model lets an administrator add, change, delete or press is found out from its
page, and each needs a recipe here, or a reason why it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.agents.models import Agent
from apps.trading.models import ExitIntent, Order, Position
from apps.wallets.models import Wallet
from tests import factories
from tests.admin.rows import Desk, first
from tests.audit.changes import watched
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "another-long-passphrase"
Recipe = Callable[[Desk], tuple[str, dict[str, Any]]]
Row = Callable[[Desk], Any]

#: What is pressed without anything being changed, and why.
CHANGES_NOTHING = {
    "signals.SignalWebhook.try_payload": "shows what a payload would become",
    "signals.WebhookRequest.try_payload": "shows what a payload would become",
}
#: What only tests with a chain or a market of its own can do; they look at the log there.
BY_HAND = "tests/admin/test_hand_rows.py: needs a row entered by hand"
ELSEWHERE = {
    "agents.Agent.assign_wallet": "tests/wallets: needs a live key",
    "agents.Agent.go_live": "tests/admin/test_going_live.py: needs a live key and a cluster",
    "wallets.WalletDifference.adopt": "tests/wallets: a live wallet and the chain",
    "wallets.WalletDifference.ignore": "tests/wallets: a live wallet and the chain",
    "wallets.WalletDifference.write_off": "tests/wallets: a live wallet and the chain",
    "trading.Order.declare_expired": "tests/trading/live/test_by_hand.py: needs a chain",
    "wallets.LiveKey.allow": "tests/wallets: needs a live key",
    "wallets.LiveKey.make_key": "tests/wallets: needs a signer",
    "wallets.LiveKey.unlock": "tests/wallets: needs a signer",
    "wallets.LiveKey.lock": "tests/wallets: needs a signer",
    "wallets.LiveKey.export": "tests/wallets: needs a signer",
    "wallets.LiveKeyGrant.withdraw": "tests/wallets: needs a live key",
    "wallets.Wallet.check_deposits": "tests/wallets: needs a chain",
    "wallets.Wallet.unassign": "tests/wallets: needs a live key",
    "trading.ClosedTrade.correct": BY_HAND,
    "trading.ClosedTrade.take_back": BY_HAND,
    "wallets.Transaction.correct": BY_HAND,
    "wallets.Transaction.take_back": BY_HAND,
}


def url_of(row: Any, page: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[row.pk])


def list_of(model: type[Model], page: str = "changelist") -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")


def on_page(model: type[Model], row: Any = None) -> dict[str, Any]:
    """Return what the page of a row (or the one for a new row) would post if nothing were touched."""
    request = RequestFactory().get("/")
    request.user = User.objects.get(email="operator@example.com")
    form = admin.site._registry[model].get_form(request, row, change=row is not None)
    posted: dict[str, Any] = {}
    for field in form(instance=row) if row is not None else form():
        value = field.value()
        if isinstance(value, (list, tuple)):
            posted[field.html_name] = [getattr(item, "pk", item) for item in value]
        elif value is not None and value is not False:
            posted[field.html_name] = "on" if value is True else value
    return posted


def pressed(model: type[Model], button: str, row: Row | None = None, /, **values: Any) -> Recipe:
    """A button of a row's page."""

    def recipe(desk: Desk) -> tuple[str, dict[str, Any]]:
        chosen = first(model) if row is None else row(desk)
        return url_of(chosen, button), {key: _given(value, desk) for key, value in values.items()}

    return recipe


def listed(model: type[Model], button: str, /, **values: Any) -> Recipe:
    """A button of a list."""
    return lambda desk: (list_of(model, button), {key: _given(value, desk) for key, value in values.items()})


def selected(model: type[Model], action: str, row: Row | None = None) -> Recipe:
    """An action on selected rows, already answered with yes."""

    def recipe(desk: Desk) -> tuple[str, dict[str, Any]]:
        chosen = first(model) if row is None else row(desk)
        return list_of(model), {"action": action, "_selected_action": [str(chosen.pk)], "confirmed": "yes"}

    return recipe


def changed(model: type[Model], row: Row | None = None, /, **values: Any) -> Recipe:
    def recipe(desk: Desk) -> tuple[str, dict[str, Any]]:
        chosen = first(model) if row is None else row(desk)
        return url_of(chosen), {**on_page(model, chosen), **values}

    return recipe


def deleted(model: type[Model]) -> Recipe:
    return lambda desk: (url_of(first(model), "delete"), {"post": "yes"})


def added(model: type[Model], /, **values: Any) -> Recipe:
    return lambda desk: (
        list_of(model, "add"),
        {**on_page(model), **{key: _given(value, desk) for key, value in values.items()}},
    )


def _given(value: Any, desk: Desk) -> Any:
    return value(desk) if callable(value) else value


def _owner(desk: Desk) -> User:
    return desk.owner


def _agent(desk: Desk) -> Agent:
    return desk.agent


def _group(desk: Desk) -> Group:
    return Group.objects.get_or_create(name="Viewers")[0]


def _locked(desk: Desk) -> User:
    User.objects.filter(pk=desk.owner.pk).update(failed_logins=5, locked_until=timezone.now() + timedelta(minutes=9))
    return desk.owner


def _paused(desk: Desk) -> Agent:
    Agent.objects.filter(pk=desk.agent.pk).update(automated_trading_simulation=False)
    return desk.agent


def _idle(desk: Desk) -> Agent:
    """Return the agent with no order under way: with one it cannot be archived."""
    Order.objects.update(status="failed")
    return desk.agent


def _live(desk: Desk) -> Agent:
    Agent.objects.filter(pk=desk.agent.pk).update(trading_mode="live")
    return desk.agent


def _configured(desk: Desk) -> Agent:
    Agent.objects.filter(pk=desk.agent.pk).update(trading_config={"signals": {"minScore": 4}})
    return desk.agent


def _open(desk: Desk) -> Position:
    """An open position that nothing is about to close."""
    ExitIntent.objects.all().delete()
    return desk.open_position


def _simulated(desk: Desk) -> Wallet:
    return factories.wallet_of(desk.agent)


def _model(label: str) -> type[Model]:
    return next(model for model in admin.site._registry if model._meta.label == label)


SIGNAL = {
    "user": lambda desk: desk.owner.pk,
    "token": lambda desk: desk.token.pk,
    "signal_type": "By hand",
    "signal_strength": 3,
}
STATE = {"state": "reducing", "exits_enabled": "on", "reason": "testing"}
LIMITS = {"trading_mode": "live", "max_daily_loss_sol": "3.5"}
ALLOWED = {
    "allow_freeze_authority": "on",
    "max_transfer_fee_bps": 100,
    "max_price_gap_percent": 5,
    "max_round_trip_loss_percent": 15,
}

RECIPES: dict[str, Recipe] = {
    "accounts.AdminSession.end": pressed(
        _model("accounts.AdminSession"), "end", lambda desk: desk.owner.admin_sessions.get()
    ),
    "accounts.AdminSession.end_selected": selected(
        _model("accounts.AdminSession"), "end_selected", lambda desk: desk.owner.admin_sessions.get()
    ),
    "accounts.ApiKey.new_key": listed(
        _model("accounts.ApiKey"), "new_key", user=lambda desk: desk.owner.pk, name="k", scopes=["agents"]
    ),
    "accounts.ApiKey.revoke": pressed(_model("accounts.ApiKey"), "revoke"),
    "accounts.RefreshFamily.end": pressed(_model("accounts.RefreshFamily"), "end"),
    "accounts.RefreshFamily.end_selected": selected(_model("accounts.RefreshFamily"), "end_selected"),
    "accounts.SecondFactor.reset": pressed(_model("accounts.SecondFactor"), "reset"),
    "accounts.User.add": added(
        User, email="new@example.com", password1=NEW_PASSWORD, password2=NEW_PASSWORD, is_staff="on"
    ),
    "accounts.User.change": changed(User, _owner, email="renamed@example.com"),
    "accounts.User.end_sessions": pressed(User, "end_sessions", _owner),
    "accounts.User.new_key": pressed(
        User, "new_key", _owner, user=lambda desk: desk.owner.pk, name="k", scopes=["agents"]
    ),
    "accounts.User.reset_second_factor": pressed(User, "reset_second_factor", _owner),
    "accounts.User.unlock": pressed(User, "unlock", _locked),
    "agents.Agent.add": added(Agent, user=lambda desk: desk.owner.pk, name="A new one", trading_mode="simulation"),
    "agents.Agent.archive": pressed(Agent, "archive", _idle),
    "agents.Agent.change": changed(Agent, _agent, name="Renamed"),
    "agents.Agent.deposit": pressed(Agent, "deposit", _agent, amount=Decimal(2)),
    "agents.Agent.go_back": pressed(Agent, "go_back", _live),
    "agents.Agent.pause": pressed(Agent, "pause", _agent),
    "agents.Agent.pause_selected": selected(Agent, "pause_selected", _agent),
    "agents.Agent.reset_config": pressed(Agent, "reset_config", _configured),
    "agents.Agent.resume": pressed(Agent, "resume", _paused),
    "agents.Agent.resume_selected": selected(Agent, "resume_selected", _paused),
    "agents.Agent.switch_trading": pressed(Agent, "switch_trading", _agent, **STATE),
    "auth.Group.add": added(Group, name="New"),
    "auth.Group.change": changed(Group, _group, name="Renamed"),
    "auth.Group.delete": lambda desk: (url_of(_group(desk), "delete"), {"post": "yes"}),
    "trading.DeadToken.write_off_now": pressed(_model("trading.DeadToken"), "write_off_now"),
    "trading.LossLimit.change_limits": pressed(_model("trading.LossLimit"), "change_limits", **LIMITS),
    "trading.LossLimit.lift_limits": pressed(_model("trading.LossLimit"), "lift_limits"),
    "trading.LossLimit.set_limits": listed(_model("trading.LossLimit"), "set_limits", **LIMITS),
    "trading.Position.close_position": pressed(Position, "close_position", _open),
    "trading.Position.close_selected": selected(Position, "close_selected", _open),
    "trading.TokenSafetyPolicy.change_policy": pressed(_model("trading.TokenSafetyPolicy"), "change_policy", **ALLOWED),
    "trading.TokenSafetyPolicy.set_policy": listed(
        _model("trading.TokenSafetyPolicy"), "set_policy", agent=lambda desk: desk.agent.pk, **ALLOWED
    ),
    "trading.TradingState.switch_desk": listed(_model("trading.TradingState"), "switch_desk", **STATE),
    "trading.TradingState.switch_this": pressed(_model("trading.TradingState"), "switch_this", **STATE),
    "wallets.Wallet.deposit": pressed(Wallet, "deposit", _simulated, amount=Decimal(2)),
    "wallets.Wallet.reset": pressed(Wallet, "reset", _simulated),
    "agents.Agent.send_test_signal": pressed(Agent, "send_test_signal", _agent, **SIGNAL),
    "signals.TradingSignal.send_test_signal": listed(_model("signals.TradingSignal"), "send_test_signal", **SIGNAL),
    "signals.SignalWebhook.add": added(
        _model("signals.SignalWebhook"), user=lambda desk: desk.owner.pk, name="Another", enabled="on"
    ),
    "signals.SignalWebhook.change": changed(_model("signals.SignalWebhook"), name="Renamed"),
    "signals.SignalWebhook.remove": pressed(_model("signals.SignalWebhook"), "remove"),
    "signals.SignalWebhook.rotate": pressed(_model("signals.SignalWebhook"), "rotate"),
    "notify.WebhookDelivery.resend": pressed(_model("notify.WebhookDelivery"), "resend", lambda desk: _failed(desk)),
    "notify.WebhookDelivery.resend_selected": selected(
        _model("notify.WebhookDelivery"), "resend_selected", lambda desk: _failed(desk)
    ),
    "notify.WebhookEndpoint.change": changed(_model("notify.WebhookEndpoint"), description="Renamed"),
    "notify.WebhookEndpoint.new_endpoint": listed(
        _model("notify.WebhookEndpoint"),
        "new_endpoint",
        user=lambda desk: desk.owner.pk,
        url="http://127.0.0.1:19999/hook",
        events=["alert"],
    ),
    "notify.WebhookEndpoint.remove": pressed(_model("notify.WebhookEndpoint"), "remove"),
    "notify.WebhookEndpoint.rotate_secret": pressed(_model("notify.WebhookEndpoint"), "rotate_secret"),
    "notify.WebhookEndpoint.test": pressed(_model("notify.WebhookEndpoint"), "test"),
    "django_celery_beat.ClockedSchedule.add": added(
        _model("django_celery_beat.ClockedSchedule"), clocked_time_0="2030-01-01", clocked_time_1="00:00:00"
    ),
    "django_celery_beat.ClockedSchedule.change": changed(
        _model("django_celery_beat.ClockedSchedule"), clocked_time_0="2030-01-01", clocked_time_1="00:00:00"
    ),
    "django_celery_beat.ClockedSchedule.delete": deleted(_model("django_celery_beat.ClockedSchedule")),
    "django_celery_beat.CrontabSchedule.add": added(_model("django_celery_beat.CrontabSchedule"), minute="7"),
    "django_celery_beat.CrontabSchedule.change": changed(_model("django_celery_beat.CrontabSchedule"), minute="8"),
    "django_celery_beat.CrontabSchedule.delete": deleted(_model("django_celery_beat.CrontabSchedule")),
    "django_celery_beat.IntervalSchedule.add": added(
        _model("django_celery_beat.IntervalSchedule"), every="77", period="minutes"
    ),
    "django_celery_beat.IntervalSchedule.change": changed(_model("django_celery_beat.IntervalSchedule"), every="78"),
    "django_celery_beat.IntervalSchedule.delete": deleted(_model("django_celery_beat.IntervalSchedule")),
    "django_celery_beat.PeriodicTask.add": added(
        _model("django_celery_beat.PeriodicTask"),
        name="Another",
        task="trading.watch",
        interval=lambda desk: first(_model("django_celery_beat.IntervalSchedule")).pk,
        enabled="on",
    ),
    "django_celery_beat.PeriodicTask.change": changed(_model("django_celery_beat.PeriodicTask"), description="why"),
    "django_celery_beat.PeriodicTask.delete": deleted(_model("django_celery_beat.PeriodicTask")),
    "django_celery_beat.PeriodicTask.disable_selected": selected(
        _model("django_celery_beat.PeriodicTask"), "disable_selected"
    ),
    "django_celery_beat.PeriodicTask.enable_selected": selected(
        _model("django_celery_beat.PeriodicTask"), "enable_selected", lambda desk: _disabled(desk)
    ),
    "django_celery_beat.SolarSchedule.add": added(
        _model("django_celery_beat.SolarSchedule"), event="sunset", latitude="1", longitude="2"
    ),
    "django_celery_beat.SolarSchedule.change": changed(_model("django_celery_beat.SolarSchedule"), event="sunset"),
    "django_celery_beat.SolarSchedule.delete": deleted(_model("django_celery_beat.SolarSchedule")),
}


def _failed(desk: Desk) -> Any:
    """A delivery that was given up, so that it can be sent again."""
    row = first(_model("notify.WebhookDelivery"))
    type(row)._default_manager.filter(pk=row.pk).update(status="failed", due_at=None)
    return row


def _disabled(desk: Desk) -> Any:
    row = first(_model("django_celery_beat.PeriodicTask"))
    type(row)._default_manager.filter(pk=row.pk).update(enabled=False)
    return row


def found() -> Iterator[str]:
    """Everything an administrator may do on the pages of registered models, by name."""
    request = RequestFactory().get("/")
    request.user = User(email="any@example.com", is_staff=True, is_superuser=True)
    for model, model_admin in admin.site._registry.items():
        for what in ("add", "change", "delete"):
            if getattr(model_admin, f"has_{what}_permission")(request):
                yield f"{model._meta.label}.{what}"
        buttons = {
            name
            for kind in ("actions_list", "actions_row", "actions_detail", "actions_submit_line")
            for name in _names(getattr(model_admin, kind, ()))
        }
        for name in sorted(buttons | {str(action) for action in model_admin.actions or ()}):
            yield f"{model._meta.label}.{name}"


def _names(entries: Any) -> Iterator[str]:
    for entry in entries or ():
        if isinstance(entry, dict):
            yield from _names(entry["items"])
        else:
            yield entry


def test_everything_that_can_be_done_on_a_page_has_a_recipe_or_a_reason() -> None:
    assert set(found()) == {*RECIPES, *CHANGES_NOTHING, *ELSEWHERE}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_is_done_on_a_page_leaves_an_entry(client: Client, operator: User, desk: Desk, name: str) -> None:
    url, posted = RECIPES[name](desk)
    with watched() as change:
        answer = client.post(url, posted)
    context = getattr(answer, "context", None) or {}
    for form in (context.get("form"), getattr(context.get("adminform"), "form", None)):
        assert form is None or not form.is_bound or not form.errors, form.errors
    assert answer.status_code in (200, 302), answer
    assert change.tables, f"{name} changed nothing: the recipe proves nothing"
    assert change.entries, f"{name} changed {sorted(change.tables)} and nobody will know"
    for entry in change.entries:
        assert entry.actor_id == operator.pk
        assert entry.request_id == answer.headers["x-request-id"]
        assert entry.before != entry.after, f"{entry.action} tells no difference"


OWN_PAGES = {
    "/admin/password_change/": {
        "old_password": PASSWORD,
        "new_password1": NEW_PASSWORD,
        "new_password2": NEW_PASSWORD,
    },
    "/admin/me/sessions/end": {},
    "/admin/me/second-factor/": {"do": "confirm"},
}


@pytest.mark.parametrize("path", OWN_PAGES)
def test_what_is_done_on_ones_own_page_leaves_an_entry(client: Client, operator: User, path: str) -> None:
    posted = dict(OWN_PAGES[path])
    if posted.get("do") == "confirm":
        client.post(path, {"do": "begin", "password": PASSWORD})
        posted["code"] = factories.totp_code(operator)
    with watched() as change:
        answer = client.post(path, posted)
    assert change.tables and change.entries, answer.content
    assert {entry.actor_id for entry in change.entries} == {operator.pk}
