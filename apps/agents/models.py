"""Agents, their trading configuration and the row every booking locks first."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.core.enums import Badge


class TradingMode(Badge):
    """Which of its two wallets an agent trades with."""

    SIMULATION = "simulation", "Simulation"
    LIVE = "live", "Live"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"simulation": "info", "live": "danger"}


class Agent(models.Model):
    """A trader with one configuration, owned by one user. Archived, never deleted: its books stay.

    A database column `changed_xid` (xid8, kept by triggers) tells the watch what changed since it last looked.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="agents")
    name = models.CharField(max_length=50)
    trading_mode = models.CharField(max_length=12, choices=TradingMode.choices, default=TradingMode.SIMULATION)
    automated_trading_simulation = models.BooleanField(
        default=True,
        help_text="Trade signals in simulation. Off stops entries and DCA; exits go on.",
    )
    automated_trading_live = models.BooleanField(
        default=True,
        help_text="Trade signals live. Off stops entries and DCA; exits go on.",
    )
    trading_config = models.JSONField(null=True, blank=True, help_text="Validated document; empty means all defaults.")
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "agent"
        ordering = ["-created_at", "id"]
        indexes = [
            models.Index(
                fields=["user", "-created_at"],
                name="agent_owner",
                condition=models.Q(archived_at=None),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def automated(self) -> bool:
        """Whether signals are traded in the present mode."""
        return (
            self.automated_trading_live if self.trading_mode == TradingMode.LIVE else self.automated_trading_simulation
        )


class AgentState(models.Model):
    """What bookings of an agent count and number. Locked first, by agent id, in every booking transaction.

    Invariant: `open_positions` equals the agent's open positions and never passes its limit, whatever races.
    """

    agent = models.OneToOneField(Agent, primary_key=True, on_delete=models.CASCADE, related_name="state")
    open_positions = models.IntegerField(default=0)
    max_open_positions = models.PositiveIntegerField(default=25, help_text="Most positions open at once.")
    feed_sequence = models.BigIntegerField(default=0)

    class Meta:
        db_table = "agent_state"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(open_positions__gte=0)
                & models.Q(open_positions__lte=models.F("max_open_positions")),
                name="agent_state_open_positions",
            )
        ]

    def __str__(self) -> str:
        return f"{self.open_positions} of {self.max_open_positions} positions"
