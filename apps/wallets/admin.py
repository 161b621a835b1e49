"""The books, read-only: wallets, balances, transactions, the ledger. Money moves through buttons, never by editing.

The keys of live wallets have pages of their own (`admin_keys`).

A wallet's reset is trading's use case; the wallet page of `apps.console` adds it to the one here.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesCheckboxFilter, RangeDateTimeFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.operators import operator_of
from apps.agents.models import TradingMode
from apps.core import formatting
from apps.core.adminkit import base, buttons, cells, columns
from apps.core.money import SOL_MINT
from apps.wallets import admin_differences as difference_pages  # noqa: F401 - registers its pages
from apps.wallets import admin_keys as live_key_pages  # noqa: F401 - registers its pages
from apps.wallets.admin_hand_rows import HandRowButtons
from apps.wallets.models import (
    Balance,
    LedgerEntry,
    LedgerReason,
    Origin,
    Transaction,
    TransactionType,
    Wallet,
)
from apps.wallets.services import deposits

MAX_DEPOSIT_SOL = Decimal(1_000_000)


class DepositForm(buttons.ConfirmForm):
    """How much simulated SOL to credit."""

    amount = forms.DecimalField(
        label="Amount",
        min_value=Decimal("0.000000001"),
        max_value=MAX_DEPOSIT_SOL,
        max_digits=16,
        decimal_places=9,
        initial=Decimal(10),
        error_messages={"min_value": "At least one lamport, 0.000000001 SOL."},
        help_text="Simulated SOL; booked as a deposit in ledger and transactions.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].widget = UnfoldAdminTextInputWidget(
            {"inputmode": "decimal", "suffix": "SOL", "autofocus": True}
        )


def sol_balance_of(wallet: str) -> Subquery:
    """Return the free SOL of the wallet an outer row names by `wallet`."""
    return Subquery(Balance.objects.filter(wallet=OuterRef(wallet), mint=SOL_MINT).values("amount")[:1])


def simulated_sol_of(agent: str) -> Subquery:
    """Return the free simulated SOL of the agent an outer row names by `agent`."""
    balances = Balance.objects.filter(
        wallet__agent=OuterRef(agent),
        wallet__wallet_type=TradingMode.SIMULATION,
        wallet__released_at=None,
        mint=SOL_MINT,
    )
    return Subquery(balances.values("amount")[:1])


@admin.register(Wallet)
class WalletAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.address("address", "Address"),
        columns.link("agent", "Agent", order="agent__name"),
        columns.badge("wallet_type", "Type", TradingMode),
        columns.sol("sol_amount", "SOL", order="sol_amount"),
        columns.count("epoch", "Epoch"),
        columns.column(
            "Assigned",
            lambda wallet: (
                cells.label("released", "muted") if wallet.released_at else cells.label("assigned", "success")
            ),
            name="assigned",
            order="released_at",
        ),
        columns.when("created_at", "Created"),
    )
    list_filter = (
        ("wallet_type", ChoicesCheckboxFilter),
        ("released_at", admin.EmptyFieldListFilter),
        ("agent", AutocompleteSelectFilter),
    )
    list_select_related = ("agent",)
    search_fields = ("address", "agent__name", "=id")
    search_help_text = "Address, agent or id"
    actions_detail: Sequence[Any] = ("deposit",)
    actions_row = ("deposit",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        return super().get_queryset(request).annotate(sol_amount=sol_balance_of("pk"))

    def has_operate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("wallets.change_wallet")

    @buttons.button(
        title="Deposit SOL",
        description="Credits simulated SOL to this wallet.",
        submit="Deposit",
        form=DepositForm,
        icon="add_card",
        variant=ActionVariant.PRIMARY,
    )
    def deposit(self, request: HttpRequest, wallet: Wallet, values: dict[str, Any]) -> str:
        return deposit_sol(request, wallet, values["amount"])


def deposit_sol(request: HttpRequest, wallet: Wallet, amount: Decimal) -> str:
    """Credit simulated SOL and tell so; the agent page's button does the same."""
    deposits.deposit(
        agent=wallet.agent, wallet=wallet, mint=SOL_MINT, symbol="SOL", amount=amount, actor=operator_of(request)
    )
    return f"{formatting.exact(amount)} SOL were deposited to {wallet.agent} ({formatting.address(wallet.address)})."


