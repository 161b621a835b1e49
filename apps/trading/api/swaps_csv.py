"""Closed trades as CSV, with prices in SOL or at a SOL price the caller gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from apps.core import csv_text
from apps.core.api.exports import Export
from apps.core.money import MONEY
from apps.trading.models import ClosedTrade

#: What clients of the dialect expect of a request that names no price of SOL.
DEFAULT_SOL_PRICE_USD = Decimal(100)
_COLUMNS = (
    "symbol",
    "mint",
    "amount",
    "purchase_price",
    "sale_price",
    "profit_sol",
    "profit_usd",
    "change_percent",
    "signal_id",
    "signal__signal_type",
    "signal__activation_reason",
)
_PRICE_PLACES = {"SOL": 10, "USD": 8}
_PROFIT_PLACES = {"SOL": 4, "USD": 2}


@dataclass(frozen=True, slots=True)
class _Columns:
    zone: tzinfo
    currency: str
    sol_price_usd: Decimal

    def header(self) -> Sequence[str]:
        unit = self.currency
        return (
            "Time",
            "Token Symbol",
            "Token Address",
            "Amount",
            f"Average Purchase Price ({unit})",
            f"Sale Price ({unit})",
            f"Profit / Loss ({unit})",
            "Change (%)",
            "Signal ID",
            "Signal Type",
            "Activation Reason",
        )

    def cells(self, row: Any) -> Sequence[str]:
        return (
            csv_text.moment(row.sale_time, self.zone),
            csv_text.text(row.symbol),
            csv_text.text(row.mint),
            csv_text.fixed(row.amount, 2),
            self._price(row.purchase_price),
            self._price(row.sale_price),
            csv_text.fixed(self._profit(row), _PROFIT_PLACES[self.currency], signed=True),
            f"{csv_text.fixed(row.change_percent, 2)}%",
            csv_text.MISSING if row.signal_id is None else str(row.signal_id),
            csv_text.text(row.signal__signal_type),
            csv_text.text(row.signal__activation_reason),
        )

    def _price(self, price_sol: Decimal) -> str:
        price = price_sol if self.currency == "SOL" else MONEY.multiply(price_sol, self.sol_price_usd)
        return csv_text.fixed(price, _PRICE_PLACES[self.currency])

    def _profit(self, row: Any) -> Decimal | None:
        """The profit as it was recorded: in US dollars it was known, or not, when the trade ended."""
        profit: Decimal | None = row.profit_sol if self.currency == "SOL" else row.profit_usd
        return profit


def export(
    rows: QuerySet[ClosedTrade], *, zone: str | None, currency: str | None, sol_price_usd: Decimal | None
) -> Export:
    """Return the export of these rows: times in an IANA zone, prices in `SOL` or, for anything else, in US dollars."""
    columns = _Columns(
        csv_text.zone(zone), "SOL" if currency == "SOL" else "USD", sol_price_usd or DEFAULT_SOL_PRICE_USD
    )
    return Export(
        name="agent-trades",
        rows=rows,
        oldest_by="sale_time",
        columns=_COLUMNS,
        header=columns.header(),
        cells=columns.cells,
    )
