"""Books follow the chain by exactly the difference, in both directions, and count nothing twice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction

from apps.accounts.models import AuditEntry
from apps.core.money import SOL_MINT
from apps.prices.adapters import newest
from apps.prices.domain.points import SolUsd
from apps.prices.services import record_sol_usd
from apps.trading.services import wallet_reset
from apps.wallets import errors
from apps.wallets.adapters import chain
from apps.wallets.models import Balance, LedgerEntry, Transaction, Wallet
from apps.wallets.services import books, chain_deposits
from tests import factories
from tests.trading.closing import differences
from tests.wallets.chain import Chain

pytestmark = pytest.mark.django_db


@pytest.fixture
def nodes():
    told = Chain()
    chain.connect(told)
    yield told
    chain.connect(None)


@pytest.fixture
def wallet():
    return factories.make_wallet(factories.make_agent(sol=None), wallet_type="live")


def sol_of(wallet):
    return Balance.objects.get(wallet=wallet, mint=SOL_MINT).amount


def check(wallet):
    return chain_deposits.check_deposits(wallet=wallet, actor=None)


def test_a_withdrawal_seen_on_chain_is_booked_with_its_reason(nodes, wallet):
    factories.fund(wallet, "2")
    nodes.hold(wallet.address, "0.75")
    found = check(wallet)
    assert (found.before_sol, found.on_chain_sol, found.withdrawn_sol) == (2, Decimal("0.75"), Decimal("1.25"))
    assert found.deposited_sol is None
    row = Transaction.objects.get(pk=found.transaction_id)
    assert (row.transaction_type, row.origin, row.input_amount) == ("burn", "engine", Decimal("1.25"))
    entry = LedgerEntry.objects.get(transaction=row)
    assert (entry.reason, entry.delta) == ("withdrawal", Decimal("-1.25"))
    assert sol_of(wallet) == Decimal("0.75")
    assert AuditEntry.objects.get(action="wallet.withdrawal_seen").after["sol"] == "0.750000000"
    assert check(wallet).transaction_id is None
    assert differences() == []


def test_a_wallet_emptied_on_chain_is_empty_in_the_books(nodes, wallet):
    factories.fund(wallet, "2")
    assert check(wallet).withdrawn_sol == 2
    assert sol_of(wallet) == 0
    assert differences() == []


@pytest.mark.parametrize(
    ("on_chain", "deposited"),
    [("1.00001", None), ("1.000010001", Decimal("0.000010001")), ("1.000000001", None)],
)
def test_the_last_lamport_is_booked_and_dust_is_not_called_a_deposit(nodes, wallet, on_chain, deposited):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, on_chain)
    found = check(wallet)
    assert found.deposited_sol == deposited
    assert found.transaction_id is not None
    assert sol_of(wallet) == Decimal(on_chain)
    assert differences() == []


def test_dust_that_left_is_not_called_a_withdrawal(nodes, wallet):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, "0.99999")
    assert check(wallet).withdrawn_sol is None
    assert sol_of(wallet) == Decimal("0.99999")


def test_what_agrees_is_left_alone(nodes, wallet):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, "1")
    found = check(wallet)
    assert (found.change_sol, found.transaction_id) == (0, None)
    assert LedgerEntry.objects.count() == 1
    assert not AuditEntry.objects.exists()


def test_a_deposit_is_worth_dollars_only_while_sol_has_a_price(nodes, wallet):
    newest.forget()
    nodes.hold(wallet.address, "1")
    unknown = check(wallet)
    record_sol_usd(SolUsd(Decimal(150), datetime.now(UTC), "pyth"), tick=False)
    nodes.hold(wallet.address, "3")
    known = check(wallet)
    newest.forget()
    values = dict(Transaction.objects.values_list("pk", "value_usd"))
    assert values == {unknown.transaction_id: None, known.transaction_id: 300}


def test_a_node_behind_the_books_is_not_believed(nodes, wallet):
    nodes.hold(wallet.address, "1")
    check(wallet)
    slot = Wallet.objects.get(pk=wallet.pk).chain_slot
    assert slot == nodes.slot
    nodes.slot, nodes.asked = slot - 50, []
    nodes.hold(wallet.address, "0")
    with pytest.raises(errors.ChainUnavailable):
        check(wallet)
    assert nodes.asked == [(wallet.address, slot)]
    assert sol_of(wallet) == 1


def test_a_chain_that_does_not_answer_books_nothing(nodes, wallet):
    factories.fund(wallet, "1")
    nodes.fail()
    with pytest.raises(errors.ChainUnavailable):
        check(wallet)
    assert sol_of(wallet) == 1


def test_an_order_under_way_keeps_books_and_chain_from_being_compared(nodes, wallet):
    factories.fund(wallet, "5")
    token = factories.make_token()
    factories.fund(wallet, "100", mint=token.mint, symbol=token.symbol)
    Balance.objects.filter(wallet=wallet, mint=token.mint).update(held=1)
    nodes.hold(wallet.address, "4")
    with pytest.raises(errors.OrdersOpen):
        check(wallet)
    assert sol_of(wallet) == 5


def test_a_simulation_wallet_is_on_no_chain(nodes):
    wallet = factories.wallet_of(factories.make_agent())
    with pytest.raises(errors.NotALiveWallet):
        check(wallet)
    assert nodes.asked == []


def test_a_released_wallet_is_not_booked_into(nodes, wallet):
    nodes.hold(wallet.address, "1")
    nodes.before_answer = lambda: Wallet.objects.filter(pk=wallet.pk).update(released_at="2026-01-01T00:00:00Z")
    with pytest.raises(errors.WalletReleased):
        check(wallet)
    assert not LedgerEntry.objects.exists()


def test_a_fill_booked_while_the_chain_was_asked_is_not_taken_for_a_deposit(nodes, wallet):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, "1.5")

    def fill_lands_and_is_booked() -> None:
        nodes.before_answer = lambda: None
        factories.fund(wallet, "0.5")

    nodes.before_answer = fill_lands_and_is_booked
    found = check(wallet)
    assert (found.before_sol, found.transaction_id) == (Decimal("1.5"), None)
    assert len(nodes.asked) == 2
    assert sol_of(wallet) == Decimal("1.5")


def test_books_that_never_stand_still_are_left_alone(nodes, wallet):
    nodes.hold(wallet.address, "9")
    nodes.before_answer = lambda: factories.fund(wallet, "0.1") and None
    with pytest.raises(errors.WalletBusy):
        check(wallet)
    assert sol_of(wallet) == Decimal("0.3")


def test_a_reset_while_the_chain_was_asked_is_not_undone_by_the_answer(nodes, wallet):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, "3")

    def reset() -> None:
        nodes.before_answer = lambda: None
        wallet_reset.reset_wallet(wallet=wallet, actor=None)

    nodes.before_answer = reset
    found = check(wallet)
    assert (found.before_sol, found.transaction_id) == (3, None)
    assert sol_of(wallet) == 3
    assert differences() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("on_chain", ["3", "0.5"])
def test_many_callers_at_once_count_it_once(nodes, wallet, on_chain):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, on_chain)
    number, found = 4, []
    everybody_asked = threading.Barrier(number)

    def ask() -> None:
        try:
            found.append(check(wallet))
        finally:
            connection.close()

    def wait_for_the_others() -> None:
        """Only the first answers wait for one another; who asks again finds the books as they are."""
        if len(nodes.asked) <= number:
            everybody_asked.wait(60)

    nodes.before_answer = wait_for_the_others
    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == number
    assert sum(one.transaction_id is not None for one in found) == 1
    assert sol_of(wallet) == Decimal(on_chain)
    assert Transaction.objects.filter(wallet=wallet).count() == 2
    assert differences() == []


@pytest.mark.django_db(transaction=True)
def test_a_booking_that_holds_the_wallet_is_waited_for_and_counted(nodes, wallet):
    factories.fund(wallet, "1")
    nodes.hold(wallet.address, "1.5")
    booked, found = threading.Event(), []

    def ask() -> None:
        try:
            found.append(check(wallet))
        finally:
            connection.close()

    asker = threading.Thread(target=ask)
    nodes.before_answer = booked.set
    with transaction.atomic():
        books.lock_wallets([wallet.pk])
        factories.fund(wallet, "0.5")
        asker.start()
        assert booked.wait(60)
    asker.join()
    assert (found[0].before_sol, found[0].transaction_id) == (Decimal("1.5"), None)
    assert sol_of(wallet) == Decimal("1.5")
