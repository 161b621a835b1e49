"""The wallet's page: its balances, ledger and transactions; resetting, giving back and comparing with the chain."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.datasets import BaseDataset
from unfold.enums import ActionVariant

from apps.accounts.operators import operator_of
from apps.console.pages import tables
from apps.core import formatting
from apps.core.adminkit import buttons
from apps.trading.services import wallet_release, wallet_reset
from apps.wallets import admin as wallets
from apps.wallets.models import Balance, LedgerEntry, Transaction, Wallet
from apps.wallets.services import chain_deposits


class WalletBalances(tables.OwnedTable, wallets.BalanceAdmin):
    owner_path = "wallet"
    hidden_columns = ("wallet__agent", "wallet__wallet_type")


class WalletTransactions(tables.OwnedTable, wallets.TransactionAdmin):
    owner_path = "wallet"
    hidden_columns = ("agent",)


class WalletLedger(tables.OwnedTable, wallets.LedgerEntryAdmin):
    owner_path = "wallet"
    hidden_columns = ("wallet__agent",)


TABS = (
    tables.tab("Balances", Balance, WalletBalances),
    tables.tab("Transactions", Transaction, WalletTransactions),
    tables.tab("Ledger", LedgerEntry, WalletLedger),
)

admin.site.unregister(Wallet)


@admin.register(Wallet)
class WalletPage(wallets.WalletAdmin):
    actions_detail = ("deposit", "check_deposits", "reset", "unassign")

    def get_changeform_datasets(self, request: HttpRequest) -> list[type[BaseDataset]]:
        return tables.visible(request, TABS)

    def has_reset_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("wallets.change_wallet")

    @buttons.button(
        title="Reset wallet",
        description="Closes its positions without a sale, posts its balances out and begins a new epoch, empty. "
        "The old books stay as history.",
        submit="Reset wallet",
        icon="restart_alt",
        variant=ActionVariant.DANGER,
        permission="reset",
    )
    def reset(self, request: HttpRequest, wallet: Wallet, _: dict[str, Any]) -> str:
        ended = wallet_reset.reset_wallet(wallet=wallet, actor=operator_of(request))
        what = f"{ended.positions} positions, {ended.balances} balances and {ended.transactions} transactions"
        return f"The wallet {formatting.address(wallet.address)} of {wallet.agent} starts over; {what} stay behind."

    @buttons.button(
        title="Unassign",
        description="A live wallet only. As a reset, and the agent no longer has it: what it holds stays on the chain, "
        "and nobody watches it. The old books stay as history.",
        submit="Unassign wallet",
        icon="link_off",
        variant=ActionVariant.DANGER,
        permission="reset",
    )
    def unassign(self, request: HttpRequest, wallet: Wallet, _: dict[str, Any]) -> str:
        ended = wallet_release.unassign_wallet(wallet=wallet, actor=operator_of(request))
        return f"{formatting.address(wallet.address)} is free; {wallet.agent} left {ended.positions} positions behind."

    @buttons.button(
        title="Look for deposits",
        description="A live wallet only. Asks the chain what it holds and books what came or left without the desk.",
        submit="Ask the chain",
        icon="travel_explore",
        permission="reset",
    )
    def check_deposits(self, request: HttpRequest, wallet: Wallet, _: dict[str, Any]) -> str:
        found = chain_deposits.check_deposits(wallet=wallet, actor=operator_of(request))
        change = formatting.exact(found.change_sol)
        return f"The chain says {formatting.exact(found.on_chain_sol)} SOL; {change} SOL were booked."
