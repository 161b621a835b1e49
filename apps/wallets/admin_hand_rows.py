"""Buttons of transactions entered by hand: correct one, take one back. The page they belong to is in `admin`.

`ReasonForm` asks why; the answer is kept in the audit log. Closed trades entered by hand have the same buttons.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.operators import operator_of
from apps.core import formatting
from apps.core.adminkit import buttons
from apps.wallets.models import Origin, Transaction, TransactionType
from apps.wallets.services import hand_rows

LONGEST_REASON = 200
FIGURES = ("input_amount", "output_amount", "value_usd")


class ReasonForm(buttons.ConfirmForm):
    """Why something entered by hand is changed."""

    reason = forms.CharField(
        max_length=LONGEST_REASON, help_text="Kept in the audit log.", widget=UnfoldAdminTextInputWidget
    )


def figure(label: str, *, digits: int, places: int, unit: str, **options: Any) -> forms.DecimalField:
    """Return a field for a figure that keeps every digit: `digits` in all, `places` of them after the point."""
    return forms.DecimalField(
        label=label,
        max_digits=digits,
        decimal_places=places,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal", "suffix": unit}),
        **options,
    )


def fill(form: buttons.ConfirmForm, names: tuple[str, ...]) -> None:
    """Begin with what the row says now."""
    for name in names:
        value = getattr(form.target, name)
        form.fields[name].initial = None if value is None else formatting.exact(value)


class CorrectForm(ReasonForm):
    """What the movement really was."""

    input_amount = figure("Amount", digits=38, places=18, unit="", min_value=0)
    output_amount = figure("Received", digits=38, places=18, unit="", min_value=0)
    value_usd = figure("Value", digits=28, places=8, unit="USD", min_value=0, required=False)
    field_order = (*FIGURES, "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row: Any = self.target
        fill(self, FIGURES)
        self.fields["input_amount"].widget.attrs["suffix"] = row.input_symbol or ""
        self.fields["output_amount"].widget.attrs["suffix"] = row.output_symbol or ""
        if row.transaction_type != TransactionType.SWAP:
            del self.fields["output_amount"]


class TakeBackForm(ReasonForm):
    """Says what will be posted back."""

    @property
    def question(self) -> str:
        row: Any = self.target
        what = f"{formatting.amount(row.input_amount)} {row.input_symbol}"
        if row.transaction_type == TransactionType.SWAP:
            what += f" for {formatting.amount(row.output_amount)} {row.output_symbol}"
        return f"{row.get_transaction_type_display()} of {what}, {row.agent}."


class ByHandButtons:
    """What pages of rows entered by hand share. Each has a button `correct` and a button `take_back` of its own words.

    `service` corrects and takes back; `figures` are what a correction may change.
    """

    model: Any
    actions_detail = ("correct", "take_back")
    may_change: str
    figures: tuple[str, ...]
    service: Any

    def has_by_hand_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the row of this page is one that may be changed, and this person may change it."""
        if not request.user.has_perm(self.may_change):
            return False
        return bool(self.model.objects.filter(pk=object_id, origin=Origin.HAND, deleted_at=None).exists())

    def _correct(self, request: HttpRequest, row: Any, values: dict[str, Any]) -> None:
        changes = {name: value for name, value in values.items() if name in self.figures}
        self.service.correct(row=row, changes=changes, actor=operator_of(request), reason=values["reason"])

    def _take_back(self, request: HttpRequest, row: Any, values: dict[str, Any]) -> None:
        self.service.take_back(row=row, actor=operator_of(request), reason=values["reason"])


class HandRowButtons(ByHandButtons):
    """What an operator may do with a transaction entered by hand, on its page."""

    may_change = "wallets.change_wallet"
    figures = FIGURES
    service = hand_rows

    @buttons.button(
        title="Correct",
        description="What this did to the wallet is posted back, and what you say now is posted instead.",
        submit="Correct",
        form=CorrectForm,
        icon="edit",
        permission="by_hand",
    )
    def correct(self, request: HttpRequest, row: Transaction, values: dict[str, Any]) -> str:
        self._correct(request, row, values)
        return f"The {row.get_transaction_type_display().lower()} of {row.agent} was corrected."

    @buttons.button(
        title="Take back",
        description="What this did to the wallet is posted back. It is hidden from lists and kept for the audit.",
        submit="Take back",
        form=TakeBackForm,
        icon="undo",
        variant=ActionVariant.DANGER,
        permission="by_hand",
    )
    def take_back(self, request: HttpRequest, row: Transaction, values: dict[str, Any]) -> str:
        self._take_back(request, row, values)
        return f"The {row.get_transaction_type_display().lower()} of {row.agent} was taken back."
