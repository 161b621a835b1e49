"""What each agent decided on each signal, with what decided it."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent
from apps.core.enums import Badge
from apps.signals.models import TradingSignal
from apps.wallets.models import Transaction


class Verdict(Badge):
    """How a (signal, agent) pair ended."""

    PENDING = "pending", "Pending"
    EXECUTED = "executed", "Executed"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "pending": "info",
            "executed": "success",
            "skipped": "muted",
            "failed": "danger",
        }


class SignalExecution(models.Model):
    """The verdict of one agent on one signal, with the inputs that decided it. Exactly one per pair.

    Written in the transaction that books (or refuses) the trade; PENDING only while a live order is open.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    signal = models.ForeignKey(TradingSignal, on_delete=models.PROTECT, related_name="executions", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="executions", db_index=False)
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    code = models.CharField(
        max_length=60,
        blank=True,
        help_text="Why it was refused or failed; the first reason.",
    )
    reasons = ArrayField(models.CharField(max_length=60), default=list)
    inputs = models.JSONField(null=True, help_text="What the decision was made of.")
    transaction = models.ForeignKey(
        Transaction, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    position = models.ForeignKey(
        "Position", null=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    executed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "signal_execution"
        ordering = ["-created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["signal", "agent"], name="signal_execution_once")]
        indexes = [
            models.Index(fields=["agent", "-created_at"], name="signal_execution_agent"),
            models.Index(fields=["created_at"], condition=models.Q(verdict="failed"), name="signal_execution_failed"),
        ]

    def __str__(self) -> str:
        return f"signal {self.signal_id}: {self.verdict} {self.code}".strip()
