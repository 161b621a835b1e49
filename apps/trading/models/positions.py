"""Holdings of one token in one wallet, open and closed. What they must do next is in `intents`."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent
from apps.core.enums import Badge
from apps.core.fields import AmountField, MintField, PercentField, PriceField, SolField
from apps.signals.models import TradingSignal
from apps.wallets.models import Transaction, Wallet


class CloseReason(Badge):
    """Why a position ended."""

    MANUAL = "manual", "Closed by hand"
    STOP_LOSS = "stop_loss", "Stop loss"
    STALE_TRADE = "stale_trade", "Stale trade"
    TAKE_PROFIT = "take_profit", "Take profit"
    RESET = "reset", "Wallet reset"
    WRITE_OFF = "write_off", "Written off"
    REVERSED = "reversed", "Never on the chain"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "manual": "info",
            "stop_loss": "danger",
            "stale_trade": "warning",
            "take_profit": "success",
            "reset": "muted",
            "write_off": "danger",
            "reversed": "muted",
        }


class Position(models.Model):
    """A holding of one token in one wallet, from its first buy to its last sale; kept when closed.

    Written by `trading.services` only, with its fills and ledger entries, under the wallet's lock. Invariants: one open
    position per (wallet, mint); cost sold + cost remaining = invested; remaining is bought minus sold.
    References without a constraint are implied by one that has it (agent by wallet, signal and first buy by the fills);
    the audit checks them. A database column `changed_xid` (xid8, kept by triggers that ignore peak-only changes) feeds
    the watch's book.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(
        Agent, on_delete=models.PROTECT, related_name="positions", db_index=False, db_constraint=False
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="positions")
    epoch = models.PositiveIntegerField()
    mint = MintField()
    symbol = models.CharField(max_length=50, blank=True)
    decimals = models.PositiveSmallIntegerField()
    signal = models.ForeignKey(
        TradingSignal,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="positions",
        db_index=False,
        db_constraint=False,
    )
    purchase_transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )

    purchase_price = PriceField(help_text="Trigger average: total invested ÷ total bought, SOL per token.")
    purchase_amount = AmountField(help_text="Whole tokens ever bought, sold ones included.")
    remaining_amount = AmountField(help_text="Whole tokens still held.")
    total_invested_sol = SolField(help_text="SOL ever paid, fees included.")
    remaining_cost_sol = SolField(help_text="Cost of the tokens still held; shrinks by the sold share.")
    realized_profit_sol = SolField(default=0, help_text="SOL received minus the cost of what was sold.")
    proceeds_sol = SolField(default=0, help_text="SOL received from sales, after fees.")
    generation = models.PositiveIntegerField(default=1, help_text="Fills booked on this position.")

    stop_percent = PercentField(null=True, help_text="Stop as percent from the trigger average.")
    stop_price_sol = PriceField(null=True, help_text="A price at or below this sells everything.")
    stop_updated_at = models.DateTimeField(null=True)
    peak_price_sol = PriceField(help_text="Highest trusted price since `peak_from_tick`.")
    peak_from_tick = models.BigIntegerField(default=0, help_text="Only ticks after this raise the peak.")
    peak_generation = models.PositiveIntegerField(
        default=1, help_text="Write-backs of an older generation are ignored."
    )
    lowest_price_sol = PriceField(null=True)

    dca_count = models.PositiveIntegerField(default=0)
    last_dca_at = models.DateTimeField(null=True)
    take_profit_levels_hit = models.PositiveIntegerField(default=0)
    take_profit_start_level = models.PositiveIntegerField(default=0)
    take_profit_total_levels = models.PositiveIntegerField(null=True)
    last_take_profit_at = models.DateTimeField(null=True)
    moon_bag_activated = models.BooleanField(default=False)
    moon_bag_amount = AmountField(null=True)

    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    close_reason = models.CharField(max_length=12, choices=CloseReason.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "position"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["wallet", "mint"],
                condition=models.Q(closed_at=None),
                name="position_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(remaining_amount__gte=0),
                name="position_remaining_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(remaining_cost_sol__gte=0),
                name="position_cost_not_negative",
            ),
        ]
        indexes = [
            models.Index(
                fields=["agent", "-created_at"],
                name="position_agent_open",
                condition=models.Q(closed_at=None),
            ),
            models.Index(
                fields=["mint"],
                name="position_mint_open",
                condition=models.Q(closed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.symbol or self.mint} ({'open' if self.closed_at is None else self.close_reason})"
