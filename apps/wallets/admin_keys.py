"""Live keys as the signer reports them, and which users besides staff may assign them.

`apps.wallets.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from apps.accounts.models import User
from apps.accounts.operators import operator_of
from apps.core import formatting
from apps.core.adminkit import base, buttons, cells, columns
from apps.wallets.admin_signer import SignerButtons
from apps.wallets.models import KeySource, LiveKey, LiveKeyGrant, Network, Wallet
from apps.wallets.services import live_keys


class AllowForm(buttons.ConfirmForm):
    """Who is to be allowed; staff need no grant."""

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True, is_staff=False).order_by("email"),
        label="User",
        widget=UnfoldAdminSelectWidget,
        help_text="Staff may assign every key that is loaded.",
    )


@admin.register(LiveKey)
class LiveKeyAdmin(SignerButtons, base.ReadOnlyAdmin):
    list_display = (
        columns.address("address", "Address"),
        "name",
        columns.column("Money", lambda key: money_of(key), name="money", order="network"),
        columns.badge("source", "From", KeySource),
        columns.column(
            "State",
            lambda key: cells.label("loaded", "success") if key.loaded else cells.label("not loaded", "muted"),
            name="state",
            order="loaded",
        ),
        columns.column("Assigned to", lambda key: key.assigned_to or cells.DASH, name="assigned_to"),
        columns.count("users", "Users allowed", order="users"),
        columns.when("loaded_at", "Loaded"),
    )
    list_filter = (("network", ChoicesCheckboxFilter), ("source", ChoicesCheckboxFilter), "loaded")
    search_fields = ("=address", "name")
    search_help_text = "Whole address or name"
    actions_list = ("make_key", "unlock")
    actions_detail = ("allow", "lock", "export")
    actions_row = ("allow", "lock", "export")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LiveKey]:
        wallet = Wallet.objects.filter(address=OuterRef("address"), released_at=None)
        return (
            super()
            .get_queryset(request)
            .annotate(users=Count("grants"), assigned_to=Subquery(wallet.values("agent__name")[:1]))
        )

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("wallets.change_livekey")

    @buttons.button(
        title="Allow a user",
        description="They see this key and may assign it to their own agents.",
        submit="Allow",
        form=AllowForm,
        icon="person_add",
        variant=ActionVariant.PRIMARY,
    )
    def allow(self, request: HttpRequest, key: LiveKey, values: dict[str, Any]) -> str:
        live_keys.allow(key=key, user=values["user"], actor=operator_of(request))
        return f"{values['user']} may assign {formatting.address(key.address)} now."


def money_of(key: LiveKey) -> Any:
    """Whether the key's network has real money; which test network or chain it is, the header says."""
    real = key.network == Network.MAINNET
    return cells.label("real money", "danger") if real else cells.label("no real money", "info")


@admin.register(LiveKeyGrant)
class LiveKeyGrantAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.link("user", "User", order="user__email"),
        columns.link("key", "Key", order="key__address"),
        columns.when("created_at", "Allowed"),
    )
    list_filter = (("user", AutocompleteSelectFilter),)
    list_select_related = ("user", "key")
    search_fields = ("user__email", "=key__address", "key__name")
    actions_detail = ("withdraw",)
    actions_row = ("withdraw",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("wallets.change_livekeygrant")

    @buttons.button(
        title="Withdraw",
        description="The user no longer sees the key. Where it is assigned it stays assigned.",
        submit="Withdraw",
        icon="person_remove",
        variant=ActionVariant.DANGER,
    )
    def withdraw(self, request: HttpRequest, grant: LiveKeyGrant, _: dict[str, Any]) -> HttpResponse:
        live_keys.withdraw(grant=grant, actor=operator_of(request))
        self.message_user(request, f"{grant.user} may not assign {formatting.address(grant.key_id)} any more.")
        return buttons.go_to_list(self, request)
