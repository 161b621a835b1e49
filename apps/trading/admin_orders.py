"""Live orders as the operator sees them, what is not resolved first; each with its story. Only one thing may be done.

`apps.trading.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter
from unfold.enums import ActionVariant

from apps.accounts.operators import operator_of
from apps.core.adminkit import base, buttons, cells, columns
from apps.trading import admin_order_cells as order_cells
from apps.trading.models import Order, OrderPurpose, OrderSide, OrderStatus
from apps.trading.services.live import by_hand

#: The moments of an order's life in the order they come, as an operator calls them.
_MOMENTS = (
    ("created_at", "Reserved", "muted"),
    ("built_at", "Built", "info"),
    ("signed_at", "Signed", "info"),
    ("first_sent_at", "Sent first", "info"),
    ("last_sent_at", "Sent last", "info"),
    ("landed_at", "Landed", "success"),
)
#: Signed bytes are the orders process's to open and to send, sealed or not. The signature is shown as a link.
_NOT_SHOWN = ("sealed_transaction", "signature")


class DeclareExpiredForm(buttons.ConfirmForm):
    """Why the operator is sure."""

    reason = forms.CharField(max_length=200, help_text="What you looked at, e.g. an explorer that does not know it.")

    @property
    def question(self) -> str:
        order: Any = self.target
        return f"Signature {order.signature}."


@admin.register(Order)
class OrderAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.badge("side", "Side", OrderSide),
        columns.token(),
        columns.badge("purpose", "Why", OrderPurpose),
        columns.badge("status", "Status", OrderStatus),
        columns.link("agent", "Agent", order="agent__name"),
        columns.count("attempt", "Attempt"),
        columns.column("Code", lambda row: cells.words([row.code] * bool(row.code)), name="code", order="code"),
        columns.count("sends", "Sends"),
        columns.address("signature", "Signature"),
        columns.when("created_at", "Reserved"),
        columns.when("ended_at", "Ended"),
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        ("side", ChoicesCheckboxFilter),
        ("purpose", ChoicesCheckboxFilter),
        ("agent", AutocompleteSelectFilter),
    )
    list_select_related = ("agent", "wallet")
    search_fields = ("=id", "symbol", "=mint", "=signature", "agent__name", "code")
    search_help_text = "Order, symbol, whole mint, signature, agent or code"
    date_hierarchy = "created_at"
    actions_detail = ("declare_expired",)
    fields = (
        columns.column("Story", lambda order: story_of(order), name="story"),
        columns.column("Money", lambda order: order_cells.money(order), name="money"),
        columns.column("Signature", lambda order: order_cells.signature(order.signature), name="linked_signature"),
        columns.column("Token safety", lambda order: order_cells.evidence(order), name="token_safety"),
        *(field.name for field in Order._meta.concrete_fields if field.name not in _NOT_SHOWN),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """What nobody knows the end of comes first."""
        unresolved = When(status=OrderStatus.UNRESOLVED, then=Value(0))
        return Case(unresolved, default=Value(1), output_field=IntegerField()).asc(), "-created_at", "id"

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the order of this page is unresolved, and this person may change orders."""
        if not request.user.has_perm("trading.change_order"):
            return False
        return object_id is None or Order.objects.filter(pk=object_id, status=OrderStatus.UNRESOLVED).exists()

    @buttons.button(
        title="It never landed",
        description=(
            "Ends the order as expired and gives back what it held. Look the signature up in an explorer first: if it"
            " did land, the wallet's books will differ from the chain. A node that knows it refuses this."
        ),
        submit="End the order",
        form=DeclareExpiredForm,
        icon="timer_off",
        variant=ActionVariant.DANGER,
    )
    def declare_expired(self, request: HttpRequest, order: Order, values: dict[str, Any]) -> str:
        by_hand.declare_expired(order_id=order.pk, reason=values["reason"], actor=operator_of(request))
        return f"The {order.side} of {order.symbol or order.mint} has ended; what it held is free again."


def story_of(order: Order) -> SafeString:
    """Return what happened to an order, oldest first, with how it ended or what it waits for."""
    items = [
        (colour, cells.when(at), title) for name, title, colour in _MOMENTS if (at := getattr(order, name)) is not None
    ]
    if order.ended_at is not None:
        status = OrderStatus(order.status)
        items.append((OrderStatus.colours()[status.value], cells.when(order.ended_at), str(status.label)))
    shown = format_html_join(
        "", '<li class="sd-story-{}"><div>{}</div><div><p><strong>{}</strong></p></div></li>', items
    )
    why = order_cells.why(order.code, order.detail) if order.code else ""
    return format_html('<ol class="sd-story">{}</ol><p>{}</p>', shown, why)
