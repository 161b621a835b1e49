"""What people do with webhook endpoints: make, change, delete, rotate the secret, test; and switching one off.

Each is one transaction with its audit entry, whoever asks: API, admin or courier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents.models import Agent
from apps.core import bulk, outbox, wake
from apps.core.api.errors import InvalidField
from apps.notify import errors
from apps.notify.domain import addresses, events
from apps.notify.models import (
    SUBSCRIBABLE,
    DeliveryStatus,
    DisabledReason,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
)
from apps.notify.services import signing_secrets

MOST_PER_USER = 20
#: A rotated secret goes on signing beside the new one for this long.
OVERLAP = timedelta(hours=24)
TASK = "notify.deliver"
DISABLED_ALERT = "WEBHOOK_DISABLED"
_SENTENCES = {
    DisabledReason.GONE: "The webhook endpoint {name} answered that it is gone (410): it was switched off.",
    DisabledReason.BACKLOG: "The webhook endpoint {name} is too slow for what it subscribed to: it was switched off.",
    DisabledReason.FAILING: "The webhook endpoint {name} has taken nothing for three days: it was switched off.",
}

_DELETE_ATTEMPTS = """
DELETE FROM webhook_attempt WHERE delivery_id IN (SELECT id FROM webhook_delivery WHERE endpoint_id = %s)
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an endpoint is to be."""

    url: str
    events: Sequence[str]
    description: str = ""
    agent_ids: Sequence[UUID] = ()
    enabled: bool = True


def create(*, user: User, wish: Wish, actor: User | None, secret: str | None = None) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and return it with its secret, a new one unless given. Nobody can read it again.

    Locks the user's row.

    Raises:
        InvalidField: url, events or agentIds. TooManyEndpoints.
    """
    with database.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if WebhookEndpoint.objects.filter(user=user).count() >= MOST_PER_USER:
            raise errors.TooManyEndpoints(MOST_PER_USER)
        endpoint = WebhookEndpoint(id=uuid4(), user=user)
        secret, endpoint.sealed_secret = signing_secrets.make(endpoint.pk, secret)
        _fill(endpoint, wish)
        endpoint.save(force_insert=True)
        _record(endpoint, "created", actor, before=None, after=facts(endpoint))
    return endpoint, secret


def ensure(*, user: User, wish: Wish, secret: str) -> WebhookEndpoint:
    """Make sure that the user has an endpoint of this description, at this address; made with the secret given.

    What it hears of, whether it is enabled, its secret: all that is its owner's once it is made.
    """
    with database.atomic():
        known = WebhookEndpoint.objects.filter(user=user, description=wish.description).order_by("created_at").first()
        if known is None:
            return create(user=user, wish=wish, actor=None, secret=secret)[0]
        if known.url == wish.url:
            return known
        kept = Wish(wish.url, known.events, known.description, known.agent_ids, known.enabled)
        return update(endpoint_id=known.pk, wish=kept, actor=None)


def update(*, endpoint_id: UUID, wish: Wish, actor: User | None) -> WebhookEndpoint:
    """Change an endpoint to what is wished; switching it on forgets why it was off. Locks it.

    Raises:
        InvalidField: as `create`. EndpointNotFound: it was deleted meanwhile.
    """
    with database.atomic():
        endpoint = _lock(endpoint_id)
        before = facts(endpoint)
        _fill(endpoint, wish)
        after = facts(endpoint)
        if after != before:
            endpoint.save()
            _record(endpoint, "updated", actor, before=before, after=after)
            wake.wake_on_commit(TASK)
    return endpoint


def delete(*, endpoint_id: UUID, actor: User | None) -> None:
    """Delete an endpoint with all that was or should have been sent to it. Locks it.

    Raises:
        EndpointNotFound: it was deleted meanwhile.
    """
    with database.atomic():
        endpoint = _lock(endpoint_id)
        _record(endpoint, "deleted", actor, before=facts(endpoint), after=None)
        # By statements of their own: there may be far too many to be loaded first.
        bulk.execute(_DELETE_ATTEMPTS, [endpoint.pk])
        bulk.execute("DELETE FROM webhook_delivery WHERE endpoint_id = %s", [endpoint.pk])
        endpoint.delete()


def rotate_secret(*, endpoint_id: UUID, actor: User | None) -> tuple[WebhookEndpoint, str]:
    """Give an endpoint a new secret and return it; for a day what is sent is signed with the former one too.

    Raises:
        EndpointNotFound: it was deleted meanwhile.
    """
    with database.atomic():
        endpoint = _lock(endpoint_id)
        endpoint.sealed_previous_secret = endpoint.sealed_secret
        endpoint.previous_secret_until = timezone.now() + OVERLAP
        secret, endpoint.sealed_secret = signing_secrets.make(endpoint.pk)
        endpoint.save()
        until = {"previous_secret_until": endpoint.previous_secret_until}
        _record(endpoint, "secret_rotated", actor, before=None, after=until)
    return endpoint, secret


