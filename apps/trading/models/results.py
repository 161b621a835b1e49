"""What became of it all: closed trades, and what wallets were worth hour by hour."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent
from apps.core.fields import AmountField, MintField, PercentField, PriceField, SolField, UsdField
from apps.signals.models import TradingSignal
from apps.trading.models.positions import CloseReason, Position
from apps.wallets.models import Origin, Transaction, Wallet


class ClosedTrade(models.Model):
    """A position that ended ("historical swap"): one row, written in the transaction of its last sale, never changed.

    Or a trade entered by hand (`services.hand_trades`), without a position: figures only, no balance moves with it. It
    may be corrected, and deleting marks it: hidden everywhere, kept for the audit log's sake.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="closed_trades", db_index=False)
    wallet = models.ForeignKey(
        Wallet, null=True, on_delete=models.PROTECT, related_name="closed_trades", db_index=False
    )
    epoch = models.PositiveIntegerField()
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.ENGINE)
    position = models.OneToOneField(Position, null=True, on_delete=models.PROTECT, related_name="closed_trade")
    mint = MintField()
    symbol = models.CharField(max_length=50)
    amount = AmountField(help_text="Whole tokens ever bought.")
    purchase_price = PriceField(help_text="SOL per token, fees included.")
    sale_price = PriceField(help_text="SOL received per token bought, after fees.")
    change_percent = PercentField(help_text="Profit over money invested.")
    profit_sol = SolField()
    profit_usd = UsdField(null=True, help_text="At SOL/USD of the sale; empty while it was unknown.")
    purchase_time = models.DateTimeField()
    sale_time = models.DateTimeField()
    purchase_transaction = models.ForeignKey(Transaction, null=True, on_delete=models.PROTECT, related_name="+")
    sale_transaction = models.ForeignKey(Transaction, null=True, on_delete=models.PROTECT, related_name="+")
    signal = models.ForeignKey(TradingSignal, null=True, on_delete=models.PROTECT, related_name="closed_trades")
    close_reason = models.CharField(max_length=12, choices=CloseReason.choices, null=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Entered by hand, and taken back.")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        db_table = "closed_trade"
        ordering = ["-sale_time", "-id"]
        indexes = [
            # Lists, their counts and an agent's performance read this alone.
            models.Index(
                fields=["agent", "-sale_time", "-id"],
                include=["wallet", "epoch", "profit_sol", "change_percent"],
                condition=models.Q(deleted_at=None),
                name="closed_trade_agent_listed",
            ),
            models.Index(fields=["-sale_time", "-id"], name="closed_trade_time"),
            models.Index(fields=["wallet", "epoch"], name="closed_trade_wallet_epoch"),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.profit_sol:+f} SOL"


class BalanceSnapshot(models.Model):
    """What a wallet was worth at one UTC hour. Written by the hourly task; the last write of an hour stays."""

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="snapshots", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="snapshots")
    epoch = models.PositiveIntegerField()
    hour = models.DateTimeField(help_text="UTC, cut to the hour.")
    portfolio_sol = SolField(help_text="SOL balance plus value of positions.")
    sol_balance = SolField()
    positions_value_sol = SolField()
    unrealized_profit_sol = SolField()
    estimated = models.BooleanField(
        default=False,
        help_text="A token without a fresh price was valued at its last one.",
    )
    created_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "balance_snapshot"
        constraints = [
            models.UniqueConstraint(fields=["wallet", "epoch", "hour"], name="balance_snapshot_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.portfolio_sol} SOL"
