"""What the engine decides and keeps: trading states, verdicts, positions, exit intents, closed trades, snapshots."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent
from apps.core.enums import Badge
from apps.core.fields import (
    AmountField,
    MintField,
    PercentField,
    PriceField,
    SolField,
    UsdField,
)
from apps.signals.models import TradingSignal
from apps.wallets.models import Origin, Transaction, Wallet


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


class CloseReason(Badge):
    """Why a position ended."""

    MANUAL = "manual", "Closed by hand"
    STOP_LOSS = "stop_loss", "Stop loss"
    STALE_TRADE = "stale_trade", "Stale trade"
    TAKE_PROFIT = "take_profit", "Take profit"
    RESET = "reset", "Wallet reset"
    WRITE_OFF = "write_off", "Written off"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "manual": "info",
            "stop_loss": "danger",
            "stale_trade": "warning",
            "take_profit": "success",
            "reset": "muted",
            "write_off": "danger",
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


class StopMove(models.Model):
    """A rise of a position's stop as it was written back: part of the position's story, never changed.

    Written by the watch, at most once per position and write-back; rises in between are in the last one.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.ForeignKey(
        Position, on_delete=models.PROTECT, related_name="stop_moves", db_index=False, db_constraint=False
    )
    peak_price_sol = PriceField(help_text="The trusted price that raised it, SOL per token.")
    stop_percent = PercentField(help_text="Where the stop stands now, percent from the trigger average.")
    stop_price_sol = PriceField()
    source = models.CharField(max_length=20, blank=True, help_text="Who told the price.")
    price_at = models.DateTimeField(null=True, help_text="When the price held, by its provider or by receipt.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "stop_move"
        ordering = ["id"]
        indexes = [models.Index(fields=["position", "id"], name="stop_move_position")]

    def __str__(self) -> str:
        return f"stop {self.stop_percent:+f} %"


class WatchProgress(models.Model):
    """How far one shard's watch has written peaks and lows back: what ticks after `tick_id` did may be in memory only.

    Written by the watch. A watch that starts replays the ticks after it; a row of another division counts as well.
    """

    shards = models.PositiveSmallIntegerField()
    shard = models.PositiveSmallIntegerField()
    tick_id = models.BigIntegerField(help_text="Every rise up to this tick is stored with its position.")
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "watch_progress"
        constraints = [models.UniqueConstraint(fields=["shards", "shard"], name="watch_progress_shard")]

    def __str__(self) -> str:
        return f"shard {self.shard}/{self.shards}: tick {self.tick_id}"


class DeadTokenEnd(Badge):
    """Why evidence against a token ended."""

    PRICE = "price", "It has a price again"
    QUOTE = "quote", "It can be sold again"
    WRITTEN_OFF = "written_off", "Written off"
    NOT_HELD = "not_held", "No longer held"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {"price": "success", "quote": "success", "written_off": "danger"}


class DeadToken(models.Model):
    """What speaks for a held token being dead: checks in which every price source answered without a price for it and
    a real holding could not be sold. One row per mint.

    Written by `services.dead_tokens` and, for the operator's wish, `services.write_off`. A price or a quote ends the
    evidence; a later suspicion starts the row over. Without a check that counted (`checks` 0) it proves nothing.
    """

    mint = MintField(primary_key=True)
    symbol = models.CharField(max_length=50, blank=True)
    asked_at = models.DateTimeField(help_text="When the sources were last asked about it.")
    first_seen_at = models.DateTimeField(null=True, help_text="First of the checks that count.")
    last_seen_at = models.DateTimeField(null=True, help_text="Last of the checks that count.")
    checks = models.PositiveIntegerField(default=0, help_text="Checks that found no price and no buyer.")
    last_code = models.CharField(max_length=60, blank=True, help_text="What the last check brought.")
    alerted_at = models.DateTimeField(null=True, help_text="When the holders were told.")
    write_off_requested_at = models.DateTimeField(null=True, help_text="When an operator wrote it off.")
    write_off_requested_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    cleared_at = models.DateTimeField(null=True, help_text="When the evidence ended.")
    cleared_code = models.CharField(max_length=12, choices=DeadTokenEnd.choices, blank=True)

    class Meta:
        db_table = "dead_token"
        ordering = ["-asked_at", "mint"]

    def __str__(self) -> str:
        return self.symbol or self.mint


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
