"""Deliveries: signed as the specification says, told once per endpoint, tried again, given up, in order."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from apps.accounts.models import AuditEntry
from apps.core.models import OutboxMessage
from apps.notify.domain import pauses
from apps.notify.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from apps.notify.services import endpoints, outcomes
from tests import factories
from tests.notify.receiver import receiving
from tests.notify.subscribing import alert, position_message, subscribe, tell

pytestmark = pytest.mark.django_db(transaction=True)


def make_due() -> None:
    WebhookDelivery.objects.filter(status="pending").update(due_at=timezone.now())


def test_what_is_sent_verifies_with_the_specification_s_own_library(receiver, desk_intake, send):
    user = factories.make_user()
    _, secret = subscribe(user, receiver.url)
    tell(alert(user, mint="So11111111111111111111111111111111111111112", symbol="SOL", attempts=3))
    assert desk_intake.run() == 1
    send()
    (request,) = receiver.received
    event = Webhook(secret).verify(request.body, request.headers)
    assert event["type"] == "alert"
    assert event["id"] == request.headers["webhook-id"]
    assert event["version"] == 1
    assert event["data"] == {
        "code": "EXIT_STUCK",
        "message": "A sentence.",
        "tokenAddress": "So11111111111111111111111111111111111111112",
        "tokenSymbol": "SOL",
        "positionId": None,
        "details": {"attempts": 3},
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Soldesk")
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.status_code) == ("delivered", 1, 200)
    assert delivery.response_excerpt == "ok"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", request.headers)


def test_reading_the_outbox_again_tells_nothing_twice(receiver, desk_intake, send):
    from apps.core.models import OutboxReader

    user = factories.make_user()
    subscribe(user, receiver.url)
    tell(alert(user), alert(user))
    assert desk_intake.run() == 2
    ids = list(WebhookMessage.objects.order_by("id").values_list("event_id", flat=True))
    OutboxReader.objects.update(watermark=1)
    desk_intake.close()
    assert desk_intake.run() == 0
    assert list(WebhookMessage.objects.order_by("id").values_list("event_id", flat=True)) == ids
    assert WebhookDelivery.objects.count() == 2


def test_an_event_goes_to_every_endpoint_of_its_user_that_wants_it_and_to_nobody_else(receiver, desk_intake, send):
    owner, other = factories.make_user(), factories.make_user()
    wanting, _ = subscribe(owner, receiver.url + "/wanting", "alert")
    subscribe(owner, receiver.url + "/other-events", "position.opened")
    subscribe(owner, receiver.url + "/off", "alert", enabled=False)
    subscribe(other, receiver.url + "/other-user")
    tell(alert(owner))
    assert desk_intake.run() == 1
    send()
    assert [request.path for request in receiver.received] == ["/hooks/wanting"]
    assert WebhookDelivery.objects.get().endpoint_id == wanting.pk


def test_an_agent_filter_lets_pass_its_agents_and_what_is_about_none(receiver, desk_intake, send):
    user = factories.make_user()
    mine, other = factories.make_agent(user), factories.make_agent(user)
    token = factories.make_token()
    subscribe(user, receiver.url, agent_ids=[mine.pk])
    tell(
        position_message(factories.make_position(mine, token), "position_created"),
        position_message(factories.make_position(other, token), "position_created"),
        alert(user),
    )
    assert desk_intake.run() == 2
    send()
    told = [request.event["data"].get("agentId") for request in receiver.received]
    assert sorted(told, key=str) == sorted([str(mine.pk), None], key=str)


def test_what_concerns_the_whole_desk_goes_to_everybody_under_one_id(receiver, desk_intake, send):
    from apps.trading.services import trading_state

    first, second = factories.make_user(), factories.make_user()
    subscribe(first, receiver.url + "/1", "trading_state.changed")
    subscribe(second, receiver.url + "/2", "trading_state.changed")
    trading_state.set_state(state="halted", exits_enabled=False, reason="fire drill", actor=None)
    assert desk_intake.run() == 2
    send()
    assert {request.path for request in receiver.received} == {"/hooks/1", "/hooks/2"}
    assert len({request.event_id for request in receiver.received}) == 1
    assert receiver.received[0].event["data"] == {
        "scope": "desk",
        "agentId": None,
        "state": "halted",
        "exitsEnabled": False,
        "reason": "fire drill",
    }


def test_a_failure_is_tried_again_under_the_same_id_with_a_new_timestamp(receiver, desk_intake, send):
    user = factories.make_user()
    endpoint, secret = subscribe(user, receiver.url)
    receiver.statuses = [500, 302, 200]
    receiver.headers = {"Location": receiver.url + "/elsewhere"}
    tell(alert(user))
    desk_intake.run()
    send()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.last_error, delivery.tries) == ("pending", "http_500", 1)
    assert timedelta(seconds=4) < delivery.due_at - timezone.now() < timedelta(seconds=6.1)
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None
    for _ in range(2):
        make_due()
        send()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.last_error) == ("delivered", 3, "")
    assert len(receiver.received) == 3
    assert {request.path for request in receiver.received} == {"/hooks"}
    assert len({request.event_id for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1
    for request in receiver.received:
        Webhook(secret).verify(request.body, request.headers)
    log = list(WebhookAttempt.objects.order_by("id").values_list("number", "status_code", "error"))
    assert log == [(1, 500, "http_500"), (2, 302, "http_302"), (3, 200, "")]
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None
    assert endpoint.last_success_at > endpoint.last_failure_at


def test_after_ten_failures_a_delivery_is_given_up_and_can_be_sent_again_by_hand(receiver, desk_intake, send):
    user = factories.make_user()
    subscribe(user, receiver.url)
    receiver.status = 503
    tell(alert(user))
    desk_intake.run()
    for _ in range(pauses.MOST_TRIES + 2):
        make_due()
        send()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.due_at) == ("failed", 10, None)
    assert len(receiver.received) == 10
    receiver.status = 200
    endpoints.resend(delivery_id=delivery.pk, actor=user)
    send()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("delivered", 11)
    assert len({request.event_id for request in receiver.received}) == 1
    assert AuditEntry.objects.filter(action="webhook_delivery.resent", object_id=str(delivery.pk)).count() == 1


def test_an_endpoint_that_asks_to_be_left_alone_is(receiver, desk_intake, send):
    user = factories.make_user()
    subscribe(user, receiver.url)
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    tell(alert(user))
    desk_intake.run()
    send()
    assert WebhookDelivery.objects.get().due_at - timezone.now() > timedelta(seconds=110)


def test_gone_switches_the_endpoint_off_with_an_alert_and_keeps_what_waits(receiver, desk_intake, send):
    user = factories.make_user()
    endpoint, _ = subscribe(user, receiver.url, description="my bot")
    receiver.status = 410
    tell(alert(user, mint="a"))
    desk_intake.run()
    send()
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "gone")
    assert WebhookDelivery.objects.get().status == "failed"
    told = OutboxMessage.objects.filter(kind="alert").latest("id").payload
    assert told["code"] == "WEBHOOK_DISABLED"
    assert "my bot" in told["message"]
    assert AuditEntry.objects.filter(action="webhook_endpoint.disabled", object_id=str(endpoint.pk)).count() == 1
    tell(alert(user))
    desk_intake.run()
    assert WebhookDelivery.objects.count() == 1, "what happens while it is off is not told"


def test_days_without_a_success_switch_the_endpoint_off(receiver, desk_intake, send):
    user = factories.make_user()
    endpoint, _ = subscribe(user, receiver.url)
    receiver.status = 500
    tell(alert(user))
    desk_intake.run()
    send()
    endpoint.refresh_from_db()
    assert endpoint.enabled
    WebhookEndpoint.objects.update(failing_since=timezone.now() - pauses.FAILING_FOR - timedelta(minutes=1))
    make_due()
    send()
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "failing")
    assert WebhookDelivery.objects.get().status == "pending", "it waits for somebody to switch it on"
    make_due()
    send()
    assert len(receiver.received) == 2
    receiver.status = 200
    wish = endpoints.Wish(url=endpoint.url, events=endpoint.events)
    endpoints.update(endpoint_id=endpoint.pk, wish=wish, actor=user)
    make_due()
    send()
    assert WebhookDelivery.objects.get().status == "delivered"


def test_an_endpoint_far_behind_is_switched_off_before_its_rows_grow_without_end(desk_intake, monkeypatch):
    user, other = factories.make_user(), factories.make_user()
    slow, _ = subscribe(user, "https://example.com/slow")
    fine, _ = subscribe(other, "https://example.com/fine")
    monkeypatch.setattr(pauses, "MOST_PENDING", 2)
    tell(*(alert(user) for _ in range(3)), *(alert(other) for _ in range(2)))
    desk_intake.run()
    assert outcomes.switch_off_behind() == 1
    assert outcomes.switch_off_behind() == 0
    slow.refresh_from_db()
    fine.refresh_from_db()
    assert (slow.enabled, slow.disabled_reason, fine.enabled) == (False, "backlog", True)
    assert OutboxMessage.objects.filter(kind="alert").latest("id").payload["reason"] == "backlog"
    assert WebhookDelivery.objects.filter(status="pending").count() == 5


def test_what_waited_for_days_is_given_up():
    user = factories.make_user()
    endpoint, _ = subscribe(user, "https://example.com/hooks")
    delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    assert outcomes.give_up_stale() == 0
    WebhookDelivery.objects.update(pending_since=timezone.now() - timedelta(days=4, minutes=1))
    assert outcomes.give_up_stale() == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error) == ("failed", "expired")


def test_after_a_rotation_both_secrets_verify_for_a_day_and_then_only_the_new_one(receiver, send):
    user = factories.make_user()
    endpoint, former = subscribe(user, receiver.url)
    _, present = endpoints.rotate_secret(endpoint_id=endpoint.pk, actor=user)
    assert present != former
    endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    send()
    (request,) = receiver.received
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (former, present):
        assert Webhook(secret).verify(request.body, request.headers)["type"] == "ping"
    WebhookEndpoint.objects.update(previous_secret_until=timezone.now())
    endpoints.send_test(endpoint_id=endpoint.pk, actor=user)
    send()
    later = receiver.received[-1]
    Webhook(present).verify(later.body, later.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(former).verify(later.body, later.headers)


def test_secrets_are_sealed_in_the_database_and_in_no_audit_entry():
    user = factories.make_user()
    endpoint, secret = subscribe(user, "https://example.com/hooks")
    _, rotated = endpoints.rotate_secret(endpoint_id=endpoint.pk, actor=user)
    row = WebhookEndpoint.objects.get()
    kept = json.dumps([row.sealed_secret, row.sealed_previous_secret])
    audited = json.dumps(list(AuditEntry.objects.values_list("before", "after")))
    for clear in (secret, rotated):
        assert clear.removeprefix("whsec_") not in kept + audited


def test_a_changed_key_of_the_desk_is_a_failure_and_sends_nothing(receiver, desk_intake, send, settings):
    user = factories.make_user()
    subscribe(user, receiver.url)
    settings.SECRET_KEY = "another one"
    tell(alert(user))
    desk_intake.run()
    send()
    assert receiver.received == []
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.last_error) == ("pending", "secret_unreadable")


def test_events_of_one_position_wait_for_an_earlier_one_and_others_do_not(receiver, desk_intake, send):
    user = factories.make_user()
    agent = factories.make_agent(user)
    first = factories.make_position(agent, factories.make_token())
    second = factories.make_position(agent, factories.make_token())
    subscribe(user, receiver.url)
    receiver.statuses = [500]
    tell(position_message(first, "position_created"))
    desk_intake.run()
    send()
    tell(position_message(first), position_message(second), alert(user), position_message(first))
    desk_intake.run()
    send()
    told = [(request.event["type"], request.event["data"].get("positionId")) for request in receiver.received]
    assert told[0] == ("position.opened", str(first.pk))
    assert sorted(told[1:], key=str) == [("alert", None), ("position.changed", str(second.pk))]
    make_due()
    send()
    assert [request.event["type"] for request in receiver.received[3:]] == [
        "position.opened",
        "position.changed",
        "position.changed",
    ]


def test_an_event_that_fails_again_and_again_bars_the_later_ones_no_longer(receiver, desk_intake, send):
    user = factories.make_user()
    position = factories.make_position(factories.make_agent(user), factories.make_token())
    subscribe(user, receiver.url)
    tell(position_message(position, "position_created"), position_message(position))
    desk_intake.run()
    receiver.statuses = [500] * pauses.BARRING_TRIES
    for _ in range(pauses.BARRING_TRIES):
        WebhookDelivery.objects.filter(message__type="position.opened").update(due_at=timezone.now())
        assert "position.changed" not in receiver.types()
        send()
    assert receiver.types() == ["position.opened"] * pauses.BARRING_TRIES + ["position.changed"]


def test_a_receiver_that_hangs_delays_no_other_and_is_not_flooded(receiver, desk_intake, send):
    from apps.notify.services import claims
    from apps.notify.services.courier import Courier
    from tests.desk import wait_until

    slow_user, user = factories.make_user(), factories.make_user()
    with receiving() as hanging:
        hanging.hang_seconds = 4
        subscribe(slow_user, hanging.url)
        subscribe(user, receiver.url)
        tell(*(alert(slow_user, mint=str(n)) for n in range(30)), *(alert(user, mint=str(n)) for n in range(30)))
        assert desk_intake.run() == 60
        courier = Courier()

        def all_but_the_hanging_are_told() -> bool:
            courier.start_due()
            return len(receiver.received) == 30

        wait_until(all_but_the_hanging_are_told)
        assert hanging.received == []
        assert hanging.most_under_way <= claims.MOST_PER_ENDPOINT
        courier.finish(60)
    assert WebhookDelivery.objects.filter(endpoint__user=user, status="delivered").count() == 30


def test_endpoints_that_fail_are_looked_at_once_a_second_and_the_others_whenever_an_answer_came(desk_intake):
    from apps.notify.services import claims

    failing_user, user = factories.make_user(), factories.make_user()
    failing, _ = subscribe(failing_user, "https://example.com/failing")
    subscribe(user, "https://example.com/fine")
    WebhookEndpoint.objects.filter(pk=failing.pk).update(failing_since=timezone.now())
    tell(*(alert(failing_user, mint=str(n)) for n in range(5)), alert(user))
    desk_intake.run()
    (fine,) = claims.claim_due(room=10, failing=False)
    assert fine.url.endswith("/fine")
    assert {parcel.url for parcel in claims.claim_due(room=10)} == {"https://example.com/failing"}
    leased = WebhookDelivery.objects.filter(endpoint=failing, leased_until__gt=timezone.now()).count()
    assert leased == claims.MOST_PER_FAILING_ENDPOINT


def test_who_may_not_sign_in_is_told_nothing(receiver, desk_intake, send):
    user = factories.make_user()
    subscribe(user, receiver.url)
    tell(alert(user))
    desk_intake.run()
    user.is_active = False
    user.save()
    tell(alert(user))
    assert desk_intake.run() == 0
    send()
    assert receiver.received == []
    assert WebhookDelivery.objects.get().status == "pending"


def test_a_lease_that_ran_out_is_sent_again_and_a_late_answer_still_counts(receiver, desk_intake, send):
    from apps.core.http import Posted
    from apps.notify.services import claims

    user = factories.make_user()
    subscribe(user, receiver.url)
    tell(alert(user))
    desk_intake.run()
    (taken,) = claims.claim_due(room=10)
    assert claims.claim_due(room=10) == []
    WebhookDelivery.objects.update(leased_until=timezone.now())
    (again,) = claims.claim_due(room=10)
    assert again.event_id == taken.event_id
    outcomes.record([outcomes.Outcome(taken, Posted(500, "", "", 0.1), timezone.now())])
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.tries) == ("pending", 0), "whose lease is over says nothing of failures"
    outcomes.record([outcomes.Outcome(taken, Posted(200, "", "", 0.1), timezone.now())])
    delivery.refresh_from_db()
    assert delivery.status == "delivered"
    outcomes.record([outcomes.Outcome(again, Posted(500, "", "", 0.1), timezone.now())])
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("delivered", 1)
    assert WebhookAttempt.objects.count() == 3


def test_a_deleted_endpoint_takes_its_deliveries_along_and_an_answer_that_comes_later_is_no_error(
    receiver, desk_intake
):
    from apps.core.http import Posted
    from apps.notify.services import claims

    user = factories.make_user()
    endpoint, _ = subscribe(user, receiver.url)
    tell(alert(user))
    desk_intake.run()
    (taken,) = claims.claim_due(room=10)
    endpoints.delete(endpoint_id=endpoint.pk, actor=user)
    assert WebhookDelivery.objects.count() == 0
    outcomes.record([outcomes.Outcome(taken, Posted(200, "", "", 0.1), timezone.now())])
    assert WebhookAttempt.objects.count() == 0
