"""The feed's plumbing, to look at when it stands still: messages waiting to be published, and the stream counters."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.adminkit import base, columns
from apps.core.models import FeedStream, OutboxMessage, OutboxReader


class PublishedFilter(admin.SimpleListFilter):
    """Waiting or published."""

    title = "published"
    parameter_name = "published"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("no", "Waiting"), ("yes", "Published")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> QuerySet[OutboxMessage]:
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(published_at__isnull=wanted == "no")


@admin.register(OutboxMessage)
class OutboxAdmin(base.LongTableAdmin):
    list_display = (
        "id",
        "stream",
        columns.count("sequence", "Sequence"),
        "kind",
        columns.when("created_at", "Created"),
        columns.when("published_at", "Published"),
    )
    list_filter = (PublishedFilter, "kind")
    search_fields = ("stream", "kind")
    search_help_text = "Stream (agent:…, user:…, global) or kind"
    ordering = ("-id",)


@admin.register(FeedStream)
class FeedStreamAdmin(base.ReadOnlyAdmin):
    list_display = ("stream", columns.count("sequence", "Last sequence"))
    search_fields = ("stream",)


@admin.register(OutboxReader)
class OutboxReaderAdmin(base.ReadOnlyAdmin):
    list_display = ("name", columns.count("watermark", "Watermark"), columns.when("read_at", "Last looked"))
