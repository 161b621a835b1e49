"""The API of webhooks: made once with a secret, changed, tested, resent; another user's are not there."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.notify.models import SUBSCRIBABLE, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from apps.notify.services import endpoints
from tests import factories
from tests.apiclient import api_of, api_with_key
from tests.notify.subscribing import subscribe

pytestmark = pytest.mark.django_db

URL = "https://example.com/hooks"
BODY = {"url": URL, "events": ["position.closed", "alert"]}


def actions(endpoint_id: str) -> list[str]:
    return list(AuditEntry.objects.filter(object_id=endpoint_id).order_by("id").values_list("action", flat=True))


def test_an_endpoint_is_made_with_a_secret_that_is_shown_once():
    api = api_of(factories.make_user())
    made = api.post("/webhook-endpoints", {**BODY, "description": "my bot"})
    assert made.status == 201
    assert made.json["secret"].startswith("whsec_")
    assert made.json["events"] == ["position.closed", "alert"]
    assert (made.json["enabled"], made.json["disabledReason"], made.json["agentIds"]) == (True, "", [])
    one = api.get(f"/webhook-endpoints/{made.json['id']}")
    assert one.json == {name: value for name, value in made.json.items() if name != "secret"}
    listed = api.get("/webhook-endpoints")
    assert listed.json == [one.json]
    assert listed.headers["X-Total-Count"] == "1"
    assert actions(made.json["id"]) == ["webhook_endpoint.created"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_is_given_is_changed_and_the_rest_stays(method):
    user = factories.make_user()
    agent = factories.make_agent(user)
    endpoint, _ = subscribe(user, URL, "alert", description="my bot")
    changed = api_of(user).call(method, f"/webhook-endpoints/{endpoint.pk}", {"agentIds": [str(agent.pk)]})
    assert changed.status == 200
    assert changed.json["agentIds"] == [str(agent.pk)]
    assert (changed.json["url"], changed.json["description"], changed.json["events"]) == (URL, "my bot", ["alert"])
    entry = AuditEntry.objects.get(action="webhook_endpoint.updated", object_id=str(endpoint.pk))
    assert (entry.before["agent_ids"], entry.after["agent_ids"]) == ([], [str(agent.pk)])


def test_switching_off_and_on_again_forgets_why_it_was_off():
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL)
    api = api_of(user)
    off = api.put(f"/webhook-endpoints/{endpoint.pk}", {"enabled": False}).json
    assert (off["enabled"], off["disabledReason"]) == (False, "by_hand")
    assert off["disabledAt"] is not None
    on = api.put(f"/webhook-endpoints/{endpoint.pk}", {"enabled": True}).json
    assert (on["enabled"], on["disabledReason"], on["disabledAt"]) == (True, "", None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "ftp://example.com/"}, "INVALID_URL"),
        ({"url": "https://user:password@example.com/"}, "INVALID_URL"),
        ({"url": ""}, "INVALID_URL"),
        ({"events": []}, "INVALID_EVENTS"),
        ({"events": ["ping"]}, "INVALID_EVENTS.0"),
        ({"events": "alert"}, "INVALID_EVENTS"),
        ({"agentIds": [str(uuid.uuid4())]}, "INVALID_AGENT_IDS"),
        ({"agentIds": ["x"]}, "INVALID_AGENT_IDS.0"),
        ({"enabled": "yes"}, "INVALID_ENABLED"),
        ({"description": "x" * 201}, "INVALID_DESCRIPTION"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(change, code):
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL)
    api = api_of(user)
    before = api.get(f"/webhook-endpoints/{endpoint.pk}").json
    for refused in (
        api.post("/webhook-endpoints", {**BODY, **change}),
        api.put(f"/webhook-endpoints/{endpoint.pk}", change),
    ):
        assert refused.status == 400, refused
        assert refused.code.startswith(code.partition(".")[0]), refused
    assert WebhookEndpoint.objects.count() == 1
    assert api.get(f"/webhook-endpoints/{endpoint.pk}").json == before
    assert actions(str(endpoint.pk)) == ["webhook_endpoint.created"]


def test_agents_of_others_cannot_be_asked_for():
    user, other = factories.make_user(), factories.make_user()
    refused = api_of(user).post("/webhook-endpoints", {**BODY, "agentIds": [str(factories.make_agent(other).pk)]})
    assert (refused.status, refused.code) == (400, "INVALID_AGENT_IDS")
    assert WebhookEndpoint.objects.count() == 0


def test_a_user_may_have_so_many_endpoints_and_no_more(monkeypatch):
    user = factories.make_user()
    monkeypatch.setattr(endpoints, "MOST_PER_USER", 2)
    api = api_of(user)
    assert [api.post("/webhook-endpoints", BODY).status for _ in range(3)] == [201, 201, 409]
    assert WebhookEndpoint.objects.count() == 2


def test_another_user_s_endpoints_and_deliveries_are_not_there():
    owner, other = factories.make_user(), factories.make_user()
    endpoint, _ = subscribe(owner, URL)
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=owner)
    api = api_of(other)
    for method, path in (
        ("GET", f"/webhook-endpoints/{endpoint.pk}"),
        ("PUT", f"/webhook-endpoints/{endpoint.pk}"),
        ("PATCH", f"/webhook-endpoints/{endpoint.pk}"),
        ("DELETE", f"/webhook-endpoints/{endpoint.pk}"),
        ("POST", f"/webhook-endpoints/{endpoint.pk}/rotate-secret"),
        ("POST", f"/webhook-endpoints/{endpoint.pk}/test"),
        ("GET", f"/webhook-endpoints/{endpoint.pk}/deliveries"),
        ("GET", f"/webhook-deliveries/{delivery.pk}"),
        ("POST", f"/webhook-deliveries/{delivery.pk}/resend"),
    ):
        answer = api.call(method, path, {})
        assert answer.status == 404, (method, path, answer)
    assert api.get("/webhook-endpoints").json == []
    assert WebhookDelivery.objects.count() == 1
    assert WebhookEndpoint.objects.get().sealed_previous_secret == ""


def test_api_keys_reach_none_of_it():
    user = factories.make_user()
    _, secret = factories.make_api_key(user)
    answer = api_with_key(secret).get("/webhook-endpoints")
    assert answer.status == 401


def test_a_rotation_shows_the_new_secret_once_and_says_until_when_the_former_signs():
    user = factories.make_user()
    endpoint, former = subscribe(user, URL)
    rotated = api_of(user).post(f"/webhook-endpoints/{endpoint.pk}/rotate-secret")
    assert rotated.status == 200
    assert rotated.json["secret"].startswith("whsec_")
    assert rotated.json["secret"] != former
    assert rotated.json["previousSecretUntil"] is not None
    assert "secret" not in api_of(user).get(f"/webhook-endpoints/{endpoint.pk}").json


def test_a_test_is_a_ping_among_the_deliveries():
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL, "alert")
    api = api_of(user)
    sent = api.post(f"/webhook-endpoints/{endpoint.pk}/test")
    assert (sent.status, sent.json["type"], sent.json["status"]) == (202, "ping", "pending")
    page = api.get(f"/webhook-endpoints/{endpoint.pk}/deliveries")
    assert page.json == [sent.json]
    assert api.get(f"/webhook-endpoints/{endpoint.pk}/deliveries?status=delivered").json == []
    assert api.get(f"/webhook-endpoints/{endpoint.pk}/deliveries?type=ping").json == [sent.json]
    assert api.get(f"/webhook-endpoints/{endpoint.pk}/deliveries?status=lost").code == "INVALID_STATUS"
    one = api.get(f"/webhook-deliveries/{sent.json['id']}").json
    assert one["payload"]["type"] == "ping"
    assert one["payload"]["id"] == sent.json["eventId"]
    assert one["attemptLog"] == []


def test_an_endpoint_that_is_off_takes_neither_tests_nor_resent_events():
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL)
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    WebhookDelivery.objects.update(status="failed", due_at=None)
    api = api_of(user)
    api.put(f"/webhook-endpoints/{endpoint.pk}", {"enabled": False})
    for refused in (
        api.post(f"/webhook-endpoints/{endpoint.pk}/test"),
        api.post(f"/webhook-deliveries/{delivery.pk}/resend"),
    ):
        assert (refused.status, refused.code) == (409, "WEBHOOK_ENDPOINT_DISABLED")
    assert WebhookDelivery.objects.get().status == "failed"


def test_a_delivery_is_sent_again_unless_it_is_being_sent():
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL)
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    api = api_of(user)
    WebhookDelivery.objects.update(leased_until=timezone.now() + timedelta(seconds=20))
    refused = api.post(f"/webhook-deliveries/{delivery.pk}/resend")
    assert (refused.status, refused.code) == (409, "WEBHOOK_DELIVERY_PENDING")
    WebhookDelivery.objects.update(leased_until=None, status="delivered", due_at=None, attempts=1, tries=1)
    resent = api.post(f"/webhook-deliveries/{delivery.pk}/resend")
    assert (resent.status, resent.json["status"], resent.json["attempts"]) == (202, "pending", 1)
    assert resent.json["eventId"] == delivery.message.event_id


def test_the_desk_is_made_to_post_only_so_often(settings):
    settings.WEBHOOK_SENDS_PER_MINUTE = 2
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL)
    api = api_of(user)
    statuses = [api.post(f"/webhook-endpoints/{endpoint.pk}/test").status for _ in range(6)]
    assert statuses.count(429) >= 2, "a minute may begin in between"
    assert statuses.count(202) == 6 - statuses.count(429) == WebhookDelivery.objects.count() >= 2


def test_deleting_takes_everything_along():
    user = factories.make_user()
    endpoint, _ = subscribe(user, URL)
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    WebhookAttempt.objects.create(delivery=delivery, number=1, at=timezone.now(), duration_ms=1)
    assert api_of(user).delete(f"/webhook-endpoints/{endpoint.pk}").json["success"] is True
    assert WebhookEndpoint.objects.count() == WebhookDelivery.objects.count() == WebhookAttempt.objects.count() == 0
    assert actions(str(endpoint.pk))[-1] == "webhook_endpoint.deleted"


def test_events_one_may_subscribe_to_are_those_of_the_documentation():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    for event in SUBSCRIBABLE:
        assert f"`{event}`" in text, event
