"""Webhooks of signals: set up, tried with a payload, given a new address; and the log of what was sent there.

What changes is `webhook_setup`'s work; what a payload would come to is `webhook_intake`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter
from unfold.enums import ActionVariant

from apps.accounts.operators import operator_of
from apps.core.adminkit import base, buttons, cells, columns
from apps.core.errors import SoldeskError
from apps.signals import webhook_intake, webhook_setup
from apps.signals.api.payloads import read_message
from apps.signals.domain.mapping import FIELDS
from apps.signals.forms import PLACES, TryForm, WebhookForm, constant_name, path_name
from apps.signals.models import Outcome, SignalWebhook, WebhookRequest

_PATH = "/api/v1/webhooks/signals/"
_EXCERPT = 90
TRY_TITLE = "Try a payload"
#: What a trial says: nothing has happened.
_WOULD = {
    Outcome.CREATED: "Would become this signal",
    Outcome.IGNORED: "Would be ignored",
    Outcome.DUPLICATE: "Would be a duplicate now",
    Outcome.INVALID: "Would be refused",
}


def _mapping_rows() -> list[tuple[str, str]]:
    return [(path_name(name), constant_name(name)) for name in FIELDS]


@admin.register(SignalWebhook)
class SignalWebhookAdmin(base.DeskAdmin):
    form = WebhookForm
    list_display = (
        "name",
        columns.flag("enabled", "Enabled"),
        columns.column("Address ends in", lambda row: f"{row.prefix}…", name="prefix", order="prefix"),
        columns.link("user", "For", order="user__email"),
        columns.count("received_count", "Requests"),
        columns.when("last_used_at", "Last request"),
        columns.when("created_at", "Made"),
    )
    list_filter = ("enabled", ("user", AutocompleteSelectFilter))
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__email")
    search_help_text = "Name, first characters of the token or e-mail"
    autocomplete_fields = ("user",)
    lines = ("prefix", "received_count", "last_used_at", "created_at")
    actions_detail: Sequence[Any] = ("try_payload", "rotate", "remove")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["fields"] = (
            ("user", "name", "enabled", "secret_path") if obj is None else ("name", "enabled", "secret_path")
        )
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return [
                (None, {"fields": [self.written(name) for name in ("name", "user", "enabled", "mapping", *self.lines)]})
            ]
        own: list[Any] = ["user", "name", "enabled"] if obj is None else ["name", "enabled", self.written("user")]
        facts = [] if obj is None else [self.written(name) for name in self.lines]
        return [
            (None, {"fields": [*own, *facts]}),
            (
                "Where a signal's fields stand in a message",
                {
                    "fields": _mapping_rows(),
                    "description": "Dotted paths into the JSON, like order.ticker or legs.0.side. Plain text has text,"
                    " words.0, words.1 … and lines.0 …",
                },
            ),
            ("Tables", {"fields": ["tickers", ("strengths", "ignore")]}),
            ("Who may send", {"fields": ["allowed_addresses", ("secret_path", "secret")]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (
            ()
            if obj is None
            else [self.written(name) for name in ("user", "mapping", *self.lines)]
            + ([] if self.has_change_permission(request, obj) else [self.written("name"), self.written("enabled")])
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A webhook is removed by its button, which asks and logs."""
        return False

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("signals.change_signalwebhook")

    def save_model(self, request: HttpRequest, obj: SignalWebhook, form: Any, change: bool) -> None:
        values = form.cleaned_data
        common = {
            "name": values["name"],
            "enabled": values["enabled"],
            "mapping": form.mapping(),
            "allowed_addresses": values["allowed_addresses"],
            "secret_path": values["secret_path"],
            "secret": values["secret"],
            "actor": operator_of(request),
        }
        if change:
            row = webhook_setup.update_webhook(webhook=obj, **common)
        else:
            row, token = webhook_setup.create_webhook(user=obj.user, **common)
            request.new_token = token  # type: ignore[attr-defined]  # for `response_add`, which shows it
        obj.__dict__.update(row.__dict__)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Answer with the new address itself: it is in no cookie, log or message."""
        return show_address(self, request, obj, request.new_token)  # type: ignore[attr-defined]

    @buttons.button(
        title=TRY_TITLE,
        description="Shows which signal a payload would make at this moment. Nothing is sent, nothing is kept.",
        submit="Try",
        form=TryForm,
        icon="science",
        variant=ActionVariant.PRIMARY,
    )
    def try_payload(self, request: HttpRequest, webhook: SignalWebhook, values: dict[str, Any]) -> HttpResponse:
        return show_preview(self, request, webhook, values["payload"])

    @buttons.button(
        title="New address",
        description="The present address stops working at once; the sender needs the new one, which is shown once.",
        submit="Make new address",
        icon="autorenew",
        variant=ActionVariant.WARNING,
    )
    def rotate(self, request: HttpRequest, webhook: SignalWebhook, _: dict[str, Any]) -> HttpResponse:
        row, token = webhook_setup.rotate_token(webhook=webhook, actor=operator_of(request))
        return show_address(self, request, row, token)

    @buttons.button(
        title="Remove",
        description="Its address stops working at once and its log goes. Signals it made stay.",
        submit="Remove webhook",
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, webhook: SignalWebhook, _: dict[str, Any]) -> HttpResponse:
        name = str(webhook)
        webhook_setup.delete_webhook(webhook=webhook, actor=operator_of(request))
        self.message_user(request, f"{name} is removed.")
        return buttons.go_to_list(self, request)


@admin.register(WebhookRequest)
class WebhookRequestAdmin(base.LongTableAdmin):
    list_display: Sequence[Any] = (
        columns.when("received_at", "Time", order="id"),
        columns.column(
            "Webhook", lambda row: cells.link(row.webhook, row.webhook.name), name="webhook", order="webhook__name"
        ),
        columns.badge("outcome", "Outcome", Outcome),
        columns.column("Why", lambda row: why(row), name="why"),
        columns.column("Signal", lambda row: cells.link(row.signal, f"#{row.signal_id}"), name="signal"),
        columns.column("Payload", lambda row: excerpt(row), name="excerpt"),
        columns.column("From", lambda row: row.address, name="address", order="address"),
    )
    list_filter = (("outcome", ChoicesCheckboxFilter), ("webhook", AutocompleteSelectFilter))
    list_select_related = ("webhook", "signal")
    search_fields = ("=code", "=address", "=request_id", "payload")
    search_help_text = "Code, address, whole id of the request, or what the payload says"
    fields = (
        "received_at",
        "webhook",
        "address",
        "outcome",
        "code",
        "detail",
        "signal",
        columns.column("Payload", lambda row: cells.document(row.payload), name="whole_payload"),
        "payload_bytes",
        "request_id",
    )
    actions_row = ("try_payload",)
    actions_detail = ("try_payload",)

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("signals.change_signalwebhook")

    @buttons.button(
        title="Try with this payload",
        description="Shows which signal it would make by the webhook's present mapping. Nothing is sent.",
        submit="Try",
        form=TryForm,
        icon="science",
    )
    def try_payload(self, request: HttpRequest, row: WebhookRequest, values: dict[str, Any]) -> HttpResponse:
        return show_preview(self, request, row.webhook, values["payload"])


def why(row: WebhookRequest) -> Any:
    """Return what an operator reads of a request that made no signal."""
    if not (row.code or row.detail):
        return cells.DASH
    return cells.label(row.code.replace("_", " ").lower() if row.code else row.detail, title=row.detail)


def excerpt(row: WebhookRequest) -> Any:
    if not row.payload:
        return cells.DASH
    return format_html('<code class="sd-excerpt">{}</code>', row.payload[:_EXCERPT])


def show_address(model_admin: base.DeskAdmin, request: HttpRequest, webhook: SignalWebhook, token: str) -> HttpResponse:
    """Show a webhook's new address, this once."""
    context = {
        "title": "The webhook's address",
        "webhook": webhook,
        "address": request.build_absolute_uri(_PATH + token),
        "back": cells.change_url(webhook),
    }
    response = _dialog_or_page(model_admin, request, "webhook_address", context)
    response["Cache-Control"] = "no-store"
    return response


