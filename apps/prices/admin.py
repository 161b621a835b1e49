"""Tokens with their newest price, the ticks behind it, and the candles made of them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter

from apps.core.adminkit import base, cells, columns
from apps.prices.models import Candle, CandleInterval, Tick, Token

STALE_SECONDS = 10


@admin.register(Token)
class TokenAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.token(mint="mint", symbol="symbol"),
        "name",
        "decimals",
        columns.price("last_price_sol", "Price", order=""),
        columns.price("last_price_usd", "Price", unit="USD", order=""),
        columns.column(
            "Price age", lambda token: cells.age(token.last_tick_at, warn_after_seconds=STALE_SECONDS), name="num_age"
        ),
        columns.when("created_at", "First met"),
    )
    search_fields = ("symbol", "name", "=mint")
    search_help_text = "Symbol, name or whole mint"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        newest = Tick.objects.filter(mint=OuterRef("mint")).order_by("-id")
        return (
            super()
            .get_queryset(request)
            .annotate(
                last_price_sol=Subquery(newest.values("price_sol")[:1]),
                last_price_usd=Subquery(newest.values("price_usd")[:1]),
                last_tick_at=Subquery(newest.values("received_at")[:1]),
            )
        )


@admin.register(Tick)
class TickAdmin(base.LongTableAdmin):
    list_display = (
        "id",
        columns.address("mint", "Mint"),
        columns.price("price_sol", "Price"),
        columns.price("price_usd", "Price", unit="USD"),
        "source",
        columns.when("provider_at", "Provider's time"),
        columns.when("received_at", "Received"),
    )
    list_filter = ("source", ("received_at", RangeDateTimeFilter))
    search_fields = ("=mint",)
    search_help_text = "Whole mint"
    ordering = ("-id",)


@admin.register(Candle)
class CandleAdmin(base.LongTableAdmin):
    list_display = (
        "id",
        columns.address("mint", "Mint"),
        columns.badge("interval", "Interval", CandleInterval, order=""),
        columns.when("opened_at", "Opened", order=""),
        columns.price("open_sol", "Open", order=""),
        columns.price("high_sol", "High", order=""),
        columns.price("low_sol", "Low", order=""),
        columns.price("close_sol", "Close", order=""),
        columns.price("close_usd", "Close", unit="USD", order=""),
        columns.count("ticks", "Ticks", order=""),
    )
    list_filter = ("interval", ("opened_at", RangeDateTimeFilter))
    search_fields = ("=mint",)
    search_help_text = "Whole mint"
    ordering = ("-id",)