@admin.register(Balance)
class BalanceAdmin(base.ReadOnlyAdmin):
    list_display = (
        columns.token(),
        columns.amount("amount", "Free"),
        columns.amount("held", "Held"),
        columns.link("wallet__agent", "Agent", order="wallet__agent__name"),
        columns.badge("wallet__wallet_type", "Wallet", TradingMode),
        columns.when("updated_at", "Changed"),
    )
    list_filter = (
        ("wallet__wallet_type", ChoicesCheckboxFilter),
        ("wallet__agent", AutocompleteSelectFilter),
    )
    list_select_related = ("wallet__agent",)
    search_fields = ("symbol", "=mint", "wallet__agent__name", "wallet__address")
    search_help_text = "Symbol, whole mint, agent or wallet address"
    ordering = ("-updated_at", "id")


@admin.register(Transaction)
class TransactionAdmin(HandRowButtons, base.LongTableAdmin):
    list_display = (
        columns.when("transaction_time", "Time"),
        columns.badge("transaction_type", "Type", TransactionType),
        columns.link("agent", "Agent", order=""),
        columns.column("Out", lambda row: _leg_out(row), name="num_out"),
        columns.column("In", lambda row: _leg_in(row), name="num_in"),
        columns.column("Price", lambda row: cells.price(_token_price(row)), name="num_price"),
        columns.sol("network_fee_sol", "Network fee", order=""),
        columns.usd("value_usd", "Value", order=""),
        columns.column("Why", lambda row: _why(row), name="why"),
        columns.badge("origin", "Origin", Origin),
    )
    list_filter = (
        ("transaction_type", ChoicesCheckboxFilter),
        ("origin", ChoicesCheckboxFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
        "is_dca",
        "is_take_profit",
        ("agent", AutocompleteSelectFilter),
        ("transaction_time", RangeDateTimeFilter),
    )
    list_select_related = ("agent",)
    search_fields = (
        "=id",
        "input_symbol",
        "output_symbol",
        "=input_mint",
        "=output_mint",
        "=transaction_hash",
        "agent__name",
    )
    search_help_text = "Id, symbol, whole mint, transaction hash or agent"
    date_hierarchy = "transaction_time"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(base.LongTableAdmin):
    list_display = (
        "id",
        columns.when("created_at", "Time"),
        columns.link("wallet__agent", "Agent", order=""),
        columns.address("mint", "Mint"),
        columns.amount("delta", "Change", signed=True),
        columns.badge("reason", "Reason", LedgerReason),
        columns.count("epoch", "Epoch"),
        columns.column("Transaction", lambda row: cells.link(row.transaction, "open"), name="transaction"),
    )
    list_filter = (
        ("reason", ChoicesCheckboxFilter),
        ("wallet__agent", AutocompleteSelectFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_select_related = ("wallet__agent", "transaction")
    search_fields = ("=mint", "wallet__agent__name", "wallet__address", "=transaction__id")
    search_help_text = "Whole mint, agent, wallet address or transaction id"
    ordering = ("-id",)


def _leg_out(row: Transaction) -> Any:
    """What left the wallet. A deposit names what came in as its input, as the contract has it."""
    if row.transaction_type == TransactionType.DEPOSIT:
        return cells.DASH
    return cells.amount(row.input_amount, unit=row.input_symbol or "")


def _leg_in(row: Transaction) -> Any:
    if row.transaction_type == TransactionType.DEPOSIT:
        return cells.amount(row.input_amount, unit=row.input_symbol or "")
    return cells.amount(row.output_amount, unit=row.output_symbol or "")


def _token_price(row: Transaction) -> Decimal | None:
    """The price of what is not SOL."""
    return row.input_price if row.output_mint == SOL_MINT else row.output_price


def _why(row: Transaction) -> Any:
    names = [name for name, true in (("DCA", row.is_dca), ("take profit", row.is_take_profit)) if true]
    if row.corrects_id is not None:
        names.append("corrects another")
    if row.deleted_at is not None:
        names.append("taken back")
    return cells.words(names)
