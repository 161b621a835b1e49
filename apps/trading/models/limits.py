"""What bounds buying beside the off switch: loss limits of the desk and of agents, and how strict tokens are judged."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from apps.agents.models import Agent, TradingMode
from apps.core.fields import PercentField, SolField


class LossLimit(models.Model):
    """How much one agent, or the whole desk (`agent` empty), may lose and have at stake in one mode.

    Live and simulated money never count together: each has its own row. An empty figure means no limit, no row means
    none at all. Read in every booking that buys; sales never ask. Written by `trading.services.loss_limits`.
    """

    agent = models.ForeignKey(
        Agent, null=True, blank=True, on_delete=models.CASCADE, related_name="loss_limits", db_index=False
    )
    trading_mode = models.CharField(max_length=10, choices=TradingMode.choices, default=TradingMode.LIVE)
    max_daily_loss_sol = SolField(
        null=True, blank=True, help_text="Nothing is bought for the rest of a UTC day that has lost this much SOL."
    )
    max_exposure_sol = SolField(
        null=True, blank=True, help_text="SOL that open positions cost, with what orders under way hold, at most."
    )
    cooldown_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Nothing is bought for so many seconds after a stop loss."
    )
    told_code = models.CharField(max_length=30, blank=True, editable=False)
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "loss_limit"
        ordering = ["agent", "trading_mode"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "trading_mode"], nulls_distinct=False, name="loss_limit_one_each"),
            models.CheckConstraint(
                condition=models.Q(max_daily_loss_sol__isnull=True) | models.Q(max_daily_loss_sol__gt=0),
                name="loss_limit_loss_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(max_exposure_sol__isnull=True) | models.Q(max_exposure_sol__gt=0),
                name="loss_limit_exposure_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{'The desk' if self.agent_id is None else self.agent}, {self.trading_mode}"


class RealisedToday(models.Model):
    """What an agent's sales of the newest UTC day that had any have brought and cost together, by mode.

    A trigger on `position` keeps it, in the transaction of every booking that changes a realised profit, whoever books
    it: full and partial sales, write-offs, reversals. Nobody else writes it. A day in the past means nothing today.
    """

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+", db_index=False)
    trading_mode = models.CharField(max_length=10, choices=TradingMode.choices)
    day = models.DateField(help_text="UTC.")
    profit_sol = SolField(help_text="Net; below zero is a loss.")

    class Meta:
        db_table = "realised_today"
        verbose_name = "result of the day"
        verbose_name_plural = "results of the day"
        constraints = [models.UniqueConstraint(fields=["agent", "trading_mode"], name="realised_today_one_each")]
        indexes = [models.Index(fields=["day", "trading_mode"], name="realised_today_day")]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.profit_sol:+f} SOL"


class TokenSafetyPolicy(models.Model):
    """What an agent's live buys let pass of what makes a token dangerous; no row means the strictest: nothing.

    Tokens whose accounts are frozen from the start and tokens that cannot be transferred have no allowance: they
    cannot be sold. Written by `trading.services.token_policies`, each allowance audited.
    """

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, related_name="token_safety_policy")
    allow_mint_authority = models.BooleanField(default=False, help_text="Somebody can still make new tokens.")
    allow_freeze_authority = models.BooleanField(default=False, help_text="Somebody can freeze what was bought.")
    allow_permanent_delegate = models.BooleanField(default=False, help_text="Somebody can take what was bought.")
    allow_transfer_hook = models.BooleanField(
        default=False, help_text="A program of the issuer runs with each transfer and can refuse it."
    )
    allow_mint_close_authority = models.BooleanField(
        default=False, help_text="The mint can be closed and made anew with other rules once its supply is zero."
    )
    allow_pausable = models.BooleanField(default=False, help_text="Somebody can stop all transfers.")
    allow_confidential_transfer = models.BooleanField(
        default=False, help_text="Balances can be hidden, so that holders and flows cannot be seen."
    )
    allow_unknown_extension = models.BooleanField(
        default=False, help_text="The mint has an extension this desk does not know."
    )
    allow_single_price_source = models.BooleanField(
        default=False, help_text="Buy on one source's price when no second one knows the token."
    )
    allow_unsold_sale = models.BooleanField(
        default=False, help_text="Buy when a sale could be quoted but not tried on a node."
    )
    max_transfer_fee_bps = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(10_000)], help_text="Highest fee the token takes of each transfer."
    )
    max_price_gap_percent = PercentField(
        default=5,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="How far two price sources may lie apart.",
    )
    max_round_trip_loss_percent = PercentField(
        default=15,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="What buying and selling again at once may cost at most.",
    )
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "token_safety_policy"
        verbose_name_plural = "token safety policies"

    def __str__(self) -> str:
        return f"Token safety of {self.agent}"
