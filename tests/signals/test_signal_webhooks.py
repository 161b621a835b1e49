"""Signals from elsewhere: who may send, what becomes of a message, what the log keeps, and that repeats are safe."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core.logs import mask_secrets
from apps.signals import webhook_intake, webhook_setup
from apps.signals.domain.mapping import Mapping, Place
from apps.signals.models import SignalDedup, SignalWebhook, TradingSignal, WebhookRequest
from tests.apiclient import Answer, Api
from tests.factories import make_user, make_webhook, mint_of

pytestmark = pytest.mark.django_db

MINT = mint_of("BONK")
SECRET = "correct horse battery"
TRADINGVIEW = "52.89.214.238"


def usual(**changes):
    """The mapping of a new webhook, with one ticker."""
    base = webhook_setup.USUAL
    return Mapping(
        places={**base.places, **changes.pop("places", {})},
        tickers=changes.pop("tickers", {"BONKUSDT": MINT}),
        strengths=base.strengths,
        ignore=changes.pop("ignore", base.ignore),
    )


def alert(**changes):
    return {"ticker": "BONKUSDT", "action": "buy", "comment": "Breakout", **changes}


def send(token, body, *, content_type="application/json", address="127.0.0.1", **headers) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Api(address).client
    url = f"/api/v1/webhooks/signals/{token}"
    return Answer(client.generic("POST", url, raw, content_type=content_type, headers=headers))


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def webhook(user):
    return make_webhook(user, mapping=usual())


def the_request():
    return WebhookRequest.objects.get()


def test_an_alert_becomes_a_signal_of_the_webhooks_user(user, webhook):
    row, token = webhook
    answer = send(token, alert(type="Momentum", symbol="BONK"))
    assert answer.status == 201, answer
    signal = TradingSignal.objects.get()
    assert answer.json == {"success": True, "outcome": "created", "signalId": signal.pk, "reason": None}
    assert (signal.user_id, signal.token_address, signal.symbol) == (user.pk, MINT, "BONK")
    assert (signal.signal_type, signal.signal_strength) == ("Momentum", 3)
    assert (signal.activation_reason, signal.source, signal.status) == ("Breakout", "TradingView", "due")
    row.refresh_from_db()
    assert row.received_count == 1 and row.last_used_at is not None
    logged = the_request()
    assert (logged.outcome, logged.signal_id, logged.address) == ("created", signal.pk, "127.0.0.1")
    assert json.loads(logged.payload)["ticker"] == "BONKUSDT" and logged.request_id


def test_text_of_a_chart_is_read_by_words(user):
    places = {
        "token_address": Place("words.0"),
        "signal_strength": Place("words.1"),
        "activation_reason": Place("text"),
    }
    _, token = make_webhook(user, mapping=usual(places=places))
    answer = send(token, b"BONKUSDT buy now", content_type="text/plain; charset=utf-8")
    assert answer.status == 201, answer
    assert TradingSignal.objects.get().activation_reason == "BONKUSDT buy now"


def test_a_message_of_text_that_is_json_is_read_as_json(webhook):
    assert send(webhook[1], alert(), content_type="text/plain").status == 201


def test_an_ignored_message_is_answered_with_its_rule_and_makes_nothing(webhook):
    answer = send(webhook[1], alert(action="SELL"))
    assert answer.status == 202
    assert answer.json == {"success": True, "outcome": "ignored", "signalId": None, "reason": "action = sell"}
    assert not TradingSignal.objects.exists()
    assert (the_request().outcome, the_request().detail) == ("ignored", "action = sell")


def test_the_same_alert_again_is_a_duplicate_and_no_second_signal(webhook):
    assert [send(webhook[1], alert()).status for _ in range(3)] == [201, 409, 409]
    assert TradingSignal.objects.count() == 1
    newest = WebhookRequest.objects.latest("id")
    assert (newest.outcome, newest.code) == ("duplicate", "SIGNAL_DUPLICATE")
    SignalDedup.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    assert send(webhook[1], alert()).status == 201


@pytest.mark.django_db(transaction=True)
def test_the_same_alert_ten_times_at_once_is_one_signal():
    _, token = make_webhook(make_user(), mapping=usual())
    start, answers = Barrier(10), []

    def post():
        start.wait()
        try:
            answers.append(send(token, alert()).status)
        finally:
            connection.close()

    threads = [Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] + [409] * 9
    assert TradingSignal.objects.count() == 1
    assert SignalWebhook.objects.get().received_count == WebhookRequest.objects.count() == 10


def test_an_idempotency_key_gives_the_first_answer_again(webhook):
    first, again = (send(webhook[1], alert(), **{"idempotency-key": "k"}) for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json and again.headers["Idempotent-Replayed"] == "true"
    assert TradingSignal.objects.count() == 1
    assert send(webhook[1], alert(comment="x"), **{"idempotency-key": "k"}).status == 422


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"ticker": "WIFUSDT"}, "INVALID_TOKEN_ADDRESS", "tokenAddress"),
        ({"ticker": None}, "INVALID_TOKEN_ADDRESS", "tokenAddress"),
        ({"action": "hold"}, "INVALID_SIGNAL_STRENGTH", "signalStrength"),
        ({"action": 9}, "INVALID_SIGNAL_STRENGTH", "signalStrength"),
        ({"type": "x" * 51}, "INVALID_SIGNAL_TYPE", "signalType"),
        ({"type": ["x"]}, "INVALID_SIGNAL_TYPE", "signalType"),
        ({"symbol": "x" * 51}, "INVALID_SYMBOL", "symbol"),
        ({"comment": {"a": 1}}, "INVALID_ACTIVATION_REASON", "activationReason"),
        ({"comment": "a\0b"}, "INVALID_ACTIVATION_REASON", "activationReason"),
    ],
)
def test_a_message_without_a_signal_in_it_is_refused_by_the_field(webhook, changes, code, field):
    answer = send(webhook[1], alert(**changes))
    assert (answer.status, answer.code, answer.json["field"]) == (400, code, field)
    assert not TradingSignal.objects.exists()
    assert (the_request().outcome, the_request().code) == ("invalid", code)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "MALFORMED_JSON"),
        (b"[1]", "application/json", 400, "INVALID_BODY"),
        (b"3", "application/json", 400, "INVALID_BODY"),
        (b" ", "application/json", 400, "INVALID_BODY"),
        (b"", "text/plain", 400, "INVALID_BODY"),
        (b"\xff\xfe", "text/plain", 400, "MALFORMED_JSON"),
        (b"[" * 5000, "application/json", 400, "MALFORMED_JSON"),
        (b'"' + b"x" * 65_536 + b'"', "application/json", 413, "BODY_TOO_LARGE"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_and_logged(webhook, body, content_type, status, code):
    answer = send(webhook[1], body, content_type=content_type)
    assert (answer.status, answer.code) == (status, code)
    assert not TradingSignal.objects.exists()
    logged = the_request()
    assert (logged.outcome, logged.payload_bytes) == ("invalid", len(body))
    assert len(logged.payload) <= webhook_intake.KEPT_CHARACTERS


def _wrong_token(row, token):
    return send(f"{token[:-1]}x", alert())


def _switched_off(row, token):
    SignalWebhook.objects.update(enabled=False)
    return send(token, alert())


def _user_switched_off(row, token):
    row.user.is_active = False
    row.user.save()
    return send(token, alert())


def _from_elsewhere(row, token):
    SignalWebhook.objects.update(allowed_addresses=[TRADINGVIEW])
    return send(token, alert())


def _without_secret(row, token):
    SignalWebhook.objects.update(secret_path="auth", secret_hash=webhook_setup.digest(SECRET))
    return send(token, alert())


def _with_wrong_secret(row, token):
    SignalWebhook.objects.update(secret_path="auth", secret_hash=webhook_setup.digest(SECRET))
    return send(token, alert(auth="guess"))


NOT_ALLOWED = [_wrong_token, _switched_off, _user_switched_off, _from_elsewhere, _without_secret, _with_wrong_secret]


@pytest.mark.parametrize("attempt", NOT_ALLOWED)
def test_who_may_not_send_learns_nothing(webhook, attempt):
    answer = attempt(*webhook)
    assert (answer.status, answer.json) == (404, {"error": "There is no such webhook.", "code": "WEBHOOK_NOT_FOUND"})
    assert not TradingSignal.objects.exists()


@pytest.mark.parametrize(
    ("attempt", "code"), [(_from_elsewhere, "ADDRESS_NOT_ALLOWED"), (_with_wrong_secret, "SECRET_WRONG")]
)
def test_the_operator_reads_in_the_log_why_a_sender_was_turned_away(webhook, attempt, code):
    attempt(*webhook)
    assert (the_request().outcome, the_request().code) == ("denied", code)


@pytest.mark.parametrize("address", [TRADINGVIEW, f"::ffff:{TRADINGVIEW}", "10.1.2.3"])
def test_an_allowed_address_may_send(user, address):
    _, token = make_webhook(user, mapping=usual(), allowed_addresses=[TRADINGVIEW, "10.0.0.0/8"])
    assert send(token, alert(), address=address).status == 201


def test_the_right_secret_is_let_in_and_stands_nowhere_afterwards(user):
    places = {"activation_reason": Place("auth.key")}
    secret = {"secret_path": "auth.key", "secret_hash": webhook_setup.digest(SECRET)}
    _, token = make_webhook(user, mapping=usual(places=places), **secret)
    assert send(token, alert(auth={"key": SECRET})).status == 201
    assert SECRET not in the_request().payload
    assert TradingSignal.objects.get().activation_reason == "***"


def test_a_secret_in_text_stands_nowhere_afterwards(user):
    places = {name: Place(f"words.{n}") for n, name in enumerate(("token_address", "signal_strength"))}
    places["activation_reason"] = Place("text")
    secret = {"secret_path": "words.2", "secret_hash": webhook_setup.digest("s3cret")}
    _, token = make_webhook(user, mapping=usual(places=places), **secret)
    assert send(token, b"BONKUSDT buy s3cret", content_type="text/plain").status == 201
    assert the_request().payload == TradingSignal.objects.get().activation_reason == "BONKUSDT buy ***"


def test_a_body_that_cannot_be_read_is_not_kept_where_it_may_hold_the_secret(user):
    secret = {"secret_path": "auth", "secret_hash": webhook_setup.digest(SECRET)}
    _, token = make_webhook(user, mapping=usual(), **secret)
    assert send(token, f'{{"auth": "{SECRET}",'.encode()).status == 400
    assert SECRET not in the_request().payload


def test_each_webhook_has_the_limit_of_an_api_key_and_a_guesser_has_one_too(webhook, user, settings):
    settings.SIGNALS_PER_MINUTE = 2
    _, other = make_webhook(user, mapping=usual())
    assert [send(webhook[1], alert(action="sell")).status for _ in range(3)] == [202, 202, 429]
    assert send(other, alert(action="sell")).status == 202
    refused = send(webhook[1], alert(action="sell"))
    assert int(refused.headers["Retry-After"]) >= 1 and refused.json["retryAfter"] >= 1
    guesses = [send(f"whk_{number}", alert(), address="9.9.9.9").status for number in range(3)]
    assert guesses == [404, 404, 429]


def test_the_log_keeps_the_last_requests_of_each_webhook(webhook, user, monkeypatch):
    monkeypatch.setattr(webhook_intake, "KEPT_REQUESTS", 3)
    other, other_token = make_webhook(user, mapping=usual())
    send(other_token, alert(action="sell"))
    for number in range(5):
        send(webhook[1], alert(action="sell", comment=str(number)))
    kept = WebhookRequest.objects.filter(webhook=webhook[0]).order_by("id")
    assert [json.loads(row.payload)["comment"] for row in kept] == ["2", "3", "4"]
    assert WebhookRequest.objects.filter(webhook=other).count() == 1
    webhook[0].refresh_from_db()
    assert webhook[0].received_count == 5


def test_a_token_is_kept_nowhere(webhook):
    _, token = webhook
    send(token, alert())
    stored = json.dumps([list(SignalWebhook.objects.values()), list(WebhookRequest.objects.values())], default=str)
    assert token not in stored


def test_an_alert_costs_a_dozen_queries_whatever_the_log_holds(webhook):
    with CaptureQueriesContext(connection) as first:
        send(webhook[1], alert())
    for number in range(30):
        send(webhook[1], alert(action="sell", comment=str(number)))
    with CaptureQueriesContext(connection) as later:
        send(webhook[1], alert(type="Other"))
    assert len(first) == len(later) <= 14


def test_the_written_example_makes_a_signal(live_server, user):
    """The command in docs/webhooks.md, run as it stands there but for the address."""
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    command = page.split("```sh\n")[1].split("```")[0].replace("\\\n", " ").strip()
    _, token = make_webhook(user, mapping=usual())
    parts = [
        part.replace("http://127.0.0.1:8000", live_server.url).replace("$TOKEN", token) for part in shlex.split(command)
    ]
    assert parts[0] == "curl"
    answered = json.loads(subprocess.run(parts, capture_output=True, check=True, timeout=20).stdout)
    assert answered == {
        "success": True,
        "outcome": "created",
        "signalId": TradingSignal.objects.get().pk,
        "reason": None,
    }


def test_log_lines_hide_the_token_of_an_address():
    token = make_webhook(make_user())[1]
    written = mask_secrets(None, "info", {"event": "request_finished", "path": f"/api/v1/webhooks/signals/{token}"})
    assert written["path"] == f"/api/v1/webhooks/signals/{token[:8]}***"
