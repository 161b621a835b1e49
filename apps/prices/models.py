"""Tokens and the prices that were seen."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.functions import Now

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
