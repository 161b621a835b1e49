"""Live orders as the operator sees them. Read-only: only the orders process writes them.

`apps.trading.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter

from apps.core.adminkit import base, columns
from apps.trading.models import Order, OrderPurpose, OrderSide, OrderStatus


@admin.register(Order)
class OrderAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.badge("side", "Side", OrderSide),
        columns.token(),
        columns.badge("purpose", "Why", OrderPurpose),
        columns.badge("status", "Status", OrderStatus),
        columns.link("agent", "Agent", order="agent__name"),
        columns.count("attempt", "Attempt"),
        columns.words("code", "Code"),
        columns.count("sends", "Sends"),
        columns.address("signature", "Signature"),
        columns.when("created_at", "Reserved"),
        columns.when("ended_at", "Ended"),
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        ("side", ChoicesCheckboxFilter),
        ("purpose", ChoicesCheckboxFilter),
        ("agent", AutocompleteSelectFilter),
    )
    list_select_related = ("agent", "wallet")
    search_fields = ("=id", "symbol", "=mint", "=signature", "agent__name", "code")
    search_help_text = "Order, symbol, whole mint, signature, agent or code"
    date_hierarchy = "created_at"