def send_test(*, endpoint_id: UUID, actor: User | None) -> WebhookDelivery:
    """Send a `ping` to an endpoint and return its delivery, pending.

    Raises:
        EndpointDisabled. EndpointNotFound: it was deleted meanwhile.
    """
    with database.atomic():
        endpoint = _lock(endpoint_id)
        if not endpoint.enabled:
            raise errors.EndpointDisabled
        event, event_id, now = events.ping(endpoint.pk), f"msg_{uuid4().hex}", timezone.now()
        message = WebhookMessage.objects.create(
            event_id=event_id,
            type=event.type,
            user_id=endpoint.user_id,
            occurred_at=now,
            body=events.body(event, event_id=event_id, occurred_at=now),
        )
        delivery = WebhookDelivery.objects.create(endpoint=endpoint, message=message, due_at=now, pending_since=now)
        _record(endpoint, "tested", actor, before=None, after={"delivery": delivery.pk})
        wake.wake_on_commit(TASK)
    return delivery


def resend(*, delivery_id: UUID, actor: User | None) -> WebhookDelivery:
    """Send a delivery again, now and under its own event id; return it, pending. Locks its endpoint, then it.

    What was over starts a new series of attempts, and bars no later delivery any more.

    Raises:
        NotFound, EndpointDisabled, DeliveryPending (an attempt is under way).
    """
    with database.atomic():
        endpoint_id = WebhookDelivery.objects.filter(pk=delivery_id).values_list("endpoint_id", flat=True).first()
        if endpoint_id is None:
            raise errors.DeliveryNotFound
        endpoint = _lock(endpoint_id)
        delivery = (
            WebhookDelivery.objects.select_for_update(no_key=True, of=("self",))
            .select_related("message", "endpoint")
            .filter(pk=delivery_id)
            .first()
        )
        if delivery is None:
            raise errors.DeliveryNotFound
        if not endpoint.enabled:
            raise errors.EndpointDisabled
        now = timezone.now()
        if delivery.leased_until is not None and delivery.leased_until > now:
            raise errors.DeliveryPending
        before = {"status": delivery.status, "attempts": delivery.attempts}
        if delivery.status != DeliveryStatus.PENDING:
            delivery.order_key = ""
        delivery.status, delivery.tries = DeliveryStatus.PENDING, 0
        delivery.due_at = delivery.pending_since = now
        delivery.delivered_at = delivery.lease = delivery.leased_until = None
        delivery.save()
        audit.record(
            actor=actor,
            action="webhook_delivery.resent",
            object_type="webhook_delivery",
            object_id=delivery.pk,
            before=before,
            after={"status": str(delivery.status), "endpoint": endpoint.pk, "event": delivery.message.event_id},
        )
        wake.wake_on_commit(TASK)
    return delivery


def switch_off(*, endpoint: WebhookEndpoint, reason: DisabledReason) -> outbox.Message:
    """Switch off a locked endpoint in the caller's transaction; return the alert for its user, to be appended last."""
    before = facts(endpoint)
    endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_at = False, reason, timezone.now()
    endpoint.save(update_fields=["enabled", "disabled_reason", "disabled_at", "updated_at"])
    _record(endpoint, "disabled", None, before=before, after=facts(endpoint))
    name = endpoint.description or addresses.host_of(endpoint.url)
    payload = {
        "code": DISABLED_ALERT,
        "message": _SENTENCES[reason].format(name=name),
        "endpointId": str(endpoint.pk),
        "reason": str(reason),
    }
    return outbox.Message(outbox.user_stream(endpoint.user_id), "alert", payload)


def facts(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return what the audit log keeps of an endpoint; never a secret."""
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "agent_ids": [str(agent_id) for agent_id in endpoint.agent_ids],
        "enabled": endpoint.enabled,
        "disabled_reason": str(endpoint.disabled_reason),
    }


def _fill(endpoint: WebhookEndpoint, wish: Wish) -> None:
    refusal = addresses.refusal_of_url(wish.url, allow_private=settings.WEBHOOKS_ALLOW_PRIVATE)
    if refusal is not None:
        raise InvalidField("url", refusal)
    if not wish.events or not set(wish.events) <= set(SUBSCRIBABLE):
        raise InvalidField("events", f"must be one or more of {', '.join(SUBSCRIBABLE)}")
    endpoint.url, endpoint.description = wish.url, wish.description
    endpoint.events = [event for event in SUBSCRIBABLE if event in wish.events]
    endpoint.agent_ids = _own_agents(endpoint, wish.agent_ids)
    if wish.enabled != endpoint.enabled:
        endpoint.enabled = wish.enabled
        endpoint.disabled_reason = "" if wish.enabled else DisabledReason.BY_HAND
        endpoint.disabled_at = None if wish.enabled else timezone.now()
        endpoint.failing_since = None


def _own_agents(endpoint: WebhookEndpoint, wanted: Sequence[UUID]) -> list[UUID]:
    """Return the agents of a filter; one already in it may have been archived since."""
    chosen = sorted(set(wanted))
    new = set(chosen) - set(endpoint.agent_ids)
    known = set(Agent.objects.filter(pk__in=new, user=endpoint.user_id, archived_at=None).values_list("pk", flat=True))
    if new - known:
        raise InvalidField("agentIds", "must be agents of the endpoint's user")
    return chosen


def _lock(endpoint_id: UUID) -> WebhookEndpoint:
    found = WebhookEndpoint.objects.select_for_update(no_key=True, of=("self",)).filter(pk=endpoint_id).first()
    if found is None:
        raise errors.EndpointNotFound
    return found


def _record(endpoint: WebhookEndpoint, what: str, actor: User | None, *, before: Any, after: Any) -> None:
    audit.record(
        actor=actor,
        action=f"webhook_endpoint.{what}",
        object_type="webhook_endpoint",
        object_id=endpoint.pk,
        before=before,
        after=after,
    )
