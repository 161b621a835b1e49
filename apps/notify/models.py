"""Outbound webhooks: who wants to hear of what, what happened, and what became of telling them.

Written by `services`: `endpoints` (people), `intake` (what happened), `courier` (the telling).
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.core.enums import Badge


class EventType(Badge):
    """What an endpoint may subscribe to; `ping` comes only when somebody asks for it."""

    POSITION_OPENED = "position.opened", "Position opened"
    POSITION_CHANGED = "position.changed", "Position changed"
    POSITION_CLOSED = "position.closed", "Position closed"
    SIGNAL_EXECUTED = "signal.executed", "Signal executed"
    SIGNAL_SKIPPED = "signal.skipped", "Signal skipped"
    SIGNAL_FAILED = "signal.failed", "Signal failed"
    ALERT = "alert", "Alert"
    TRADING_STATE_CHANGED = "trading_state.changed", "Trading state changed"
    PING = "ping", "Ping"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "position.opened": "success",
            "position.changed": "info",
            "position.closed": "info",
            "signal.executed": "success",
            "signal.failed": "danger",
            "alert": "warning",
            "trading_state.changed": "warning",
        }


#: What may be subscribed to.
SUBSCRIBABLE = tuple(str(event) for event in EventType if event != EventType.PING)


class DisabledReason(Badge):
    """Why an endpoint hears nothing."""

    BY_HAND = "by_hand", "Switched off"
    GONE = "gone", "Gone: it answered 410"
    FAILING = "failing", "Failing: nothing was taken for days"
    BACKLOG = "backlog", "Behind: too much waits for it"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"by_hand": "muted", "gone": "danger", "failing": "danger", "backlog": "danger"}


class WebhookEndpoint(models.Model):
    """An address of a user that is told of events. Changed by its owner and by operators; a courier may switch it off.

    Secrets are sealed under SECRET_KEY: they are needed in clear to sign, and shown once.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.CharField("address", max_length=2000, help_text="https://…; where events are posted to.")
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(
        models.CharField(max_length=30, choices=[(item.value, item.label) for item in EventType if item != "ping"]),
        help_text="What it is told of.",
    )
    agent_ids = ArrayField(
        models.UUIDField(),
        default=list,
        blank=True,
        help_text="Only events of these agents (and those of no agent); empty: all.",
    )
    sealed_secret = models.TextField(editable=False)
    sealed_previous_secret = models.TextField(editable=False, blank=True)
    previous_secret_until = models.DateTimeField(
        null=True, editable=False, help_text="Until then what is sent is signed with the former secret too."
    )
    enabled = models.BooleanField(default=True, help_text="Off: it hears nothing; what waits for it waits.")
    disabled_reason = models.CharField(max_length=10, choices=DisabledReason.choices, blank=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False, help_text="No delivery succeeded since.")
    last_success_at = models.DateTimeField(null=True, editable=False)
    last_failure_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "webhook_endpoint"
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.description or self.url


class WebhookMessage(models.Model):
    """One event as it is told: the very text that is signed and sent, to every endpoint and at every attempt the same.

    Never changed. `event_id` derives from the outbox row, so that reading it twice makes one message.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=40, unique=True, help_text="The webhook-id: the same at every attempt.")
    type = models.CharField(max_length=30, choices=EventType.choices)
    user = models.ForeignKey(
        User,
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        help_text="Whom it concerns; empty: everybody.",
    )
    agent_id = models.UUIDField(null=True, help_text="The agent it is about, if it is about one.")
    outbox_id = models.BigIntegerField(null=True, help_text="The feed message it came from.")
    occurred_at = models.DateTimeField()
    body = models.TextField(help_text="JSON, as it is sent.")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now(), db_index=True)

    class Meta:
        db_table = "webhook_message"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class DeliveryStatus(Badge):
    """How far a delivery is."""

    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed: given up"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"pending": "info", "delivered": "success", "failed": "danger"}


class WebhookDelivery(models.Model):
    """One message for one endpoint. Due, leased while somebody sends it, then delivered, due again, or given up.

    Written by `intake` and `courier`; resent by people. A row is pending until an answer says otherwise: whoever dies
    with the lease loses nothing. A pending row with an `order_key` bars later ones of its endpoint and key.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    message = models.ForeignKey(WebhookMessage, on_delete=models.CASCADE, related_name="deliveries")
    status = models.CharField(max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    order_key = models.CharField(max_length=80, blank=True, help_text="What it keeps its order in, e.g. a position.")
    attempts = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="Attempts since it became pending.")
    due_at = models.DateTimeField(null=True, help_text="Next attempt.")
    pending_since = models.DateTimeField()
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    status_code = models.PositiveIntegerField("last status", null=True)
    last_error = models.CharField(max_length=40, blank=True)
    response_excerpt = models.TextField(blank=True, help_text="The beginning of what the endpoint answered.")
    duration_ms = models.PositiveIntegerField("duration", null=True, help_text="Milliseconds of the last attempt.")
    delivered_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "webhook_delivery"
        verbose_name_plural = "webhook deliveries"
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "message"], name="webhook_delivery_once")]
        indexes = [
            models.Index(
                fields=["endpoint", "due_at"], name="webhook_delivery_due", condition=models.Q(status="pending")
            ),
            models.Index(
                fields=["endpoint", "order_key", "message"],
                name="webhook_delivery_order",
                condition=models.Q(status="pending") & ~models.Q(order_key=""),
            ),
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhook_delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.message.type} to {self.endpoint}"


class WebhookAttempt(models.Model):
    """One try at a delivery and what came of it. Never changed."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="attempt_log")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    status_code = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=40, blank=True)
    response_excerpt = models.TextField(blank=True)
    duration_ms = models.PositiveIntegerField(help_text="Milliseconds.")

    class Meta:
        db_table = "webhook_attempt"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"attempt {self.number}"
