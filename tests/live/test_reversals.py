"""What landed and is not on the finalized chain is taken back by compensating entries; its order goes on."""

from __future__ import annotations

import pytest

from apps.trading.models import ClosedTrade, ExitIntent, Order, OrderPurpose, Position, SignalExecution
from apps.trading.services import exit_runner
from apps.trading.services.live import reversing, settling
from apps.wallets.models import Transaction
from tests import factories
from tests.live import trading
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token(liquidity_sol="1000000")


def bought(token) -> Order:
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    settling.settle_landed([(order.pk, trading.landed(order))])
    order.refresh_from_db()
    return order


def test_a_buy_that_is_not_on_the_finalized_chain_is_sold_back_for_what_it_cost(token):
    order = bought(token)

    assert reversing.reverse_landed(order.pk)

    order.refresh_from_db()
    position = Position.objects.get()
    assert (order.status, order.transaction_id, order.fill) == ("unresolved", None, None)
    assert trading.sol_lamports(order.agent) == 10 * 10**9
    assert position.close_reason == "reversed"
    assert position.remaining_amount == position.realized_profit_sol == 0
    assert SignalExecution.objects.get().verdict == "pending"
    balance = factories.wallet_of(order.agent, "live").balances.get(mint="So11111111111111111111111111111111111111112")
    assert balance.held == order.held_amount > 1
    order.agent.state.refresh_from_db()
    assert order.agent.state.open_positions == 1
    assert differences() == []


def test_what_was_taken_back_may_land_after_all(token):
    order = bought(token)
    reversing.reverse_landed(order.pk)

    settling.settle_landed([(order.pk, trading.landed(order))])

    order.refresh_from_db()
    assert order.status == "landed"
    assert Position.objects.get(closed_at=None).purchase_transaction_id == order.transaction_id
    assert SignalExecution.objects.get().verdict == "executed"
    assert differences() == []


def test_what_was_taken_back_may_expire(token):
    order = bought(token)
    reversing.reverse_landed(order.pk)
    Order.objects.filter(pk=order.pk).update(attempt=3)

    settling.settle_ended([(order.pk, "expired", "EXPIRED")])

    assert trading.sol_lamports(order.agent) == 10 * 10**9
    assert SignalExecution.objects.get().verdict == "failed"
    order.agent.state.refresh_from_db()
    assert order.agent.state.open_positions == 0
    assert differences() == []


def test_a_sale_that_is_not_on_the_finalized_chain_leaves_a_position_that_is_still_to_be_sold(token):
    position = trading.hold(token)
    before = trading.sol_lamports(position.agent)
    trading.fire_stop(position)
    exit_runner.run_due()
    sale = trading.sign(Order.objects.get(purpose=OrderPurpose.CLOSE))
    settling.settle_landed([(sale.pk, trading.landed(sale))])
    assert ClosedTrade.objects.count() == 1

    reversing.reverse_landed(sale.pk)

    sale.refresh_from_db()
    again = Position.objects.get(closed_at=None)
    assert trading.sol_lamports(position.agent) == before
    assert (sale.status, sale.position_id) == ("unresolved", again.pk)
    assert again.remaining_amount == position.remaining_amount == sale.held_amount
    assert ExitIntent.objects.get(position=again).reason == "stop_loss"
    assert differences() == []

    settling.settle_ended([(sale.pk, "expired", "EXPIRED")])
    exit_runner.run_due()
    last = trading.sign(Order.objects.get(status="reserved"))
    settling.settle_landed([(last.pk, trading.landed(last))])
    again.refresh_from_db()
    assert again.close_reason == "stop_loss"
    assert differences() == []


def test_taking_back_twice_changes_nothing(token):
    order = bought(token)
    reversing.reverse_landed(order.pk)
    written = Transaction.objects.count()

    assert not reversing.reverse_landed(order.pk)

    assert Transaction.objects.count() == written
    assert differences() == []


def test_a_buy_whose_tokens_were_sold_since_is_not_taken_back_before_the_sale(token):
    position = trading.hold(token)
    buy = Order.objects.get()
    Order.objects.filter(pk=buy.pk).update(status="landed")
    trading.fire_stop(position)
    exit_runner.run_due()
    sale = trading.sign(Order.objects.get(purpose=OrderPurpose.CLOSE))
    settling.settle_landed([(sale.pk, trading.landed(sale))])

    with pytest.raises(reversing.NotReversible):
        reversing.reverse_landed(buy.pk)

    buy.refresh_from_db()
    assert buy.status == "landed"
    assert differences() == []
