"""Shapes of the routes of notify."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.api.fields import Choice, Flag, Identifier, Moment, Text, WholeNumber
from apps.core.api.shapes import Body, Query, Shape
from apps.notify.models import SUBSCRIBABLE, DeliveryStatus, DisabledReason, EventType, WebhookEndpoint
from apps.notify.services.endpoints import Wish

_MOST_AGENTS = 200


@extend_schema_field({"type": "string", "pattern": r"^https?://[^\s]+$", "maxLength": 2000})
class WebAddress(Text):
    """Where something is posted to; which hosts are allowed is for the service to say."""


class EndpointBody(Body):
    url = WebAddress(max_length=2000, help_text="https://…; where events are posted to.")
    events = serializers.ListField(
        child=Choice(choices=list(SUBSCRIBABLE)), allow_empty=False, max_length=50, help_text="What it is told of."
    )
    description = Text(required=False, allow_blank=True, max_length=200)
    agent_ids = serializers.ListField(
        child=Identifier(),
        required=False,
        max_length=_MOST_AGENTS,
        help_text="Only events of these agents, and those of no agent; empty: all.",
    )
    enabled = Flag(required=False)


class EndpointChanges(EndpointBody):
    """What is given is changed, the rest stays."""

    at_least_one = True
    url = WebAddress(max_length=2000, required=False)
    events = serializers.ListField(
        child=Choice(choices=list(SUBSCRIBABLE)), required=False, allow_empty=False, max_length=50
    )


def wish_of(values: dict[str, Any], endpoint: WebhookEndpoint | None = None) -> Wish:
    """Return what a body wishes an endpoint to be; what it leaves out stays as it is."""
    kept: dict[str, Any] = {}
    if endpoint is not None:
        kept = {name: getattr(endpoint, name) for name in ("url", "events", "description", "agent_ids", "enabled")}
    return Wish(**{**kept, **values})


class DeliveriesQuery(Query):
    status = Choice(choices=DeliveryStatus.values, required=False)
    type = Choice(choices=EventType.values, required=False)


class EndpointShape(Shape):
    """An address that is told of events, without its secret."""

    id = Identifier()
    url = serializers.CharField()
    description = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    agent_ids = serializers.ListField(child=Identifier())
    enabled = Flag()
    disabled_reason = Choice(choices=["", *DisabledReason.values], help_text="Empty while it is enabled.")
    disabled_at = Moment(allow_null=True)
    failing_since = Moment(allow_null=True, help_text="No delivery succeeded since.")
    last_success_at = Moment(allow_null=True)
    last_failure_at = Moment(allow_null=True)
    previous_secret_until = Moment(allow_null=True, help_text="Until then the former secret signs too.")
    created_at = Moment()
    updated_at = Moment()


class NewEndpointShape(EndpointShape):
    secret = serializers.CharField(help_text="`whsec_…`; shown this once.")


class SecretShape(Shape):
    """A rotated secret."""

    id = Identifier()
    secret = serializers.CharField(help_text="`whsec_…`; shown this once.")
    previous_secret_until = Moment(help_text="Until then the former secret signs too.")


class AttemptShape(Shape):
    """One try."""

    number = WholeNumber()
    at = Moment()
    status_code = WholeNumber(allow_null=True)
    error = serializers.CharField(help_text="Empty when it was taken; `http_500`, `timeout`, `unreachable`, …")
    response_excerpt = serializers.CharField()
    duration_ms = WholeNumber()


class DeliveryShape(Shape):
    """One event for one endpoint, and how far it is."""

    id = Identifier()
    endpoint_id = Identifier()
    event_id = serializers.CharField(source="message.event_id", help_text="The `webhook-id` it is sent with.")
    type = Choice(choices=EventType.values, source="message.type")
    status = Choice(choices=DeliveryStatus.values)
    attempts = WholeNumber()
    due_at = Moment(allow_null=True, help_text="The next attempt, while it is pending.")
    status_code = WholeNumber(allow_null=True)
    last_error = serializers.CharField()
    response_excerpt = serializers.CharField()
    duration_ms = WholeNumber(allow_null=True)
    delivered_at = Moment(allow_null=True)
    occurred_at = Moment(source="message.occurred_at")
    created_at = Moment()


class OneDeliveryShape(DeliveryShape):
    attempt_log = AttemptShape(many=True, help_text="Newest first.")
    payload = serializers.JSONField(help_text="What is sent.")


def one_delivery(delivery: Any) -> dict[str, Any]:
    """Return a delivery with its log and what is sent."""
    log = AttemptShape.present_many(delivery.attempt_log.all())
    return {**DeliveryShape.present(delivery), "attemptLog": log, "payload": json.loads(delivery.message.body)}
