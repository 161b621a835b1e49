"""Webhook endpoints: made with a secret that is shown once, changed, tested, given a new secret, deleted.

What was sent to them is on the pages of `admin_deliveries`.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.enums import ActionVariant

from apps.accounts.operators import operator_of
from apps.core.adminkit import base, buttons, cells, columns
from apps.notify import admin_deliveries  # noqa: F401 - registers its pages
from apps.notify.domain import addresses
from apps.notify.forms import EndpointForm, NewEndpointForm
from apps.notify.models import SUBSCRIBABLE, DisabledReason, EventType, WebhookEndpoint
from apps.notify.services import endpoints


def state_of(endpoint: WebhookEndpoint) -> SafeString:
    """Return how an endpoint stands as a word."""
    if not endpoint.enabled:
        reason = endpoint.disabled_reason
        return cells.badge(DisabledReason(reason)) if reason else cells.label("off")
    if endpoint.failing_since is not None:
        since = f"Nothing was taken since {endpoint.failing_since:%d %b %H:%M} UTC"
        return cells.label("failing", "warning", title=since)
    return cells.label("working", "success") if endpoint.last_success_at else cells.label("not used yet", "info")


def address_of(endpoint: WebhookEndpoint) -> SafeString:
    """Return the host, with the whole address on hover: a path may be as secret as a key."""
    return format_html(
        '<span class="sd-mint" data-copy="{}" title="{}, click to copy">{}</span>',
        endpoint.url,
        endpoint.url,
        addresses.host_of(endpoint.url),
    )


def deliveries_link(endpoint: Any) -> SafeString:
    """Return the number of deliveries that wait, linked to all of the endpoint's."""
    query = urlencode({"endpoint__id__exact": endpoint.pk})
    url = f"{reverse('admin:notify_webhookdelivery_changelist')}?{query}"
    return format_html('<a class="sd-link" href="{}">{}</a>', url, f"{endpoint.pending} pending")


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(base.DeskAdmin):
    form = EndpointForm
    list_display = (
        columns.column(
            "Endpoint",
            lambda row: cells.stacked(
                format_html("<strong>{}</strong>", row.description or addresses.host_of(row.url)), address_of(row)
            ),
            name="endpoint",
            order="description",
        ),
        columns.column("State", state_of, name="state", order="enabled"),
        columns.link("user", "For", order="user__email"),
        columns.column("Hears of", lambda row: _events(row), name="hears"),
        columns.column("Deliveries", deliveries_link, name="deliveries", order="pending"),
        columns.when("last_success_at", "Last taken"),
        columns.when("last_failure_at", "Last failure"),
        columns.when("created_at", "Made"),
    )
    list_filter = ("enabled", "disabled_reason", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("description", "url", "user__email", "=id")
    search_help_text = "Description, address, e-mail or id"
    ordering = ("-created_at", "-id")
    fieldsets = (
        (None, {"fields": ("url", "description", "enabled")}),
        ("What it hears of", {"fields": ("events", "agent_ids")}),
        (
            "How it stands",
            {
                "fields": (
                    (columns.column("state", state_of, name="state"), "user"),
                    columns.column("deliveries", deliveries_link, name="deliveries"),
                    ("last_success_at", "last_failure_at"),
                    ("failing_since", "disabled_at"),
                    ("created_at", "previous_secret_until"),
                )
            },
        ),
    )
    lines = (
        "user",
        "last_success_at",
        "last_failure_at",
        "failing_since",
        "disabled_at",
        "created_at",
        "previous_secret_until",
    )
    actions_list = ("new_endpoint",)
    actions_row = ("test",)
    actions_detail = ("test", "rotate_secret", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        pending = Count("deliveries", filter=Q(deliveries__status="pending"))
        return super().get_queryset(request).select_related("user").annotate(pending=pending)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Endpoints are made by the list's button, which shows the secret."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An endpoint is removed by its button, which asks and logs."""
        return False

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("notify.change_webhookendpoint")

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        endpoints.update(endpoint_id=obj.pk, wish=form.wish(), actor=operator_of(request))

    @buttons.button(
        title="New endpoint",
        description="Its signing secret is shown once, when it is made.",
        submit="Make endpoint",
        form=NewEndpointForm,
        icon="webhook",
        variant=ActionVariant.PRIMARY,
    )
    def new_endpoint(self, request: HttpRequest, _: None, values: dict[str, Any]) -> HttpResponse:
        wish = endpoints.Wish(url=values["url"], description=values["description"], events=values["events"])
        endpoint, secret = endpoints.create(user=values["user"], wish=wish, actor=operator_of(request))
        return show_secret(self, request, endpoint, secret, "New webhook endpoint")

    @buttons.button(
        title="Send a test",
        description="Posts a ping event to the endpoint; what came of it is among its deliveries.",
        submit="Send ping",
        icon="send",
    )
    def test(self, request: HttpRequest, endpoint: WebhookEndpoint, _: dict[str, Any]) -> str:
        delivery = endpoints.send_test(endpoint_id=endpoint.pk, actor=operator_of(request))
        return f"A ping is on its way to {endpoint}: {delivery.message.event_id}."

    @buttons.button(
        title="New secret",
        description="The new secret is shown once. For 24 hours the former one signs too.",
        submit="Make new secret",
        icon="key",
        variant=ActionVariant.WARNING,
    )
    def rotate_secret(self, request: HttpRequest, endpoint: WebhookEndpoint, _: dict[str, Any]) -> HttpResponse:
        rotated, secret = endpoints.rotate_secret(endpoint_id=endpoint.pk, actor=operator_of(request))
        return show_secret(self, request, rotated, secret, "New signing secret")

    @buttons.button(
        title="Delete",
        description="The endpoint goes with all that was or should have been sent to it.",
        submit="Delete endpoint",
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, endpoint: WebhookEndpoint, _: dict[str, Any]) -> HttpResponse | str:
        name = str(endpoint)
        endpoints.delete(endpoint_id=endpoint.pk, actor=operator_of(request))
        messages.success(request, f"{name} is deleted.")
        return buttons.go_to_list(self, request)


def show_secret(
    model_admin: base.DeskAdmin, request: HttpRequest, endpoint: WebhookEndpoint, secret: str, title: str
) -> HttpResponse:
    """Show a signing secret, in the answer itself: it is in no cookie, log or message."""
    context = {
        "title": title,
        "secret": secret,
        "note": f"What is posted to {addresses.host_of(endpoint.url)} is signed with it (docs/webhooks.md).",
        "back": cells.change_url(endpoint),
    }
    if "HX-Request" in request.headers:
        response = TemplateResponse(request, "admin/soldesk/shown_once_dialog.html", context)
    else:
        context = {**model_admin.admin_site.each_context(request), **context}
        response = TemplateResponse(request, "admin/soldesk/shown_once.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _events(endpoint: WebhookEndpoint) -> SafeString:
    if set(endpoint.events) == set(SUBSCRIBABLE):
        return cells.label("everything")
    return cells.words([str(EventType(event).label) for event in endpoint.events])
