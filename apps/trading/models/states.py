"""The switches of trading: of the whole desk, and of each agent."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent
from apps.core.enums import Badge


class State(Badge):
    """What trading may do."""

    ACTIVE = "active", "Active"
    REDUCING = "reducing", "Reducing: only what lowers exposure"
    HALTED = "halted", "Halted"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"active": "success", "reducing": "warning", "halted": "danger"}


class TradingState(models.Model):
    """The switch of one agent, or of the whole desk (`agent` empty, one row). No row means ACTIVE.

    Read in every booking transaction. Written by operators through `trading.services.trading_state`.
    """

    agent = models.OneToOneField(
        Agent,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="trading_state",
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    exits_enabled = models.BooleanField(default=True, help_text="While halted: may positions still be sold?")
    reason = models.CharField(max_length=200, blank=True)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "trading_state"
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=models.Q(agent=None),
                name="trading_state_one_global",
            )
        ]

    def __str__(self) -> str:
        return f"{'desk' if self.agent_id is None else self.agent_id}: {self.state}"
