"""Trading signals and the keys that keep one from being taken twice."""

from __future__ import annotations

from django.conf import settings
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
