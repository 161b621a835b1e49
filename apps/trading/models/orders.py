"""Live orders: one attempt each to swap on chain, from the funds put aside to the books that are sealed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent
from apps.core.enums import Badge
from apps.core.fields import AmountField, BaseUnitsField, MintField, PercentField
from apps.signals.models import TradingSignal
from apps.trading.domain import order_machine
from apps.trading.models.intents import ExitIntent
from apps.wallets.models import Transaction, Wallet


class OrderSide(Badge):
    """What an order does with the token."""

    BUY = "buy", "Buy"
    SELL = "sell", "Sell"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"buy": "info", "sell": "warning"}


class OrderPurpose(Badge):
    """Why there is an order. A reclaim closes an empty token account and brings its rent back."""

    ENTRY = "entry", "Signal"
    MANUAL = "manual", "By hand"
    DCA = "dca", "DCA"
    TAKE_PROFIT = "take_profit", "Take profit"
    CLOSE = "close", "Close"
    RECLAIM = "reclaim", "Rent reclaim"


class OrderStatus(Badge):
    """Where an order is; the steps between are `trading.domain.order_machine`."""

    RESERVED = "reserved", "Reserved"
    BUILT = "built", "Built"
    SIGNED = "signed", "Signed"
    SENT = "sent", "Sent"
    UNRESOLVED = "unresolved", "Unresolved"
    LANDED = "landed", "Landed"
    FINALIZED = "finalized", "Finalized"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "Expired"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "reserved": "muted",
            "built": "info",
            "signed": "info",
            "sent": "info",
            "unresolved": "danger",
            "landed": "success",
            "finalized": "success",
            "failed": "danger",
            "expired": "warning",
        }


class LandingRoute(Badge):
    """Who brings the signed bytes to the chain: Jupiter's /execute, or we ourselves through the nodes."""

    EXECUTE = "execute", "Jupiter"
    NODE = "node", "Node"


_IN_FLIGHT = models.Q(status__in=sorted(order_machine.IN_FLIGHT))


class Order(models.Model):
    """One attempt of a live swap. Written by `trading.services.live` alone; after its end it never changes.

    What is signed is in the row before anything is sent, sealed under SECRET_KEY: whoever finds the row after a death
    sends the same bytes again and never others. `held_amount` of `held_mint` is put aside in the wallet while the order
    is in flight; `slot_held` that it counts as an open position meanwhile. Amounts in base units (lamports for SOL).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="orders", db_index=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="orders", db_index=False)
    epoch = models.PositiveIntegerField()
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    purpose = models.CharField(max_length=11, choices=OrderPurpose.choices)
    mint = MintField()
    symbol = models.CharField(max_length=50, blank=True)
    decimals = models.PositiveSmallIntegerField()
    signal = models.ForeignKey(
        TradingSignal, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    intent = models.ForeignKey(
        ExitIntent, null=True, blank=True, on_delete=models.PROTECT, related_name="orders", db_index=False
    )
    position = models.ForeignKey(
        "Position", null=True, blank=True, on_delete=models.PROTECT, related_name="orders", db_constraint=False
    )
    requested_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    attempt = models.PositiveIntegerField(default=1, help_text="Attempts for the same signal or intent, from 1.")
    status = models.CharField(max_length=10, choices=OrderStatus.choices, default=OrderStatus.RESERVED)
    code = models.CharField(max_length=60, blank=True, help_text="Why it failed, expired or is not resolved.")
    detail = models.CharField(max_length=300, blank=True, help_text="What the chain or the provider said about it.")

    in_base_units = BaseUnitsField(help_text="What goes in: lamports of a buy, tokens of a sale.")
    expected_out_base_units = BaseUnitsField(null=True, blank=True, help_text="What the quote promised.")
    minimum_out_base_units = BaseUnitsField(null=True, blank=True, help_text="Less than this and it fails on chain.")
    slippage_bps = models.PositiveIntegerField(help_text="How far below the quote it may end, in basis points.")
    price_impact = PercentField(null=True, blank=True, help_text="Signed fraction; positive is a loss.")
    fee_cap_lamports = BaseUnitsField(help_text="All fees together may not exceed this.")
    inputs = models.JSONField(null=True, blank=True, help_text="What the decision was made of.")
    evidence = models.JSONField(null=True, blank=True, help_text="What the token safety gate looked at.")
    quote = models.JSONField(null=True, blank=True, help_text="The provider's answer, as received, without the bytes.")

    held_mint = MintField()
    held_amount = AmountField(default=0, help_text="Whole tokens put aside while the order is in flight.")
    slot_held = models.BooleanField(default=False, help_text="Counts as an open position while in flight.")

    route = models.CharField(max_length=7, choices=LandingRoute.choices, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    signature = models.CharField(max_length=90, null=True, blank=True, unique=True)
    sealed_transaction = models.BinaryField(null=True, blank=True, editable=False)
    blockhash = models.CharField(max_length=50, blank=True)
    last_valid_block_height = models.BigIntegerField(null=True, blank=True)
    sends = models.PositiveIntegerField(default=0, help_text="How often the same bytes were sent.")
    landed_slot = models.BigIntegerField(null=True, blank=True)
    fill = models.JSONField(null=True, blank=True, help_text="What the chain says was moved, each fee its own figure.")
    transaction = models.ForeignKey(
        Transaction, null=True, blank=True, on_delete=models.PROTECT, related_name="orders", db_index=False
    )

    due_at = models.DateTimeField(db_default=Now(), help_text="When the next step is to be taken.")
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    built_at = models.DateTimeField(null=True, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    first_sent_at = models.DateTimeField(null=True, blank=True)
    last_sent_at = models.DateTimeField(null=True, blank=True)
    landed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it was finalized, failed or expired.")

    class Meta:
        db_table = "trade_order"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["signal", "agent", "attempt"],
                condition=models.Q(purpose="entry"),
                name="trade_order_signal_attempt",
            ),
            models.UniqueConstraint(
                fields=["intent", "attempt"],
                condition=models.Q(intent__isnull=False),
                name="trade_order_intent_attempt",
            ),
            models.UniqueConstraint(fields=["intent"], condition=_IN_FLIGHT, name="trade_order_one_of_intent"),
            models.UniqueConstraint(
                fields=["signal", "agent"],
                condition=_IN_FLIGHT & models.Q(purpose="entry"),
                name="trade_order_one_of_signal",
            ),
            models.UniqueConstraint(
                fields=["wallet", "mint", "side"], condition=_IN_FLIGHT, name="trade_order_one_in_flight"
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=sorted(order_machine.MAY_LAND))
                | models.Q(
                    signature__isnull=False, sealed_transaction__isnull=False, last_valid_block_height__isnull=False
                ),
                name="trade_order_signed_is_kept",
            ),
            models.CheckConstraint(condition=models.Q(held_amount__gte=0), name="trade_order_held_not_negative"),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=~models.Q(status__in=sorted(order_machine.TERMINAL)),
                name="trade_order_due",
            ),
            models.Index(fields=["wallet", "-created_at"], name="trade_order_wallet"),
            models.Index(fields=["agent", "-created_at"], name="trade_order_agent"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.symbol or self.mint}: {self.status}"
