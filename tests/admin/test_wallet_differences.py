"""Differences from the chain in the admin: adopted, ignored or written off by who may, each once and on the record."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry, User
from apps.wallets.models import LedgerEntry, Wallet, WalletDifference
from tests import factories
from tests.trading.closing import differences


@pytest.fixture
def row() -> WalletDifference:
    """Five tokens that nobody explains, in a live wallet that holds a SOL."""
    agent = factories.make_agent(sol=None)
    wallet = factories.make_wallet(agent, wallet_type="live")
    factories.fund(wallet, "1")
    found = WalletDifference.objects.create(
        wallet=wallet,
        epoch=1,
        mint=factories.mint_of("dust"),
        symbol="DUST",
        status="open",
        books_amount=0,
        chain_amount=5,
        slot=77,
        nodes="one, two",
    )
    Wallet.objects.filter(pk=wallet.pk).update(unreconciled_since=found.first_seen_at)
    return found


def press(client: Client, button: str, row: WalletDifference, **posted: object):
    return client.post(reverse(f"admin:wallets_walletdifference_{button}", args=[row.pk]), posted)


def status(row: WalletDifference) -> str:
    return WalletDifference.objects.get(pk=row.pk).status


def is_reconciled(row: WalletDifference) -> bool:
    return Wallet.objects.get(pk=row.wallet_id).unreconciled_since is None


def test_an_operator_adopts_with_the_cost_they_know(client: Client, operator: User, row: WalletDifference) -> None:
    page = client.get(reverse("admin:wallets_walletdifference_changelist")).content.decode()
    assert "DUST" in page
    assert "+5" in page
    assert press(client, "adopt", row, cost_sol="0.5").status_code == 302
    assert (status(row), is_reconciled(row)) == ("adopted", True)
    (entry,) = LedgerEntry.objects.filter(wallet=row.wallet, mint=row.mint)
    assert (entry.delta, entry.reason) == (Decimal(5), "deposit")
    logged = AuditEntry.objects.get(action="wallet.difference_adopted")
    assert logged.actor == operator
    assert Decimal(logged.before["books"]) == 0
    press(client, "adopt", row, cost_sol="0.5")
    assert LedgerEntry.objects.filter(wallet=row.wallet, mint=row.mint).count() == 1
    assert differences() == []


def test_an_operator_ignores_what_strangers_send(client: Client, operator: User, row: WalletDifference) -> None:
    assert press(client, "ignore", row).status_code == 302
    assert (status(row), is_reconciled(row)) == ("ignored", True)
    assert not LedgerEntry.objects.filter(mint=row.mint).exists()


def test_what_is_too_much_is_not_written_off(client: Client, operator: User, row: WalletDifference) -> None:
    answer = press(client, "write_off", row)
    assert "NOTHING_MISSING" in answer.content.decode()
    assert (status(row), is_reconciled(row)) == ("open", False)


def test_the_home_page_says_that_a_wallet_needs_a_person(client: Client, operator: User, row: WalletDifference) -> None:
    page = client.get(reverse("admin:index")).content.decode()
    assert reverse("admin:wallets_walletdifference_change", args=[row.pk]) in page
    assert "buys nothing until this is explained" in page
    WalletDifference.objects.update(status="suspected", told_at=None)
    assert "+5" not in client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("button", ["adopt", "ignore", "write_off"])
def test_who_may_only_look_ends_nothing(client: Client, row: WalletDifference, button: str) -> None:
    client.force_login(factories.make_user(is_staff=True))
    assert press(client, button, row).status_code == 403
    assert (status(row), is_reconciled(row)) == ("open", False)
    assert not LedgerEntry.objects.filter(mint=row.mint).exists()
