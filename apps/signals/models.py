"""Trading signals, the keys that keep one from being taken twice, and the webhooks that take them from elsewhere."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from apps.core.enums import Badge
from apps.core.fields import MintField


class SignalStatus(Badge):
    """Where a signal is on its way to a verdict for every agent."""

    DUE = "due", "Due"
    LEASED = "leased", "In work"
    DONE = "done", "Done"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"due": "warning", "leased": "info", "done": "success"}


class TradingSignal(models.Model):
    """One recommendation to buy a token, sent by or for a user. Work of record: status and lease say who handles it.

    `status` moves due -> leased -> done; a lease that ran out is due again. Deleting is a mark; executions stay.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="signals")
    api_key = models.ForeignKey(
        "accounts.ApiKey",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    token_address = MintField()
    symbol = models.CharField(max_length=50, null=True, blank=True)
    signal_type = models.CharField(max_length=50)
    activation_reason = models.TextField(null=True, blank=True)
    signal_strength = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    source = models.CharField(max_length=100, null=True, blank=True)
    status = models.CharField(max_length=8, choices=SignalStatus.choices, default=SignalStatus.DUE)
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When every agent had its verdict.")
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "trading_signal"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["due_at"], name="signal_due", condition=~models.Q(status="done")),
            models.Index(fields=["user", "-created_at"], name="signal_owner"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(signal_strength__gte=1) & models.Q(signal_strength__lte=5),
                name="signal_strength_range",
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.signal_type} {self.symbol or self.token_address}"


class SignalDedup(models.Model):
    """Keeps the same signal from being taken again within its window; taken over in place once expired."""

    pk = models.CompositePrimaryKey("user_id", "token_address", "signal_type", "signal_strength")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    token_address = MintField()
    signal_type = models.CharField(max_length=50)
    signal_strength = models.PositiveSmallIntegerField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "signal_dedup"

    def __str__(self) -> str:
        return f"{self.token_address} {self.signal_type} {self.signal_strength}"


class SignalWebhook(models.Model):
    """An address that takes one sender's messages and makes signals of them, for its user's agents.

    The address ends in a token of which only the SHA-256 is kept. Changed by operators only, through `webhook_setup`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="signal_webhooks",
        help_text="Whose agents trade the signals.",
    )
    name = models.CharField(max_length=100, help_text="Who sends, to know it again.")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(
        max_length=12, editable=False, help_text="First characters of the token, to recognise the address."
    )
    enabled = models.BooleanField(default=True, help_text="Off: the address answers as if it did not exist.")
    mapping = models.JSONField(default=dict, help_text="Where a signal's fields stand in a message.")
    allowed_addresses = ArrayField(
        models.CharField(max_length=43),
        default=list,
        blank=True,
        help_text="IP addresses or networks that may send. Empty: any.",
    )
    secret_path = models.CharField(
        max_length=200, blank=True, help_text="Where a message carries the shared secret. Empty: none is asked for."
    )
    secret_hash = models.CharField(max_length=64, blank=True, editable=False)
    received_count = models.BigIntegerField(
        "requests",
        default=0,
        editable=False,
        help_text="Requests taken, ignored and refused, beyond the rate limit not.",
    )
    last_used_at = models.DateTimeField("last request", null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "signal_webhook"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class Outcome(Badge):
    """What came of one request to a signal webhook."""

    CREATED = "created", "Signal created"
    IGNORED = "ignored", "Ignored: by a rule"
    DUPLICATE = "duplicate", "Duplicate: signalled a moment ago"
    INVALID = "invalid", "Invalid: no signal can be made of it"
    DENIED = "denied", "Denied: address or secret"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"created": "success", "ignored": "muted", "duplicate": "info", "invalid": "danger", "denied": "warning"}


class WebhookRequest(models.Model):
    """One request to a signal webhook and what came of it: a log for operators. The last 200 of each webhook are kept.

    The payload is cut, and the shared secret hidden in it.
    """

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(SignalWebhook, on_delete=models.CASCADE, related_name="requests")
    received_at = models.DateTimeField(db_default=Now())
    address = models.CharField(max_length=64, help_text="Where it came from.")
    outcome = models.CharField(max_length=9, choices=Outcome.choices)
    code = models.CharField(max_length=64, blank=True, help_text="Why no signal came of it.")
    detail = models.CharField(max_length=300, blank=True)
    payload = models.TextField(blank=True)
    payload_bytes = models.PositiveIntegerField("size", help_text="Bytes of the whole body.")
    signal = models.ForeignKey(TradingSignal, null=True, on_delete=models.SET_NULL, related_name="+")
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "signal_webhook_request"
        ordering = ["-id"]
        indexes = [models.Index(fields=["webhook", "-id"], name="webhook_request_newest")]

    def __str__(self) -> str:
        return f"#{self.pk} {self.outcome}"
