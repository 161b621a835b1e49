"""The audit log: who changed what, when, before and after. Only read; nobody can rewrite it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RangeDateTimeFilter, TextFilter

from apps.accounts import audit_cells
from apps.accounts.models import AuditEntry
from apps.core.adminkit import base, columns


class ActorKindFilter(admin.SimpleListFilter):
    """A person, or the system: commands and tasks."""

    title = "by whom"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("person", "A person"), ("system", "The system")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(actor__isnull=wanted == "system")


class ObjectFilter(TextFilter):
    """One object's history: `agent:<id>`, or an id alone. Every page's history button leads here."""

    title = "object"
    parameter_name = "object"

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        wanted = self.value()
        if not wanted:
            return queryset
        kind, separator, object_id = wanted.partition(":")
        if not separator:
            return queryset.filter(object_id=wanted.strip())
        return queryset.filter(object_type__in=audit_cells.types_of(kind), object_id=object_id.strip())


@admin.register(AuditEntry)
class AuditEntryAdmin(base.LongTableAdmin):
    list_display = (
        columns.when("at", "Time"),
        columns.column("Who", lambda row: audit_cells.actor_link(row), name="who", order="actor_label"),
        columns.column("What", lambda row: audit_cells.action_words(row), name="action", order="action"),
        columns.column("Which", lambda row: audit_cells.object_link(row), name="which", order="object_id"),
        columns.column("Changed", lambda row: audit_cells.changed_words(row), name="changed"),
    )
    list_filter = (
        ("actor", AutocompleteSelectFilter),
        ActorKindFilter,
        "action",
        "object_type",
        ObjectFilter,
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("actor_label", "action", "=object_id", "=request_id")
    search_help_text = "Who, what, whole id of the object or of the request"
    date_hierarchy = "at"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("at", columns.column("who", lambda row: audit_cells.actor_link(row), name="who")),
                    (
                        columns.column("what", lambda row: audit_cells.action_words(row), name="what"),
                        columns.column("which", lambda row: audit_cells.object_link(row), name="which"),
                    ),
                )
            },
        ),
        (
            "Change",
            {"fields": (columns.column("Change", lambda row: audit_cells.change_table(row), name="change"),)},
        ),
        (
            "Trace",
            {
                "fields": (
                    columns.column("history", lambda row: audit_cells.history_link(row), name="history"),
                    columns.column("request", lambda row: audit_cells.request_link(row), name="request"),
                )
            },
        ),
    )
