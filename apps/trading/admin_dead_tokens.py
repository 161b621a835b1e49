"""Tokens that seem dead: what speaks for it, since when, who holds them, and the operator's button to write them off.

`apps.trading.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from unfold.enums import ActionVariant

from apps.accounts.operators import operator_of
from apps.core import formatting
from apps.core.adminkit import base, buttons, cells, columns
from apps.trading.models import DeadToken, DeadTokenEnd, Position
from apps.trading.services import write_off


class WriteOffForm(buttons.ConfirmForm):
    """Tells what is lost and what speaks for it."""

    @property
    def question(self) -> str:
        token: Any = self.target
        stake = write_off.stake_of(token.mint)
        held = f"{_positions(stake.positions)} in {token}, {formatting.sol(stake.cost_sol)} SOL at cost"
        return f"{held}. {evidence_in_words(token)}"


def evidence_in_words(token: DeadToken) -> str:
    """Return what speaks for the token being dead, as a sentence."""
    if token.first_seen_at is None or token.last_seen_at is None:
        return "No check has found it dead so far."
    checks = "1 check" if token.checks == 1 else f"{formatting.count(token.checks)} checks"
    over = formatting.duration((token.last_seen_at - token.first_seen_at).total_seconds())
    why = token.last_code.replace("_", " ").lower()
    return f"{checks} over {over} found no price and no buyer, the last said: {why}."


def state_of(token: DeadToken) -> Any:
    """Return how it stands as a word: ended, suspected, dead, being written off."""
    if token.cleared_at is not None:
        return cells.badge(DeadTokenEnd(token.cleared_code))
    if token.write_off_requested_at is not None:
        return cells.label("to be written off", "danger")
    if token.checks == 0:
        return cells.label("suspected", "warning", title="No price for a minute; no check has counted yet")
    return cells.label("seems dead" if token.alerted_at is None else "dead", "danger")


def holders_of(token: Any) -> Any:
    """Return the number of open positions, linked to their list."""
    if not token.holders:
        return cells.count(0)
    url = f"{reverse('admin:trading_position_changelist')}?{urlencode({'q': token.mint})}"
    return format_html('<a class="sd-link" href="{}">{}</a>', url, cells.count(token.holders))


def age_of(token: DeadToken) -> Any:
    """Return how long the evidence spans."""
    if token.first_seen_at is None or token.last_seen_at is None:
        return cells.DASH
    return _span(token.first_seen_at, token.last_seen_at)


class EndedFilter(admin.SimpleListFilter):
    """What has ended is out of sight unless asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("ended", "Ended"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadToken]) -> QuerySet[DeadToken]:
        if self.value() == "ended":
            return queryset.exclude(cleared_at=None)
        return queryset if self.value() == "all" else queryset.filter(cleared_at=None)

    def choices(self, changelist: Any) -> Any:
        choices = list(super().choices(changelist))
        choices[0]["display"] = "Open"
        return iter(choices)


@admin.register(DeadToken)
class DeadTokenAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.token(),
        columns.column("State", state_of, name="state"),
        columns.count("checks", "Checks"),
        columns.column("Over", age_of, name="num_age", order="first_seen_at"),
        columns.column("Last check said", lambda row: cells.words([row.last_code] * bool(row.last_code)), name="code"),
        columns.column("Positions", holders_of, name="num_holders", order="holders"),
        columns.sol("cost_sol", "At cost"),
        columns.when("first_seen_at", "Since"),
        columns.when("last_seen_at", "Last seen dead"),
        columns.when("asked_at", "Last asked"),
    )
    fieldsets = (
        (None, {"fields": (("symbol", "mint"), columns.column("state", state_of, name="state"))}),
        (
            "Evidence",
            {
                "fields": (
                    ("checks", "last_code"),
                    ("first_seen_at", "last_seen_at"),
                    ("asked_at", "alerted_at"),
                )
            },
        ),
        (
            "Holders",
            {
                "fields": (
                    (
                        columns.column("open positions", holders_of, name="num_holders"),
                        columns.column("at cost", lambda row: cells.sol(row.cost_sol), name="num_cost"),
                    ),
                    ("write_off_requested_at", "write_off_requested_by"),
                    ("cleared_at", "cleared_code"),
                )
            },
        ),
    )
    list_filter = (EndedFilter,)
    search_fields = ("symbol", "=mint")
    search_help_text = "Symbol or whole mint"
    ordering = ("-checks", "mint")
    actions_row = ("write_off_now",)
    actions_detail = ("write_off_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadToken]:
        held = Position.objects.filter(mint=OuterRef("mint"), closed_at=None).order_by().values("mint")
        return (
            super()
            .get_queryset(request)
            .select_related("write_off_requested_by")
            .annotate(
                holders=Subquery(held.annotate(number=Count("id")).values("number")),
                cost_sol=Subquery(held.annotate(cost=Sum(F("remaining_cost_sol"))).values("cost")),
            )
        )

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("trading.change_deadtoken")

    @buttons.button(
        title="Write off now",
        description="Books what is left of every simulated position in this token as lost. This cannot be taken back.",
        submit="Write everything off",
        form=WriteOffForm,
        icon="skull",
        variant=ActionVariant.DANGER,
        path="write-off",
    )
    def write_off_now(self, request: HttpRequest, token: DeadToken, _: dict[str, Any]) -> str:
        stake = write_off.request(mint=token.mint, actor=operator_of(request))
        lost = f"{formatting.sol(stake.cost_sol)} SOL at cost"
        return f"{_positions(stake.positions)} in {token} ({lost}) are being written off, unless the token lives."


def _positions(number: int) -> str:
    return "1 position" if number == 1 else f"{formatting.count(number)} positions"


def _span(first: datetime, last: datetime) -> Any:
    seconds = (last - first).total_seconds()
    return cells.number(int(seconds), formatting.duration(seconds), exact=f"{first.isoformat()} to {last.isoformat()}")
