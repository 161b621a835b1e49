"""Differences between live wallets' books and the chain, and what an operator does about them.

`apps.wallets.admin` imports this, so that Django finds it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter, RangeDateTimeFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.operators import operator_of
from apps.core import formatting
from apps.core.adminkit import base, buttons, cells, columns
from apps.core.money import SOL_MINT
from apps.wallets.models import DifferenceStatus, WalletDifference
from apps.wallets.services import differences


class AdoptForm(buttons.ConfirmForm):
    """What the tokens had cost, where that is known."""

    cost_sol = forms.DecimalField(
        label="Cost",
        required=False,
        min_value=Decimal(0),
        max_digits=29,
        decimal_places=9,
        help_text="What these tokens had cost altogether, in SOL. Leave it empty when it is unknown.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["cost_sol"].widget = UnfoldAdminTextInputWidget({"inputmode": "decimal", "suffix": "SOL"})
        if isinstance(self.target, WalletDifference) and self.target.mint == SOL_MINT:
            del self.fields["cost_sol"]


def _amount(row: WalletDifference) -> Any:
    sign = "+" if row.difference > 0 else ""
    return cells.label(f"{sign}{formatting.exact(row.difference)}", "warning" if row.difference > 0 else "danger")


@admin.register(WalletDifference)
class WalletDifferenceAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.link("wallet", "Wallet", order="wallet__address"),
        columns.address("mint", "Token"),
        "symbol",
        columns.badge("status", "Status", DifferenceStatus),
        columns.column("Difference", _amount, name="num_difference"),
        columns.column("Books", lambda row: formatting.exact(row.books_amount), name="num_books"),
        columns.column("Chain", lambda row: formatting.exact(row.chain_amount), name="num_chain"),
        "nodes",
        columns.when("first_seen_at", "First seen"),
        columns.when("last_seen_at", "Last seen"),
    )
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        ("wallet__agent", AutocompleteSelectFilter),
        ("first_seen_at", RangeDateTimeFilter),
    )
    list_select_related = ("wallet",)
    search_fields = ("wallet__address", "=mint", "symbol")
    search_help_text = "Wallet, whole mint or symbol"
    actions_detail = ("adopt", "ignore", "write_off")
    actions_row = ("adopt", "ignore", "write_off")

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("wallets.change_walletdifference")

    @buttons.button(
        title="Adopt",
        description="The books follow the chain: the difference is booked as a deposit, or as a withdrawal. Tokens "
        "become a plain balance that no rule sells. The wallet may buy again.",
        submit="Adopt",
        form=AdoptForm,
        icon="move_to_inbox",
        variant=ActionVariant.PRIMARY,
    )
    def adopt(self, request: HttpRequest, row: WalletDifference, values: dict[str, Any]) -> str:
        differences.adopt(difference=row, cost_sol=values.get("cost_sol"), actor=operator_of(request))
        return f"The books of {formatting.address(row.wallet.address)} say what the chain says."

    @buttons.button(
        title="Ignore",
        description="The books stay as they are, and the wallet may buy while the difference is exactly this amount: "
        "the right answer to tokens that strangers send.",
        submit="Ignore this amount",
        icon="visibility_off",
    )
    def ignore(self, request: HttpRequest, row: WalletDifference, _: dict[str, Any]) -> str:
        differences.ignore(difference=row, actor=operator_of(request))
        return f"{row} is left alone as long as it is this amount."

    @buttons.button(
        title="Write off",
        description="What is missing on chain is booked as burned: a loss. Only where the chain holds less.",
        submit="Write off",
        icon="local_fire_department",
        variant=ActionVariant.DANGER,
        path="write-off",
    )
    def write_off(self, request: HttpRequest, row: WalletDifference, _: dict[str, Any]) -> str:
        differences.write_off(difference=row, actor=operator_of(request))
        return f"{row} is written off."
