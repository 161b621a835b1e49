"""What lands where nobody waits for it any more, what only costs, and sales of what the chain says there is."""

from __future__ import annotations

import pytest

from apps.trading.models import ExitIntent, Order, OrderPurpose, OrderSide, Position, SignalExecution
from apps.trading.services import exit_lots, exit_quotes, exit_settling, wallet_reset
from apps.trading.services.live import settling
from apps.wallets.models import LedgerEntry
from tests import factories
from tests.live import trading
from tests.trading.closing import differences, stored

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token(liquidity_sol="1000000")


def reserve_with(position: Position, on_chain: int) -> None:
    """Reserve the due close of a position whose wallet was read again: it holds so many base units."""
    (lot,) = exit_lots.take(limit=10).orders
    exit_settling.settle_closes([exit_quotes.ReadCloses(lot, {position.mint: on_chain})])


def test_a_close_sells_no_more_than_the_chain_says_there_is(token):
    position = trading.hold(token)
    units = int(position.remaining_amount.scaleb(token.decimals))
    trading.fire_stop(position)

    reserve_with(position, units - 1_000)

    order = Order.objects.get(purpose=OrderPurpose.CLOSE)
    assert order.in_base_units == units - 1_000
    assert position.wallet.balances.get(mint=token.mint).amount * 10**token.decimals == 1_000
    assert differences() == []


def test_what_somebody_sent_to_the_wallet_is_not_sold_with_a_position(token):
    position = trading.hold(token)
    trading.fire_stop(position)

    reserve_with(position, 10**15)

    order = Order.objects.get(purpose=OrderPurpose.CLOSE)
    assert order.held_amount == position.remaining_amount


def test_a_close_of_tokens_the_chain_does_not_have_stays_due_and_says_so(token):
    position = trading.hold(token)
    intent = trading.fire_stop(position)

    reserve_with(position, 0)

    intent.refresh_from_db()
    assert (intent.status, intent.last_error) == ("due", "NOTHING_ON_CHAIN")
    assert not Order.objects.filter(side="sell").exists()
    assert differences() == []


def test_a_wallet_is_read_again_once_a_sale_of_it_has_failed(token):
    position = trading.hold(token)
    intent = trading.fire_stop(position)
    (first,) = exit_lots.take(limit=10).orders
    ExitIntent.objects.filter(pk=intent.pk).update(status="due", lease_until=None)
    (second,) = exit_lots.take(limit=10).orders

    assert (first.reads_chain, second.reads_chain) == (False, True)
    assert second.address == position.wallet.address


def test_a_reclaim_brings_its_rent_back_less_the_fee(token):
    agent = trading.live_agent()
    order = trading.sign(
        factories.make_order(
            agent, stored(token), side=OrderSide.SELL, purpose=OrderPurpose.RECLAIM, in_base_units=0, slippage_bps=0
        )
    )
    before = trading.sol_lamports(agent)
    swap = trading.landed(order, rent_lamports=-trading.RENT, priority_fee_lamports=0, tip_lamports=0)

    assert settling.settle_landed([(order.pk, swap)]) == {order.pk}

    order.refresh_from_db()
    assert order.status == "landed"
    assert trading.sol_lamports(agent) == before + trading.RENT - trading.NETWORK
    lines = LedgerEntry.objects.filter(transaction=order.transaction).values_list("reason", flat=True)
    assert sorted(lines) == ["network_fee", "rent"]
    assert differences() == []


def test_what_lands_after_the_wallet_was_reset_is_kept_as_history_and_moves_no_present_balance(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    settling.settle_ended([(order.pk, "expired", "EXPIRED")])
    again = Order.objects.get(status="reserved")
    settling.settle_ended([(again.pk, "failed", "BUILD_REFUSED")])
    wallet = factories.wallet_of(agent, "live")
    wallet_reset.reset_wallet(wallet=wallet, actor=agent.user)
    # Two nodes had lied together: what was proven to have expired is there after all.
    Order.objects.filter(pk=order.pk).update(status="unresolved", held_amount=0)

    assert settling.settle_landed([(order.pk, trading.landed(order))]) == {order.pk}

    order.refresh_from_db()
    assert (order.status, order.transaction.epoch) == ("landed", 1)
    assert order.transaction.transaction_hash == order.signature
    assert not Position.objects.exists()
    assert trading.sol_lamports(agent) == 0
    assert SignalExecution.objects.get().verdict == "failed"
    agent.state.refresh_from_db()
    assert agent.state.open_positions == 0
    assert differences() == []
