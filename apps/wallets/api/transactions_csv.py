"""Transactions as CSV: every figure exact, as the books have it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from functools import partial
from typing import Any

from django.db.models import QuerySet

from apps.core import csv_text
from apps.core.api.exports import Export
from apps.wallets.models import Transaction

_HEADER = (
    "Time",
    "Transaction ID",
    "Type",
    "Value (USD)",
    "Input Symbol",
    "Input Address",
    "Input Amount",
    "Input Price (SOL)",
    "Output Symbol",
    "Output Address",
    "Output Amount",
    "Output Price (SOL)",
    "Slippage (%)",
    "Price Impact",
    "Protocol Fee (SOL)",
    "Network Fee (SOL)",
    "Other Fees (SOL)",
    "DCA",
    "Take Profit",
    "Signal ID",
    "Destination Address",
    "Transaction Hash",
    "Wallet Address",
)


_COLUMNS = (
    "transaction_type",
    "value_usd",
    "input_symbol",
    "input_mint",
    "input_amount",
    "input_price",
    "output_symbol",
    "output_mint",
    "output_amount",
    "output_price",
    "slippage_percent",
    "price_impact",
    "protocol_fee_sol",
    "network_fee_sol",
    "fees_sol",
    "is_dca",
    "is_take_profit",
    "signal_id",
    "destination_address",
    "transaction_hash",
    "wallet__address",
)


def export(rows: QuerySet[Transaction], zone: str | None) -> Export:
    """Return the export of these rows, with times in the IANA zone of that name."""
    return Export(
        name="agent-transactions",
        rows=rows,
        oldest_by="transaction_time",
        columns=_COLUMNS,
        header=_HEADER,
        cells=partial(_cells, csv_text.zone(zone)),
    )


def _cells(zone: tzinfo, row: Any) -> Sequence[str]:
    return (
        csv_text.moment(row.transaction_time, zone),
        str(row.id),
        row.transaction_type.upper(),
        csv_text.exact(row.value_usd),
        csv_text.text(row.input_symbol),
        csv_text.text(row.input_mint),
        csv_text.exact(row.input_amount),
        csv_text.exact(row.input_price),
        csv_text.text(row.output_symbol),
        csv_text.text(row.output_mint),
        csv_text.exact(row.output_amount),
        csv_text.exact(row.output_price),
        csv_text.exact(row.slippage_percent),
        csv_text.exact(row.price_impact),
        csv_text.exact(row.protocol_fee_sol),
        csv_text.exact(row.network_fee_sol),
        csv_text.exact(row.fees_sol),
        "Yes" if row.is_dca else "No",
        "Yes" if row.is_take_profit else "No",
        csv_text.MISSING if row.signal_id is None else str(row.signal_id),
        csv_text.text(row.destination_address),
        csv_text.text(row.transaction_hash),
        csv_text.text(row.wallet__address),
    )
