"""Tokens and the prices that were seen."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.functions import Now

from apps.core.enums import Badge
from apps.core.fields import MintField, PriceField


class Token(models.Model):
    """What is known of a mint. Written when a token is first met; decimals never change."""

    mint = MintField(primary_key=True)
    symbol = models.CharField(max_length=50, blank=True)
    name = models.CharField(max_length=120, blank=True)
    decimals = models.PositiveSmallIntegerField(
        validators=[MaxValueValidator(18)], help_text="Places of one whole token."
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "token"
        ordering = ["symbol", "mint"]

    def __str__(self) -> str:
        return self.symbol or self.mint


class Tick(models.Model):
    """One price of one token from one source. Written by the watch and the stream; pruned by retention.

    Ids grow with time, so that "the highest price after tick n" rebuilds a position's peak.
    """

    id = models.BigAutoField(primary_key=True)
    mint = MintField()
    price_sol = PriceField(help_text="SOL per whole token.")
    price_usd = PriceField(null=True, help_text="USD per whole token; empty while SOL/USD is unknown.")
    source = models.CharField(max_length=20)
    provider_at = models.DateTimeField(null=True, help_text="The provider's own time, where it gives one.")
    received_at = models.DateTimeField()

    class Meta:
        db_table = "tick"
        indexes = [
            models.Index(fields=["mint", "id"], name="tick_mint_id"),
            models.Index(fields=["received_at"], name="tick_received"),
        ]

    def __str__(self) -> str:
        return f"{self.mint} {self.price_sol} SOL ({self.source})"


class CandleInterval(Badge):
    """How long a stored candle is. Candles of a second are not stored: they are read from the ticks."""

    MINUTE = "1m", "1 minute"
    HOUR = "1h", "1 hour"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {cls.HOUR: "info"}


class Candle(models.Model):
    """What a token's price did in a whole minute or hour. Made of ticks (an hour: of its minutes), pruned by retention.

    Written by `services/candles.py` once the time is over, and again only if a late tick belongs into it. Low is never
    above open, close or high. The dollar side covers the ticks that had a dollar price and is empty if none had.
    """

    id = models.BigAutoField(primary_key=True)
    mint = MintField()
    interval = models.CharField(max_length=2, choices=CandleInterval.choices)
    opened_at = models.DateTimeField(help_text="Its first moment, UTC.")
    open_sol = PriceField(help_text="SOL per whole token, as all four.")
    high_sol = PriceField()
    low_sol = PriceField()
    close_sol = PriceField()
    open_usd = PriceField(null=True, help_text="USD per whole token, as all four.")
    high_usd = PriceField(null=True)
    low_usd = PriceField(null=True)
    close_usd = PriceField(null=True)
    ticks = models.PositiveIntegerField(help_text="How many prices it is made of.")
    last_tick = models.BigIntegerField(help_text="The newest tick in it.")

    class Meta:
        db_table = "candle"
        constraints = [models.UniqueConstraint(fields=["mint", "interval", "opened_at"], name="candle_one_per_time")]
        indexes = [models.Index(fields=["interval", "opened_at"], name="candle_interval_opened")]

    def __str__(self) -> str:
        return f"{self.mint} {self.interval} {self.opened_at:%Y-%m-%d %H:%M}"
