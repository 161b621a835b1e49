"""Tokens that seem dead: what speaks for it, since when, who holds them, and the operator's button to write them off.

`apps.trading.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from django.contrib import admin

from apps.core.adminkit import base, columns
from apps.trading.models import DeadToken


@admin.register(DeadToken)
class DeadTokenAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.token(),
        columns.count("checks", "Checks"),
        columns.when("last_seen_at", "Last check that counts"),
        columns.when("cleared_at", "Ended"),
    )
    search_fields = ("symbol", "=mint")
    search_help_text = "Symbol or whole mint"
