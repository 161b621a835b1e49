"""Webhooks in the admin: a secret is shown once, changes go by the services, deliveries are sent again, one or many."""

from __future__ import annotations

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry
from apps.notify.models import SUBSCRIBABLE, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from apps.notify.services import endpoints
from tests import factories
from tests.notify.subscribing import subscribe

pytestmark = pytest.mark.django_db

URL = "https://example.com/hooks/as-secret-as-a-key"
LIST = "admin:notify_webhookendpoint_changelist"
DELIVERIES = "admin:notify_webhookdelivery_changelist"


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(factories.make_operator())
    return client


@pytest.fixture
def endpoint() -> WebhookEndpoint:
    return subscribe(factories.make_user(), URL, "alert", description="A bot")[0]


def press(client: Client, row: Model, button: str, **values: object):
    return client.post(reverse(f"admin:notify_{row._meta.model_name}_{button}", args=[row.pk]), values)


def failed_delivery(endpoint: WebhookEndpoint) -> WebhookDelivery:
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=None)
    WebhookDelivery.objects.filter(pk=delivery.pk).update(status="failed", due_at=None, attempts=10, tries=10)
    return delivery


def test_an_endpoint_is_made_by_a_button_whose_answer_shows_the_secret(client):
    owner = factories.make_user()
    form = {"user": owner.pk, "url": URL, "description": "A bot", "events": ["alert", "position.closed"]}
    answer = client.post(reverse("admin:notify_webhookendpoint_new_endpoint"), form)
    assert answer.status_code == 200
    made = WebhookEndpoint.objects.get()
    assert (made.user, made.url, made.events) == (owner, URL, ["position.closed", "alert"])
    assert b"whsec_" in answer.content
    assert "no-store" in answer["Cache-Control"]
    page = client.get(reverse("admin:notify_webhookendpoint_change", args=[made.pk]))
    assert b"whsec_" not in page.content
    assert AuditEntry.objects.get(action="webhook_endpoint.created").actor_label != "system"


def test_an_address_that_is_not_allowed_is_told_at_its_field_and_nothing_is_made(client):
    form = {"user": factories.make_user().pk, "url": "ftp://example.com", "events": ["alert"]}
    answer = client.post(reverse("admin:notify_webhookendpoint_new_endpoint"), form)
    assert b"The address must begin with https://" in answer.content
    assert WebhookEndpoint.objects.count() == 0


def test_what_is_changed_in_the_form_is_changed_by_the_service_and_audited(client, endpoint):
    agent = factories.make_agent(endpoint.user)
    form = {"url": URL, "description": "Mine", "events": list(SUBSCRIBABLE), "agent_ids": [str(agent.pk)]}
    answer = client.post(reverse("admin:notify_webhookendpoint_change", args=[endpoint.pk]), form)
    assert answer.status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.agent_ids, endpoint.enabled) == ("Mine", [agent.pk], False)
    assert endpoint.disabled_reason == "by_hand"
    entry = AuditEntry.objects.get(action="webhook_endpoint.updated")
    assert (entry.before["events"], entry.after["events"]) == (["alert"], list(SUBSCRIBABLE))
    assert entry.actor_label != "system"


def test_a_new_secret_is_shown_once_and_the_former_goes_on_for_a_day(client, endpoint):
    answer = press(client, endpoint, "rotate_secret")
    assert b"whsec_" in answer.content
    endpoint.refresh_from_db()
    assert endpoint.sealed_previous_secret
    assert endpoint.previous_secret_until is not None


def test_a_test_and_a_deletion_are_one_press_each(client, endpoint):
    assert press(client, endpoint, "test").status_code == 302
    assert WebhookDelivery.objects.get().message.type == "ping"
    assert press(client, endpoint, "remove").status_code == 302
    assert WebhookEndpoint.objects.count() == WebhookDelivery.objects.count() == 0
    assert AuditEntry.objects.filter(action="webhook_endpoint.deleted").count() == 1


def test_one_delivery_is_sent_again(client, endpoint):
    delivery = failed_delivery(endpoint)
    press(client, delivery, "resend")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries, delivery.attempts) == ("pending", 0, 10)
    assert AuditEntry.objects.filter(action="webhook_delivery.resent").count() == 1


def test_selected_deliveries_are_sent_again_after_a_question(client, endpoint):
    deliveries = [failed_delivery(endpoint) for _ in range(2)]
    form = {"action": "resend_selected", "_selected_action": [str(row.pk) for row in deliveries]}
    asked = client.post(reverse(DELIVERIES), form)
    assert asked.status_code == 200
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"failed"}
    client.post(reverse(DELIVERIES), {**form, "confirmed": "yes"})
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"pending"}


def test_a_delivery_s_page_shows_every_attempt_what_was_answered_and_what_is_sent(client, endpoint):
    from django.utils import timezone

    delivery = failed_delivery(endpoint)
    for number in (1, 2):
        WebhookAttempt.objects.create(
            delivery=delivery,
            number=number,
            at=timezone.now(),
            status_code=None if number == 1 else 503,
            error="timeout" if number == 1 else "http_503",
            response_excerpt="<b>busy</b>",
            duration_ms=1234,
        )
    page = client.get(reverse("admin:notify_webhookdelivery_change", args=[delivery.pk])).content.decode()
    assert "timeout" in page
    assert "503" in page
    assert "1,234" in page
    assert "&lt;b&gt;busy&lt;/b&gt;" in page
    assert "<b>busy</b>" not in page
    assert delivery.message.event_id in page


def test_an_operator_without_the_permission_sees_but_presses_nothing(endpoint):
    from django.contrib.auth.models import Permission

    viewer = factories.make_user(is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_webhook"))
    client = Client()
    client.force_login(viewer)
    delivery = failed_delivery(endpoint)
    assert client.get(reverse(LIST)).status_code == 200
    for row, button in ((endpoint, "test"), (endpoint, "rotate_secret"), (endpoint, "remove"), (delivery, "resend")):
        assert press(client, row, button).status_code == 403
    delivery.refresh_from_db()
    assert delivery.status == "failed"
    assert WebhookEndpoint.objects.get().sealed_previous_secret == ""
