"""Signal webhooks in the admin: made, changed, tried, readdressed, removed; logged, no secret shown twice."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry, User
from apps.signals import webhook_setup
from apps.signals.domain import mapping_text
from apps.signals.domain.mapping import FIELDS, Place
from apps.signals.models import SignalDedup, SignalWebhook, TradingSignal, WebhookRequest
from tests import factories
from tests.apiclient import Api

MINT = factories.mint_of("BONK")
DIALOG = {"HX-Request": "true"}


def form(user: User | None, **changes: Any) -> dict[str, Any]:
    """What the form posts when nothing but the changes was typed."""
    places = {name: webhook_setup.USUAL.places.get(name, Place()) for name in FIELDS}
    values = {f"{name}_path": place.path for name, place in places.items()}
    values |= {f"{name}_constant": place.otherwise for name, place in places.items()}
    values |= {
        "name": "Chart",
        "enabled": "on",
        "tickers": f"bonkusdt = {MINT}",
        "strengths": "buy = 3\nstrong buy = 5",
    }
    values |= {"ignore": "action = sell", "allowed_addresses": "", "secret_path": "", "secret": ""}
    return values | ({} if user is None else {"user": str(user.pk)}) | changes


def page_of(webhook: SignalWebhook, button: str = "change") -> str:
    return reverse(f"admin:signals_signalwebhook_{button}", args=[webhook.pk])


def token_in(content: str) -> str:
    found = set(re.findall(r"/api/v1/webhooks/signals/(whk_[\w-]+)", content))
    assert len(found) == 1
    return found.pop()


def send(token: str, message: dict[str, Any]) -> int:
    return Api().post(f"/webhooks/signals/{token}", message).status


@pytest.fixture
def webhook(operator: User) -> SignalWebhook:
    return factories.make_webhook(factories.make_user(), name="Chart")[0]


def test_a_webhook_made_in_the_admin_takes_alerts_and_its_address_is_shown_once(client: Client, operator: User) -> None:
    user = factories.make_user()
    url = reverse("admin:signals_signalwebhook_add")
    assert client.get(url).status_code == 200
    answer = client.post(url, form(user))
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    token = token_in(answer.content.decode())
    assert send(token, {"ticker": "BONKUSDT", "action": "strong buy"}) == 201
    signal = TradingSignal.objects.get()
    assert (signal.user_id, signal.token_address, signal.signal_strength) == (user.pk, MINT, 5)
    webhook = SignalWebhook.objects.get()
    assert token not in client.get(page_of(webhook)).content.decode()
    entry = AuditEntry.objects.get(action="signal_webhook.created")
    assert entry.actor_id == operator.pk and entry.after["mapping"]["tickers"] == {"BONKUSDT": MINT}
    assert token not in json.dumps([entry.before, entry.after])


def test_a_change_is_logged_with_before_and_after(client: Client, operator: User, webhook: SignalWebhook) -> None:
    posted = form(None, name="Other", ignore="", allowed_addresses="10.0.0.0/8\n52.89.214.238")
    assert client.post(page_of(webhook), posted).status_code == 302
    webhook.refresh_from_db()
    assert (webhook.name, webhook.allowed_addresses) == ("Other", ["10.0.0.0/8", "52.89.214.238/32"])
    assert mapping_text.from_json(webhook.mapping).ignore == ()
    entry = AuditEntry.objects.get(action="signal_webhook.updated")
    assert (entry.before["name"], entry.after["name"], entry.actor_id) == ("Chart", "Other", operator.pk)
    client.post(page_of(webhook), posted)
    assert AuditEntry.objects.filter(action="signal_webhook.updated").count() == 1, "nothing changed"


def test_a_secret_is_kept_as_a_digest_until_its_place_is_taken_away(client: Client, webhook: SignalWebhook) -> None:
    client.post(page_of(webhook), form(None, secret_path="auth", secret="hush"))
    webhook.refresh_from_db()
    assert webhook.secret_hash == webhook_setup.digest("hush")
    client.post(page_of(webhook), form(None, secret_path="auth", name="Renamed"))
    webhook.refresh_from_db()
    assert (webhook.name, webhook.secret_hash) == ("Renamed", webhook_setup.digest("hush"))
    client.post(page_of(webhook), form(None))
    webhook.refresh_from_db()
    assert (webhook.secret_path, webhook.secret_hash) == ("", "")
    assert "hush" not in json.dumps(list(AuditEntry.objects.values("before", "after")))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tickers": "BONKUSDT = nonsense"}, "tickers"),
        ({"strengths": "buy = 9"}, "strengths"),
        ({"ignore": "action"}, "ignore"),
        ({"allowed_addresses": "example.com"}, "allowed_addresses"),
        ({"secret_path": "auth"}, "secret"),
        ({"signal_type_path": "", "signal_type_constant": ""}, "signal_type_path"),
        ({"signal_strength_constant": "9"}, "signal_strength_constant"),
        ({"token_address_constant": "WIF"}, "token_address_constant"),
        ({"name": ""}, "name"),
    ],
)
def test_what_could_never_work_is_refused_at_its_field(
    client: Client, webhook: SignalWebhook, changes: dict[str, Any], field: str
) -> None:
    before = SignalWebhook.objects.values().get()
    answer = client.post(page_of(webhook), form(None, **changes))
    assert answer.status_code == 200 and list(answer.context["adminform"].form.errors) == [field]
    assert SignalWebhook.objects.values().get() == before
    assert not AuditEntry.objects.exists()


def test_a_new_address_stops_the_former_at_once(client: Client, operator: User) -> None:
    webhook, former = factories.make_webhook(factories.make_user())
    answer = client.post(page_of(webhook, "rotate"), headers=DIALOG)
    fresh = token_in(answer.content.decode())
    assert (send(former, {"action": "sell"}), send(fresh, {"action": "sell"})) == (404, 202)
    entry = AuditEntry.objects.get(action="signal_webhook.rotated", actor_id=operator.pk)
    assert entry.before["prefix"] == former[:8] and fresh not in json.dumps(entry.after)


def test_a_removed_webhook_takes_nothing_and_its_signals_stay(client: Client, operator: User) -> None:
    webhook, token = factories.make_webhook(factories.make_user())
    assert send(token, {"ticker": MINT, "action": "buy"}) == 201
    assert client.post(page_of(webhook, "remove")).status_code == 302
    assert send(token, {"ticker": MINT, "action": "buy"}) == 404
    assert not SignalWebhook.objects.exists() and not WebhookRequest.objects.exists()
    assert TradingSignal.objects.count() == 1
    assert AuditEntry.objects.get(action="signal_webhook.deleted").before["name"] == webhook.name


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (
            f'{{"ticker": "{MINT}", "action": "strong buy", "comment": "<b>up</b>"}}',
            ["Would become this signal", "&lt;b&gt;up", ">5<"],
        ),
        ('{"action": "sell"}', ["Would be ignored", "action = sell"]),
        ('{"ticker": "WIF", "action": "buy"}', ["Would be refused", "INVALID_TOKEN_ADDRESS", "WIF"]),
        ("just text", ["Would be refused", "INVALID_TOKEN_ADDRESS"]),
    ],
)
@pytest.mark.parametrize("headers", [DIALOG, {}], ids=["dialog", "page"])
def test_trying_a_payload_shows_the_signal_and_does_nothing(
    client: Client, webhook: SignalWebhook, payload: str, says: list[str], headers: dict[str, str]
) -> None:
    answer = client.post(page_of(webhook, "try_payload"), {"payload": payload}, headers=headers)
    content = answer.content.decode()
    assert answer.status_code == 200
    assert [word for word in says if word not in content] == []
    for model in (TradingSignal, SignalDedup, WebhookRequest, AuditEntry):
        assert not model.objects.exists()
    webhook.refresh_from_db()
    assert webhook.received_count == 0


def test_trying_the_same_again_says_that_it_would_be_a_duplicate(client: Client) -> None:
    webhook, token = factories.make_webhook(factories.make_user())
    message = {"ticker": MINT, "action": "buy"}
    assert send(token, message) == 201
    answer = client.post(page_of(webhook, "try_payload"), {"payload": json.dumps(message)})
    assert "SIGNAL_DUPLICATE" in answer.content.decode()
    assert TradingSignal.objects.count() == 1


def test_a_request_of_the_log_can_be_tried_again(client: Client, webhook: SignalWebhook) -> None:
    row = factories.make_webhook_request(webhook, payload=f'{{"ticker": "{MINT}", "action": "buy"}}')
    url = reverse("admin:signals_webhookrequest_try_payload", args=[row.pk])
    asked = client.get(url).content.decode()
    assert MINT in asked
    assert "Would become this signal" in client.post(url, {"payload": row.payload}).content.decode()
    assert not TradingSignal.objects.exists()


def test_the_page_lists_what_was_sent(client: Client, webhook: SignalWebhook) -> None:
    factories.make_webhook_request(webhook, outcome="denied", code="SECRET_WRONG", payload="<i>odd</i>")
    content = client.get(page_of(webhook)).content.decode()
    assert "secret wrong" in content and "&lt;i&gt;odd" in content


def test_an_operator_without_the_right_sees_and_changes_nothing(webhook: SignalWebhook) -> None:
    viewer = Client()
    viewer.force_login(factories.make_user(is_staff=True))
    before = SignalWebhook.objects.values().get()
    for button in ("change", "try_payload", "rotate", "remove"):
        assert viewer.post(page_of(webhook, button), form(None)).status_code == 403, button
    assert SignalWebhook.objects.values().get() == before
