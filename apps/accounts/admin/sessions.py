"""Where people are signed in, in the API and in the admin: listed, ended one by one or several at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.enums import ActionVariant

from apps.accounts.models import AdminSession, RefreshFamily
from apps.accounts.operators import may_touch, operator_of
from apps.accounts.services import sessions
from apps.core.adminkit import base, buttons, cells, columns

REASON = "ended_by_operator"


class EndsSessions:
    """The buttons both kinds have; an administrator's session only an administrator ends."""

    actions_row = ("end",)
    actions_detail = ("end",)
    actions = ("end_selected",)
    model: Any

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        allowed = request.user.has_perm(f"accounts.change_{self.model._meta.model_name}")
        return allowed and may_touch(request, self.model.objects, object_id)

    @buttons.button(
        title="End session",
        description="It stops working at once; who had it must sign in again.",
        submit="End session",
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def end(self, request: HttpRequest, session: Any, _: dict[str, Any]) -> HttpResponse | str:
        ended = sessions.end(session=session, actor=operator_of(request), reason=REASON)
        sentence = f"The session of {session.user} {'has ended' if ended else 'had ended before'}."
        if isinstance(session, AdminSession):
            admin.ModelAdmin.message_user(self, request, sentence)  # type: ignore[arg-type]
            return buttons.go_to_list(self, request)
        return sentence

    @admin.action(description="End selected sessions", permissions=["operate"])
    def end_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        if not request.user.is_superuser:
            rows = rows.exclude(user__is_superuser=True)
        page = buttons.confirm_selected(
            self,
            request,
            rows,
            action="end_selected",
            title="End sessions",
            question="These sessions stop working at once; who had them must sign in again.",
            submit="End sessions",
        )
        if page is None:
            buttons.run_each(
                self,
                request,
                rows.select_related("user"),
                lambda row: sessions.end(session=row, actor=operator_of(request), reason=REASON),
                "{count} sessions have ended.",
            )
        return page


@admin.register(RefreshFamily)
class SessionAdmin(EndsSessions, base.ReadOnlyAdmin):
    """Sessions of the API."""

    list_display = (
        columns.link("user", "User", order="user__email"),
        columns.column("State", lambda row: session_badge(row), name="state", order="ended_at"),
        columns.column("From", lambda row: origin(row), name="origin"),
        columns.when("created_at", "Signed in"),
        columns.when("last_used_at", "Last used"),
        columns.when("expires_at", "Expires"),
        columns.when("ended_at", "Ended"),
    )
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "end_reason", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("user__email", "=id", "=address", "user_agent")
    search_help_text = "E-mail, address, browser or id"
    date_hierarchy = "created_at"
    ordering = ("-created_at", "id")
    fieldsets = (
        (None, {"fields": ("user", ("created_at", "last_used_at", "expires_at"), ("ended_at", "end_reason"))}),
        ("From", {"fields": ("address", "user_agent")}),
        ("Rotation", {"fields": ("id", ("highest_generation", "highest_first_used_at"))}),
    )


@admin.register(AdminSession)
class AdminSessionAdmin(EndsSessions, base.ReadOnlyAdmin):
    """Browsers that are signed in to the admin. A row is gone once its session has ended."""

    list_display = (
        columns.link("user", "User", order="user__email"),
        columns.column("From", lambda row: origin(row), name="origin"),
        columns.when("created_at", "Signed in"),
        columns.when("last_used_at", "Last used"),
        columns.when("expires_at", "Expires"),
    )
    fields = ("user", ("created_at", "last_used_at", "expires_at"), "address", "user_agent")
    list_filter = (("user", AutocompleteSelectFilter),)
    list_select_related = ("user",)
    search_fields = ("user__email", "=address", "user_agent")
    search_help_text = "E-mail, address or browser"
    ordering = ("-created_at", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AdminSession]:
        """Rows without a user are pages nobody signed in from."""
        return super().get_queryset(request).filter(expires_at__gt=timezone.now(), user__isnull=False)


def origin(row: RefreshFamily | AdminSession) -> SafeString:
    """Return where a sign-in came from: the address over the browser."""
    if not row.address and not row.user_agent:
        return cells.DASH
    program = format_html('<span class="sd-clip" title="{}">{}</span>', row.user_agent, row.user_agent)
    return cells.stacked(format_html("<span>{}</span>", row.address), program)


def session_badge(family: RefreshFamily) -> SafeString:
    if family.ended_at is not None:
        return cells.label(f"ended: {family.end_reason.replace('_', ' ')}" if family.end_reason else "ended")
    return cells.label("expired") if family.expires_at <= timezone.now() else cells.label("live", "success")
