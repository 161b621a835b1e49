"""Exits that fired and stay due until they are done. The rules that fire them are in `trading.domain`."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.core.enums import Badge
from apps.core.fields import PriceField
from apps.trading.models.positions import CloseReason, Position
from apps.wallets.models import Transaction


class IntentKind(Badge):
    """A close ends the position; an adjust (take profit, DCA) changes it."""

    CLOSE = "close", "Close"
    ADJUST = "adjust", "Adjust"


class IntentStatus(Badge):
    """Where an exit intent is: due until done or cancelled, whatever dies in between."""

    DUE = "due", "Due"
    LEASED = "leased", "In work"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "due": "warning",
            "leased": "info",
            "done": "success",
            "cancelled": "muted",
        }


class ExitIntent(models.Model):
    """Something a position must do, fired by a rule or a person. Due until done: a failed sale stays due.

    At most one open close and one open adjust per position (CONCURRENCY 10). `generation` is the position's at firing.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="intents")
    kind = models.CharField(max_length=6, choices=IntentKind.choices, default=IntentKind.CLOSE)
    reason = models.CharField(max_length=12, choices=[*CloseReason.choices, ("dca", "DCA")])
    generation = models.PositiveIntegerField()
    status = models.CharField(max_length=9, choices=IntentStatus.choices, default=IntentStatus.DUE)
    trigger_price_sol = PriceField(null=True)
    trigger_tick = models.BigIntegerField(null=True)
    needs_confirmation = models.BooleanField(default=False, help_text="The price is doubted: the sell quote decides.")
    details = models.JSONField(null=True, help_text="Rule, level, source and age of the price.")
    requested_by = models.ForeignKey(
        "accounts.User",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=60, blank=True)
    transaction = models.ForeignKey(Transaction, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "exit_intent"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["position", "kind"],
                condition=models.Q(status__in=["due", "leased"]),
                name="exit_intent_one_open",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                name="exit_intent_due",
                condition=models.Q(status__in=["due", "leased"]),
            ),
            # What was cancelled lately rests (`exit_intents.fire`): a position may have thousands of cancelled intents.
            models.Index(
                fields=["position", "-finished_at"],
                name="exit_intent_cancelled",
                condition=models.Q(status="cancelled"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.status}"
