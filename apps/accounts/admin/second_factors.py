"""Second factors: who has one since when, and the reset for who lost it. Secrets and codes are shown to nobody.

django-otp's own pages, which show and edit secrets, are taken down.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.enums import ActionVariant

from apps.accounts.models import SecondFactor
from apps.accounts.operators import may_touch, operator_of
from apps.accounts.services import second_factor
from apps.core.adminkit import base, buttons, cells, columns

for _model in (TOTPDevice, StaticDevice):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(SecondFactor)
class SecondFactorAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.link("user", "User", order="user__email"),
        columns.column("State", lambda row: state_badge(row), name="state", order="confirmed"),
        columns.column("Recovery codes", lambda row: codes_left(row), name="num_codes"),
        columns.when("created_at", "Set up"),
        columns.when("last_used_at", "Last used"),
    )
    fields = (
        "user",
        columns.column("state", lambda row: state_badge(row), name="state"),
        columns.column("recovery codes left", lambda row: codes_left(row), name="codes"),
        ("created_at", "last_used_at"),
    )
    list_filter = ("confirmed", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("user__email",)
    search_help_text = "E-mail"
    ordering = ("user__email", "pk")
    actions_row = ("reset",)
    actions_detail = ("reset",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SecondFactor]:
        of_user = StaticToken.objects.filter(device__user=OuterRef("user")).order_by().values("device__user")
        return super().get_queryset(request).annotate(codes=Subquery(of_user.annotate(n=Count("pk")).values("n")))

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may press the button; an administrator's only an administrator resets."""
        allowed = request.user.has_perm("accounts.change_secondfactor")
        return allowed and may_touch(request, SecondFactor.objects, object_id)

    @buttons.button(
        title="Reset second factor",
        description="For who lost it: sign-in asks for the password alone again. Every session of the user ends.",
        submit="Reset second factor",
        icon="phonelink_erase",
        variant=ActionVariant.DANGER,
    )
    def reset(self, request: HttpRequest, factor: SecondFactor, _: dict[str, Any]) -> HttpResponse:
        second_factor.reset(user=factor.user, actor=operator_of(request))
        self.message_user(request, f"{factor.user} signs in without a second factor until a new one is set up.")
        return buttons.go_to_list(self, request)


def state_badge(row: SecondFactor) -> SafeString:
    if row.confirmed:
        return cells.label("on", "success")
    return cells.label("waits for its first code", "warning")


def codes_left(row: Any) -> SafeString:
    """Return how many recovery codes are left, marked when they run out."""
    if not row.confirmed:
        return cells.DASH
    left = row.codes or 0
    return cells.count(left) if left > 2 else cells.label(str(left), "warning")