def show_preview(
    model_admin: base.DeskAdmin, request: HttpRequest, webhook: SignalWebhook, payload: str
) -> HttpResponse:
    """Show what a payload would come to, over the form to try another."""
    try:
        found = webhook_intake.preview(webhook, read_message(payload.encode("utf-8", "replace"), "text/plain"))
    except SoldeskError as refusal:
        found = webhook_intake.Preview(Outcome.INVALID, code=refusal.code, detail=refusal.message)
    context = {
        "title": TRY_TITLE,
        "submit": "Try again",
        "webhook": webhook,
        "badge": cells.badge(found.outcome, _WOULD[found.outcome]),
        "found": found,
        "rows": [(PLACES[name][0], getattr(found.signal, name)) for name in FIELDS] if found.signal else [],
        "form": TryForm(initial={"payload": payload}, request=request, target=webhook),
        "back": cells.change_url(webhook),
    }
    return _dialog_or_page(model_admin, request, "webhook_preview", context)


def _dialog_or_page(
    model_admin: base.DeskAdmin, request: HttpRequest, template: str, context: dict[str, Any]
) -> TemplateResponse:
    if "HX-Request" in request.headers:
        return TemplateResponse(request, f"admin/soldesk/{template}_dialog.html", context)
    context = {**model_admin.admin_site.each_context(request), **context}
    return TemplateResponse(request, f"admin/soldesk/{template}.html", context)
