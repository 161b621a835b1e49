"""Evidence that a held token is dead. Writing its positions off is `services.write_off`."""

from __future__ import annotations

from django.db import models

from apps.core.enums import Badge
from apps.core.fields import MintField


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
