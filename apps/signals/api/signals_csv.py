"""Trading signals as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from functools import partial
from typing import Any

from django.db.models import QuerySet

from apps.core import csv_text
from apps.core.api.exports import Export
from apps.signals.models import TradingSignal

_HEADER = (
    "Signal ID",
    "Created At",
    "Signal Strength",
    "Token Symbol",
    "Token Address",
    "Trading Strategy",
    "Activation Reason",
    "Source",
    "Updated At",
)


_COLUMNS = (
    "signal_strength",
    "symbol",
    "token_address",
    "signal_type",
    "activation_reason",
    "source",
    "updated_at",
)


def export(rows: QuerySet[TradingSignal], zone: str | None) -> Export:
    """Return the export of these rows, with times in the IANA zone of that name."""
    return Export(
        name="trading-signals",
        rows=rows,
        oldest_by="created_at",
        columns=_COLUMNS,
        header=_HEADER,
        cells=partial(_cells, csv_text.zone(zone)),
    )


def _cells(zone: tzinfo, row: Any) -> Sequence[str]:
    return (
        str(row.id),
        csv_text.moment(row.created_at, zone),
        str(row.signal_strength),
        csv_text.text(row.symbol),
        csv_text.text(row.token_address),
        csv_text.text(row.signal_type),
        csv_text.text(row.activation_reason),
        csv_text.text(row.source),
        csv_text.moment(row.updated_at, zone),
    )
