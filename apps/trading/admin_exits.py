"""What the watch wrote: exit intents, rises of stops, how far each shard's levels are stored. Read-only pages.

`apps.trading.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter, RangeDateTimeFilter

from apps.core.adminkit import base, cells, columns
from apps.trading import admin_figures as figures
from apps.trading.models import ExitIntent, IntentKind, IntentStatus, StopMove, WatchProgress


@admin.register(ExitIntent)
class ExitIntentAdmin(base.ReadOnlyAdmin):
    list_display = (
        "id",
        columns.link("position", "Position", order=""),
        columns.link("position__agent", "Agent", order="position__agent__name"),
        columns.badge("kind", "Kind", IntentKind),
        columns.column("Reason", lambda row: figures.intent_reason(row), name="reason", order="reason"),
        columns.badge("status", "Status", IntentStatus),
        columns.price("trigger_price_sol", "Fired at"),
        columns.count("attempts", "Attempts"),
        columns.column("Last error", lambda row: cells.words([row.last_error] * bool(row.last_error)), name="error"),
        columns.when("created_at", "Fired"),
        columns.when("finished_at", "Finished"),
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        "reason",
        ("kind", ChoicesCheckboxFilter),
        ("position__agent", AutocompleteSelectFilter),
    )
    list_select_related = ("position__agent",)
    search_fields = ("=id", "position__symbol", "=position__mint", "position__agent__name", "last_error")
    search_help_text = "Number, symbol, whole mint, agent or error"
    date_hierarchy = "created_at"


@admin.register(StopMove)
class StopMoveAdmin(base.LongTableAdmin):
    list_display = (
        "id",
        columns.link("position", "Position", order=""),
        columns.link("position__agent", "Agent", order=""),
        columns.price("peak_price_sol", "Peak", order=""),
        columns.percent("stop_percent", "Stop", toned=True, order=""),
        columns.price("stop_price_sol", "Stop price", order=""),
        "source",
        columns.when("price_at", "Price of", order=""),
        columns.when("created_at", "Stored", order=""),
    )
    list_filter = ("source", ("created_at", RangeDateTimeFilter))
    list_select_related = ("position__agent",)
    search_fields = ("position__symbol", "=position__mint", "position__agent__name", "=position__id")
    search_help_text = "Symbol, whole mint, agent or a position's id"
    ordering = ("-id",)


@admin.register(WatchProgress)
class WatchProgressAdmin(base.ReadOnlyAdmin):
    """A shard whose row stands still while prices come in is not being watched."""

    list_display = (
        "__str__",
        "shards",
        "shard",
        columns.count("tick_id", "Stored up to tick"),
        columns.when("updated_at", "Written"),
    )
    search_fields = ("=shard",)
    ordering = ("shards", "shard")
