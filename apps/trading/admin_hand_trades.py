"""Buttons of closed trades entered by hand: correct one, take one back. The page they belong to is in `admin`."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from unfold.enums import ActionVariant

from apps.core import formatting
from apps.core.adminkit import buttons
from apps.trading.models import ClosedTrade
from apps.trading.services import hand_trades
from apps.wallets.admin_hand_rows import ByHandButtons, ReasonForm, figure, fill

FIGURES = ("amount", "purchase_price", "sale_price", "change_percent", "profit_sol", "profit_usd")


class CorrectTradeForm(ReasonForm):
    """What the trade really was; the figures are taken as they are given."""

    amount = figure("Amount", digits=38, places=18, unit="tokens", min_value=0)
    purchase_price = figure("Bought at", digits=40, places=24, unit="SOL")
    sale_price = figure("Sold at", digits=40, places=24, unit="SOL")
    change_percent = figure("Change", digits=20, places=8, unit="%")
    profit_sol = figure("Profit", digits=29, places=9, unit="SOL")
    profit_usd = figure("Profit in USD", digits=28, places=8, unit="USD")
    field_order = (*FIGURES, "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fill(self, FIGURES)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        for name in ("purchase_price", "sale_price"):
            if name in values and values[name] <= 0:
                self.add_error(name, "A price is greater than zero.")
        return values


class TakeBackTradeForm(ReasonForm):
    """Says what is about to be counted no more."""

    @property
    def question(self) -> str:
        row: Any = self.target
        return f"{row.symbol} of {row.agent}, {formatting.sol(row.profit_sol, signed=True)} SOL."


class HandTradeButtons(ByHandButtons):
    """What an operator may do with a closed trade entered by hand, on its page."""

    may_change = "trading.change_closedtrade"
    figures = FIGURES
    service = hand_trades

    @buttons.button(
        title="Correct",
        description="Figures of a trade entered by hand; no balance moves with them.",
        submit="Correct",
        form=CorrectTradeForm,
        icon="edit",
        permission="by_hand",
    )
    def correct(self, request: HttpRequest, row: ClosedTrade, values: dict[str, Any]) -> str:
        self._correct(request, row, values)
        return f"The trade in {row.symbol} of {row.agent} was corrected."

    @buttons.button(
        title="Take back",
        description="It is counted and listed no more, and kept for the audit log's sake.",
        submit="Take back",
        form=TakeBackTradeForm,
        icon="undo",
        variant=ActionVariant.DANGER,
        permission="by_hand",
    )
    def take_back(self, request: HttpRequest, row: ClosedTrade, values: dict[str, Any]) -> str:
        self._take_back(request, row, values)
        return f"The trade in {row.symbol} of {row.agent} was taken back."
