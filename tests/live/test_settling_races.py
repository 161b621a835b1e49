"""Settling under repeats and races: whatever happens at the same time, each order is booked once and audit is zero."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from apps.signals import services as signals
from apps.trading.domain import order_machine
from apps.trading.models import Order, Position, SignalExecution
from apps.trading.services import entries, exit_runner, wallet_reset
from apps.trading.services.live import settling
from apps.wallets.errors import OrdersOpen
from apps.wallets.models import Balance, Transaction
from tests import factories
from tests.live import trading
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token(liquidity_sol="1000000")


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run in threads with a connection each, begun together; return the results in their order."""
    gate, results = threading.Barrier(len(works)), [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        gate.wait(60)
        try:
            results[place] = work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, work)) for place, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_two_processes_that_settle_the_same_order_book_it_once(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    swap = trading.landed(order)

    results = at_once(*[lambda: settling.settle_landed([(order.pk, swap)])] * 4)

    assert results == [{order.pk}] * 4
    assert Transaction.objects.filter(transaction_hash=order.signature).count() == 1
    assert Position.objects.count() == 1
    assert differences() == []


def test_landing_and_expiry_told_at_once_book_one_of_them(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get(), order_machine.UNRESOLVED)
    swap = trading.landed(order)

    landed, expired = at_once(
        lambda: settling.settle_landed([(order.pk, swap)]),
        lambda: settling.settle_ended([(order.pk, "expired", "EXPIRED")]),
    )

    assert (landed == {order.pk}) != (expired == {order.pk})
    assert Position.objects.count() == len(landed)
    assert differences() == []


def test_a_booking_that_dies_before_its_commit_leaves_nothing_and_is_booked_when_it_is_asked_again(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    swap = trading.landed(order)

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settling.settle_landed([(order.pk, swap)])
        1 / 0  # noqa: B018 - the process dies here
    order.refresh_from_db()
    assert (order.status, Position.objects.count()) == ("sent", 0)
    assert differences() == []

    assert settling.settle_landed([(order.pk, swap)]) == {order.pk}
    assert differences() == []


def test_what_a_stale_process_says_of_an_order_that_went_on_is_left_alone(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    order = trading.sign(Order.objects.get())
    other = trading.landed(order)
    foreign = type(other)(**{**other.as_document(), "signature": "another"})

    assert settling.settle_ended([(order.pk, "failed", "BUILD_REFUSED")]) == set()
    assert settling.settle_landed([(order.pk, foreign)]) == set()

    order.refresh_from_db()
    assert order.status == "sent"
    assert SignalExecution.objects.get().verdict == "pending"
    assert differences() == []


def test_a_signal_is_traded_once_when_two_workers_take_it_at_once(token):
    agents = [trading.live_agent()]
    agents += [trading.live_agent(agents[0].user) for _ in range(4)]
    signal = signals.create_signal(
        user=agents[0].user,
        api_key=None,
        token_address=token.mint,
        symbol=token.symbol,
        signal_type="T",
        signal_strength=3,
    )

    at_once(lambda: entries.process_signal(signal.pk), lambda: entries.process_signal(signal.pk))

    assert Order.objects.count() == SignalExecution.objects.filter(verdict="pending").count() == 5
    assert differences() == []


def test_a_hundred_live_agents_are_reserved_and_settled_in_one_chunk(token, django_assert_max_num_queries):
    first = trading.live_agent()
    for _ in range(99):
        trading.live_agent(first.user)
    signal = trading.send(first.user, token)
    orders = [trading.sign(order) for order in Order.objects.all()]
    assert len(orders) == 100

    with django_assert_max_num_queries(60):
        settled = settling.settle_landed([(order.pk, trading.landed(order)) for order in orders])

    assert len(settled) == 100
    assert SignalExecution.objects.filter(signal=signal, verdict="executed").count() == 100
    assert differences() == []


def test_a_chunk_is_not_stopped_by_the_one_order_whose_books_cannot_take_it(token):
    good = trading.live_agent()
    poor = trading.live_agent(good.user)
    trading.send(good.user, token)
    orders = [trading.sign(order) for order in Order.objects.order_by("agent_id")]
    swaps = {order.pk: trading.landed(order) for order in orders}
    broke = next(order for order in orders if order.agent_id == poor.pk)
    swaps[broke.pk] = trading.landed(broke, lamports=50 * 10**9)

    settled = settling.settle_landed(swaps.items())

    assert settled == {order.pk for order in orders} - {broke.pk}
    broke.refresh_from_db()
    assert broke.status == "sent"
    assert differences() == []


def test_two_exit_passes_at_once_reserve_one_order(token):
    position = trading.hold(token)
    trading.fire_stop(position)

    at_once(exit_runner.run_due, exit_runner.run_due)

    assert Order.objects.filter(side="sell").count() == 1
    assert differences() == []


def test_a_wallet_with_an_order_under_way_is_not_reset(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)
    wallet = factories.wallet_of(agent, "live")
    before = list(Balance.objects.filter(wallet=wallet).values_list("amount", "held"))

    with pytest.raises(OrdersOpen):
        wallet_reset.reset_wallet(wallet=wallet, actor=agent.user)

    assert list(Balance.objects.filter(wallet=wallet).values_list("amount", "held")) == before
    assert factories.wallet_of(agent, "live").epoch == 1
    assert differences() == []
