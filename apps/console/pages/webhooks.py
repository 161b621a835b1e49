"""The page of a signal webhook with what was sent to it."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.datasets import BaseDataset

from apps.console.pages import tables
from apps.signals.admin_webhooks import SignalWebhookAdmin, WebhookRequestAdmin
from apps.signals.models import SignalWebhook, WebhookRequest


class ReceivedRequests(tables.OwnedTable, WebhookRequestAdmin):
    owner_path = "webhook"
    hidden_columns = ("webhook",)


TABS = (tables.tab("Requests", WebhookRequest, ReceivedRequests),)

admin.site.unregister(SignalWebhook)


@admin.register(SignalWebhook)
class WebhookPage(SignalWebhookAdmin):
    def get_changeform_datasets(self, request: HttpRequest) -> list[type[BaseDataset]]:
        return tables.visible(request, TABS)
