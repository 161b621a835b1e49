"""What was, is and will be sent to endpoints: status, every attempt, what they answered, and the button to resend.

`apps.notify.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter, RangeDateTimeFilter
from unfold.enums import ActionVariant

from apps.accounts.operators import operator_of
from apps.core.adminkit import base, buttons, cells, columns
from apps.notify.models import DeliveryStatus, EventType, WebhookAttempt, WebhookDelivery, WebhookMessage
from apps.notify.services import endpoints

_LONG_EXCERPT = 160


def answer_of(row: WebhookDelivery | WebhookAttempt) -> SafeString:
    """Return what an attempt was answered with: the status, or why there was none."""
    error = row.last_error if isinstance(row, WebhookDelivery) else row.error
    if row.status_code is not None:
        code = row.status_code
        colour = "success" if code < 300 else "warning" if code < 500 else "danger"
        return cells.label(str(code), colour)
    return cells.label(error.replace("_", " "), "danger") if error else cells.DASH


def duration_of(row: WebhookDelivery | WebhookAttempt) -> SafeString:
    value = row.duration_ms
    return cells.DASH if value is None else cells.number(value, f"{value:,}", unit="ms")


def body_of(message: WebhookMessage) -> SafeString:
    """Return what is sent, readable."""
    return cells.document(json.loads(message.body))


def excerpt_of(text: str) -> SafeString:
    return format_html('<pre class="sd-json">{}</pre>', text) if text else cells.DASH


def attempt_table(delivery: WebhookDelivery) -> SafeString:
    """Return every attempt of a delivery, newest first."""
    attempts = list(delivery.attempt_log.all())
    if not attempts:
        return cells.DASH
    rows = format_html_join(
        "",
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
        (
            (
                item.number,
                cells.when(item.at),
                answer_of(item),
                duration_of(item),
                item.response_excerpt[:_LONG_EXCERPT] or "–",
            )
            for item in attempts
        ),
    )
    head = "<tr><th>#</th><th>When</th><th>Answer</th><th>Took</th><th>It said</th></tr>"
    return format_html('<table class="sd-log"><thead>{}</thead><tbody>{}</tbody></table>', _safe(head), rows)


def _safe(markup: str) -> SafeString:
    return SafeString(markup)


def _delivery_permission(request: HttpRequest) -> bool:
    return request.user.has_perm("notify.change_webhookdelivery")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(base.LongTableAdmin):
    list_display = (
        columns.column("Event", lambda row: _event(row), name="event", order="message__type"),
        columns.badge("status", "Status", DeliveryStatus),
        columns.column("Last answer", answer_of, name="answer", order="status_code"),
        columns.link("endpoint", "Endpoint", order="endpoint__description"),
        columns.count("attempts", "Attempts"),
        columns.column("Took", duration_of, name="num_took", order="duration_ms"),
        columns.when("due_at", "Next attempt"),
        columns.when("created_at", "Made"),
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        ("message__type", ChoicesCheckboxFilter),
        ("endpoint", AutocompleteSelectFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_select_related = ("endpoint", "message")
    search_fields = ("=id", "=message__event_id", "=order_key")
    search_help_text = "Whole id of the delivery or the event (msg_…)"
    ordering = ("-created_at", "-id")
    actions = ("resend_selected",)
    actions_row = ("resend",)
    actions_detail = ("resend",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    (
                        columns.column("event", lambda row: _event(row), name="event"),
                        columns.column("status", lambda row: cells.badge(DeliveryStatus(row.status)), name="state"),
                    ),
                    ("endpoint", columns.column("last answer", answer_of, name="answer")),
                    ("attempts", columns.column("took", duration_of, name="took")),
                    ("created_at", "delivered_at"),
                    ("due_at", "order_key"),
                )
            },
        ),
        (
            "Attempts",
            {"fields": (columns.column("attempts", attempt_table, name="attempt_table"),)},
        ),
        (
            "Last answer, its beginning",
            {"fields": (columns.column("answer", lambda row: excerpt_of(row.response_excerpt), name="excerpt"),)},
        ),
        ("What is sent", {"fields": (columns.column("body", lambda row: body_of(row.message), name="body"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return super().get_queryset(request).select_related("endpoint", "message")

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _delivery_permission(request)

    @buttons.button(
        title="Resend",
        description="Posts the same event again, now, with its own id: a receiver that has had it can tell.",
        submit="Resend",
        icon="replay",
        variant=ActionVariant.PRIMARY,
    )
    def resend(self, request: HttpRequest, delivery: WebhookDelivery, _: dict[str, Any]) -> str:
        endpoints.resend(delivery_id=delivery.pk, actor=operator_of(request))
        return f"{delivery.message.event_id} is on its way to {delivery.endpoint} again."

    @admin.action(description="Resend selected", permissions=["operate"])
    def resend_selected(self, request: HttpRequest, rows: QuerySet[WebhookDelivery]) -> HttpResponse | None:
        page = buttons.confirm_selected(
            self,
            request,
            rows,
            action="resend_selected",
            title="Resend deliveries",
            question="Each is posted again, now, with its own event id.",
            submit="Resend",
        )
        if page is not None:
            return page
        actor = operator_of(request)
        buttons.run_each(
            self,
            request,
            rows,
            lambda row: endpoints.resend(delivery_id=row.pk, actor=actor),
            "{count} deliveries are on their way again.",
        )
        return None


@admin.register(WebhookMessage)
class WebhookMessageAdmin(base.LongTableAdmin):
    list_display = (
        columns.badge("type", "Event", EventType),
        columns.column("Id", lambda row: cells.address(row.event_id), name="event_id"),
        columns.column("For", lambda row: cells.link(row.user) if row.user_id else "everybody", name="for"),
        columns.when("occurred_at", "Happened"),
        columns.when("created_at", "Read"),
    )
    list_filter = (("type", ChoicesCheckboxFilter), ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("=event_id",)
    search_help_text = "Whole id of the event (msg_…)"
    ordering = ("-id",)
    fields = (
        ("type", "event_id"),
        ("user", "agent_id"),
        ("occurred_at", "created_at"),
        "outbox_id",
        columns.column("what is sent", body_of, name="what_is_sent"),
    )


@admin.register(WebhookAttempt)
class WebhookAttemptAdmin(base.LongTableAdmin):
    list_display = (
        columns.when("at", "When"),
        columns.column("Answer", answer_of, name="answer", order="status_code"),
        columns.link("delivery", "Delivery", order=""),
        columns.count("number", "Attempt"),
        columns.column("Took", duration_of, name="num_took", order="duration_ms"),
    )
    list_filter = ("error",)
    list_select_related = ("delivery__message", "delivery__endpoint")
    search_fields = ("=delivery__id",)
    search_help_text = "Whole id of the delivery"
    ordering = ("-id",)
    fields = (
        ("delivery", "number"),
        ("at", columns.column("took", duration_of, name="took")),
        (columns.column("answer", answer_of, name="answer"), "error"),
        columns.column("it said", lambda row: excerpt_of(row.response_excerpt), name="excerpt"),
    )


def _event(row: WebhookDelivery) -> SafeString:
    event = EventType(row.message.type)
    return cells.stacked(cells.badge(event, str(event.value)), cells.address(row.message.event_id))
