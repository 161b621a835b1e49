"""From a signal to live positions: reserved in the booking's transaction, booked by the chain's word, given back."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.core.money import SOL_MINT
from apps.trading.models import Order, Position, SignalExecution
from apps.trading.services.live import settling
from apps.wallets.models import LedgerEntry, Transaction
from tests import factories
from tests.live import trading
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token()


def test_an_entry_of_a_live_wallet_is_reserved_and_books_nothing_yet(token):
    agent = trading.live_agent()

    signal = trading.send(agent.user, token)

    order = Order.objects.get()
    assert (order.status, order.purpose, order.side) == ("reserved", "entry", "buy")
    assert order.in_base_units == 10**9
    assert order.slot_held
    balance = factories.wallet_of(agent, "live").balances.get()
    assert balance.held == order.held_amount == Decimal("1.013")
    assert balance.amount == Decimal("8.987")
    agent.state.refresh_from_db()
    assert agent.state.open_positions == 1
    verdict = SignalExecution.objects.get()
    assert (verdict.verdict, verdict.signal_id, verdict.inputs["orderId"]) == ("pending", signal.pk, str(order.pk))
    assert not Position.objects.exists()
    assert differences() == []


def test_what_landed_is_booked_by_the_chain_with_each_fee_a_line_of_its_own(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    swap = trading.landed(order, tokens=7_654_321, lamports=999_000_000)

    assert settling.settle_landed([(order.pk, swap)]) == {order.pk}

    order.refresh_from_db()
    position = Position.objects.get()
    fees = trading.NETWORK + trading.PRIORITY + trading.TIP
    assert order.status == "landed"
    assert position.remaining_amount == Decimal(7_654_321).scaleb(-token.decimals)
    assert position.total_invested_sol == Decimal(999_000_000 + fees).scaleb(-9)
    assert trading.sol_lamports(agent) == 10 * 10**9 + swap.wallet_lamports_delta
    lines = LedgerEntry.objects.filter(transaction=order.transaction, mint=SOL_MINT).values_list("reason", "delta")
    assert {reason: int(delta.scaleb(9)) for reason, delta in lines} == {
        "swap": -999_000_000,
        "network_fee": -trading.NETWORK,
        "priority_fee": -trading.PRIORITY,
        "tip": -trading.TIP,
        "rent": -trading.RENT,
    }
    assert order.transaction.transaction_hash == swap.signature
    verdict = SignalExecution.objects.get()
    assert (verdict.verdict, verdict.position_id) == ("executed", position.pk)
    assert factories.wallet_of(agent, "live").chain_slot == swap.slot
    agent.state.refresh_from_db()
    assert agent.state.open_positions == 1
    assert differences() == []


def test_settling_again_changes_nothing(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    swap = trading.landed(order)
    settling.settle_landed([(order.pk, swap)])
    written = Transaction.objects.count(), LedgerEntry.objects.count()

    assert settling.settle_landed([(order.pk, swap)]) == {order.pk}
    assert settling.settle_ended([(order.pk, "expired", "EXPIRED")]) == set()

    assert (Transaction.objects.count(), LedgerEntry.objects.count()) == written
    assert Position.objects.count() == 1
    assert differences() == []


def test_an_order_that_fails_gives_back_funds_and_slot_and_the_verdict_says_why(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = Order.objects.get()

    assert settling.settle_ended([(order.pk, "failed", "BUILD_REFUSED", "no route")]) == {order.pk}

    order.refresh_from_db()
    assert (order.status, order.code, order.detail) == ("failed", "BUILD_REFUSED", "no route")
    assert factories.wallet_of(agent, "live").balances.get().amount == 10
    agent.state.refresh_from_db()
    assert agent.state.open_positions == 0
    verdict = SignalExecution.objects.get()
    assert (verdict.verdict, verdict.code) == ("failed", "BUILD_REFUSED")
    assert differences() == []


def test_an_entry_whose_signed_bytes_died_with_their_process_is_tried_again_as_an_order_of_its_own(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = Order.objects.get()

    assert settling.settle_ended([(order.pk, "failed", "ORDER_SIGNED", "signed before")]) == {order.pk}

    first, second = Order.objects.order_by("attempt")
    assert (first.pk, first.status, first.code) == (order.pk, "failed", "ORDER_SIGNED")
    assert (second.status, second.attempt, second.in_base_units) == ("reserved", 2, order.in_base_units)
    assert factories.wallet_of(agent, "live").balances.get().held == second.held_amount
    agent.state.refresh_from_db()
    assert agent.state.open_positions == 1
    assert SignalExecution.objects.get().verdict == "pending"
    assert differences() == []
