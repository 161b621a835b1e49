"""API keys: made once, shown once, revoked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.enums import ActionVariant

from apps.accounts.forms import NewKeyForm
from apps.accounts.models import ApiKey, Scope
from apps.accounts.operators import may_touch, operator_of
from apps.accounts.services import api_keys
from apps.core.adminkit import base, buttons, cells, columns


class ScopeFilter(admin.SimpleListFilter):
    """Keys that hold a scope."""

    title = "scope"
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Scope.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(scopes__contains=[wanted])


@admin.register(ApiKey)
class ApiKeyAdmin(base.ReadOnlyAdmin):
    list_display = (
        "name",
        columns.column("Begins with", lambda key: f"{key.prefix}…", name="prefix", order="prefix"),
        columns.link("user", "Acts for", order="user__email"),
        columns.words("scopes", "May"),
        columns.when("last_used_at", "Last used"),
        columns.column("Expires", lambda key: expiry(key), name="expires", order="expires_at"),
        columns.column("From", lambda key: origins(key), name="origins"),
        columns.when("created_at", "Made"),
    )
    list_filter = (
        ScopeFilter,
        ("last_used_at", admin.EmptyFieldListFilter),
        ("expires_at", admin.EmptyFieldListFilter),
        ("user", AutocompleteSelectFilter),
    )
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__email")
    search_help_text = "Name, first characters or e-mail"
    fields = ("name", "user", "prefix", "scopes", "allowed_ips", ("expires_at", "last_used_at"), "created_at")
    actions_list = ("new_key",)
    actions_row = ("revoke",)
    actions_detail = ("revoke",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may press the buttons; an administrator's keys only an administrator revokes."""
        return request.user.has_perm("accounts.change_apikey") and may_touch(request, ApiKey.objects, object_id)

    @buttons.button(
        title="New API key",
        description="The key is shown once, when it is made.",
        submit="Make key",
        form=NewKeyForm,
        icon="key",
        variant=ActionVariant.PRIMARY,
    )
    def new_key(self, request: HttpRequest, _: None, values: dict[str, Any]) -> HttpResponse:
        return show_new_key(self, request, values)

    @buttons.button(
        title="Revoke",
        description="The key stops working at once and cannot be brought back.",
        submit="Revoke key",
        icon="key_off",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, key: ApiKey, _: dict[str, Any]) -> HttpResponse | str:
        name = str(key)
        api_keys.delete(api_key=key, actor=operator_of(request))
        messages.success(request, f"The key {name} does not work any more.")
        return buttons.go_to_list(self, request)


def show_new_key(model_admin: base.DeskAdmin, request: HttpRequest, values: dict[str, Any]) -> HttpResponse:
    """Make a key and show it, in the answer itself: it is in no cookie, log or message."""
    row, secret = api_keys.create(
        user=values["user"],
        name=values["name"],
        scopes=values["scopes"],
        expires_at=values["expires_at"],
        allowed_ips=values["allowed_ips"],
        actor=operator_of(request),
    )
    context = {"api_key": row, "secret": secret, "title": "New API key", "back": cells.change_url(row)}
    if "HX-Request" in request.headers:
        response = TemplateResponse(request, "admin/soldesk/new_key_dialog.html", context)
    else:
        context = {**model_admin.admin_site.each_context(request), **context}
        response = TemplateResponse(request, "admin/soldesk/new_key.html", context)
    response["Cache-Control"] = "no-store"
    return response


def expiry(key: ApiKey) -> SafeString:
    if key.expires_at is None:
        return cells.label("never")
    return cells.label("expired", "danger") if key.expires_at <= timezone.now() else cells.when(key.expires_at)


def origins(key: ApiKey) -> SafeString:
    """Return where the key works from."""
    return cells.words(key.allowed_ips) if key.allowed_ips else cells.label("anywhere")
