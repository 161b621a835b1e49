"""What an operator does with rows entered by hand: corrects them and takes them back, and says why."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.core.money import SOL_MINT
from apps.trading.models import ClosedTrade
from apps.trading.services import hand_trades
from apps.trading.services.hand_trades import HandTrade
from apps.wallets.models import Balance, LedgerEntry, Transaction
from tests import factories
from tests.admin.test_buttons import logged, press, refused
from tests.trading.closing import differences

DEPOSIT = "wallets_transaction"
TRADE = "trading_closedtrade"


@pytest.fixture
def deposit(operator: User) -> Transaction:
    return factories.fund(factories.wallet_of(factories.make_agent(sol=None)), "2.5")


@pytest.fixture
def trade(operator: User) -> ClosedTrade:
    agent, at = factories.make_agent(), timezone.now()
    told = HandTrade(
        mint=factories.mint_of("WIF"),
        symbol="WIF",
        amount=Decimal(10),
        purchase_price=Decimal("0.1"),
        sale_price=Decimal("0.2"),
        change_percent=Decimal(100),
        profit_usd=Decimal(150),
        profit_sol=Decimal(1),
        purchase_time=at,
        sale_time=at,
    )
    return hand_trades.enter(agent=agent, wallet=factories.wallet_of(agent), trade=told, actor=None)


def sol() -> Decimal:
    return Balance.objects.get(mint=SOL_MINT).amount


def test_a_deposit_is_corrected_with_its_reason(client: Client, operator: User, deposit: Transaction) -> None:
    page = client.get(reverse(f"admin:{DEPOSIT}_correct", args=[deposit.pk])).content.decode()
    assert 'value="2.5"' in page and "output_amount" not in page
    told = press(client, f"{DEPOSIT}_correct", deposit.pk, input_amount="3.25", value_usd="", reason="typed wrongly")
    assert "was corrected" in told[0]
    assert sol() == Decimal("3.25")
    entry = logged("transaction.corrected", operator)
    assert (entry.before, entry.after) == (
        {"input_amount": "2.5"},
        {"input_amount": "3.25", "reason": "typed wrongly"},
    )
    assert differences() == []


def test_a_deposit_is_taken_back_with_its_reason(client: Client, operator: User, deposit: Transaction) -> None:
    assert "was taken back" in press(client, f"{DEPOSIT}_take_back", deposit.pk, reason="never happened")[0]
    assert sol() == 0
    assert logged("transaction.deleted", operator).after == {"reason": "never happened"}
    assert client.get(reverse(f"admin:{DEPOSIT}_take_back", args=[deposit.pk])).status_code == 403
    assert "taken back" in client.get(reverse(f"admin:{DEPOSIT}_changelist")).content.decode()
    assert differences() == []


def test_what_is_spent_is_not_taken_back(client: Client, operator: User, deposit: Transaction) -> None:
    factories.make_position(deposit.agent, factories.make_token())
    before = LedgerEntry.objects.count()
    assert "INSUFFICIENT_BALANCE" in refused(client, f"{DEPOSIT}_take_back", deposit.pk, reason="oops")
    assert "This field is required" in refused(client, f"{DEPOSIT}_take_back", deposit.pk, reason="")
    assert LedgerEntry.objects.count() == before
    assert Transaction.objects.get(pk=deposit.pk).deleted_at is None


def test_a_trade_entered_by_hand_is_corrected_and_taken_back(
    client: Client, operator: User, trade: ClosedTrade
) -> None:
    figures = {
        "amount": "1000",
        "purchase_price": "0.001",
        "sale_price": "0.003",
        "change_percent": "200",
        "profit_sol": "2",
        "profit_usd": "300",
    }
    assert "greater than zero" in refused(
        client, f"{TRADE}_correct", trade.pk, **{**figures, "sale_price": "0"}, reason="x"
    )
    press(client, f"{TRADE}_correct", trade.pk, **figures, reason="the receipt says so")
    trade.refresh_from_db()
    assert (trade.profit_sol, trade.sale_price) == (Decimal(2), Decimal("0.003"))
    assert logged("trade.corrected", operator).after["reason"] == "the receipt says so"
    press(client, f"{TRADE}_take_back", trade.pk, reason="somebody else's")
    trade.refresh_from_db()
    assert trade.deleted_at is not None
    assert logged("trade.deleted", operator).after == {"reason": "somebody else's"}
    assert differences() == []


def test_rows_of_the_engine_have_no_such_buttons(client: Client, operator: User) -> None:
    position = factories.make_position(factories.make_agent(), factories.make_token())
    closed = factories.close_position(position, proceeds="2")
    for name, row in ((DEPOSIT, position.purchase_transaction), (TRADE, closed)):
        page = client.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode()
        assert "Take back" not in page
        for button in ("correct", "take_back"):
            assert client.get(reverse(f"admin:{name}_{button}", args=[row.pk])).status_code == 403
            answer = client.post(reverse(f"admin:{name}_{button}", args=[row.pk]), {"reason": "x"})
            assert answer.status_code == 403


def test_rows_entered_by_hand_have_them(
    client: Client, operator: User, deposit: Transaction, trade: ClosedTrade
) -> None:
    for name, row in ((DEPOSIT, deposit), (TRADE, trade)):
        page = client.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode()
        assert "Take back" in page and "Correct" in page
