"""Signals, and sending one by hand. What became of them is on `apps.console.pages.signals`, which builds on this page.

`SignalDedup` has no page: its key is composite, which Django's admin cannot address, and its rows live a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.accounts.operators import operator_of
from apps.core.adminkit import base, buttons, cells, columns
from apps.prices.models import Token
from apps.signals import admin_webhooks as webhook_pages  # noqa: F401 - registers its pages
from apps.signals import services as signals
from apps.signals.models import SignalStatus, TradingSignal

MAX_STRENGTH = 5


class SendSignalForm(buttons.ConfirmForm):
    """A signal as a provider would send it, on behalf of a user."""

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True, agents__archived_at=None, agents__isnull=False)
        .distinct()
        .order_by("email"),
        label="For",
        help_text="Every agent of this user decides on it.",
        widget=UnfoldAdminSelectWidget,
    )
    token = forms.ModelChoiceField(
        Token.objects.order_by("symbol", "mint"),
        help_text="Tokens the desk has met. Others can be sent through the API.",
        widget=UnfoldAdminSelectWidget,
    )
    signal_type = forms.CharField(
        label="Type", max_length=50, initial="Manual Trigger", widget=UnfoldAdminTextInputWidget
    )
    signal_strength = forms.IntegerField(
        label="Strength",
        min_value=1,
        max_value=MAX_STRENGTH,
        initial=MAX_STRENGTH,
        help_text="1 to 5. The same token, type and strength is taken once a minute.",
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = getattr(self.target, "user_id", None)
        if owner is not None:
            self.fields["user"].initial = owner


@admin.register(TradingSignal)
class TradingSignalAdmin(base.ReadOnlyAdmin):
    list_display: Sequence[Any] = (
        "id",
        columns.token(mint="token_address", symbol="symbol"),
        "signal_type",
        columns.column("Strength", lambda row: "●" * row.signal_strength, name="strength", order="signal_strength"),
        columns.badge("status", "Status", SignalStatus),
        "source",
        columns.link("user", "For", order="user__email"),
        columns.when("created_at", "Received"),
        columns.column("Took", lambda row: _took(row), name="num_took"),
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        "signal_strength",
        "signal_type",
        ("user", AutocompleteSelectFilter),
    )
    list_select_related = ("user",)
    search_fields = ("=id", "symbol", "=token_address", "source", "signal_type")
    search_help_text = "Number, symbol, whole mint, source or type"
    date_hierarchy = "created_at"
    actions_list = ("send_test_signal",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("signals.add_tradingsignal")

    @buttons.button(
        title="Send test signal",
        description="The signal is real to the desk: agents that want it trade it.",
        submit="Send",
        form=SendSignalForm,
        icon="sensors",
        variant=ActionVariant.PRIMARY,
    )
    def send_test_signal(self, request: HttpRequest, _: None, values: dict[str, Any]) -> str:
        return send(request, values)


def send(request: HttpRequest, values: dict[str, Any]) -> str:
    """Record a test signal and tell so; the agent page's button does the same."""
    token: Token = values["token"]
    signal = signals.send_by_hand(
        user=values["user"],
        actor=operator_of(request),
        token_address=token.mint,
        symbol=token.symbol or None,
        signal_type=values["signal_type"],
        activation_reason=f"Sent by hand by {request.user}",
        signal_strength=values["signal_strength"],
        source="admin",
    )
    return f"Signal #{signal.pk} was sent: {signal.signal_type} {token} for {values['user']}."


def _took(signal: TradingSignal) -> Any:
    """How long it was until every agent had its verdict."""
    if signal.finished_at is None:
        return cells.DASH
    milliseconds = int((signal.finished_at - signal.created_at).total_seconds() * 1000)
    return cells.number(milliseconds, f"{milliseconds:,}", unit="ms")
