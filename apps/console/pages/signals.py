"""The signal's page with what each agent decided, and its list with the verdicts counted."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.datasets import BaseDataset

from apps.console.pages import tables
from apps.core.adminkit import columns
from apps.signals.admin import SendSignalForm, TradingSignalAdmin, send
from apps.signals.models import TradingSignal
from apps.trading import admin as trading
from apps.trading.models import SignalExecution, Verdict

COUNTED = (Verdict.EXECUTED, Verdict.SKIPPED, Verdict.FAILED)

__all__ = ["SendSignalForm", "SignalPage", "send"]


class SignalExecutions(tables.OwnedTable, trading.SignalExecutionAdmin):
    owner_path = "signal"
    hidden_columns = ("signal", "signal__token_address")


TABS = (tables.tab("Verdicts", SignalExecution, SignalExecutions),)

admin.site.unregister(TradingSignal)


@admin.register(TradingSignal)
class SignalPage(TradingSignalAdmin):
    list_display = (
        *TradingSignalAdmin.list_display[:5],
        *(columns.count(f"{verdict}_count", str(verdict.label), order="") for verdict in COUNTED),
        *TradingSignalAdmin.list_display[5:],
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TradingSignal]:
        """Count verdicts by one subquery a column: they run for the rows of the page, not for the table."""
        verdicts = SignalExecution.objects.filter(signal=OuterRef("pk")).order_by().values("signal")
        counts = {
            f"{verdict}_count": Coalesce(
                Subquery(verdicts.annotate(found=Count("pk", filter=Q(verdict=verdict))).values("found")), 0
            )
            for verdict in COUNTED
        }
        return super().get_queryset(request).annotate(**counts)

    def get_changeform_datasets(self, request: HttpRequest) -> list[type[BaseDataset]]:
        return tables.visible(request, TABS)
