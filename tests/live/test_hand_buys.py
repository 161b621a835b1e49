"""Live buys by hand: ordered, waited for, and answered 202 with the order when they take longer."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection

from apps.trading.api import views
from apps.trading.errors import BuyPending, EntryRefused
from apps.trading.models import Order, OrderPurpose, Position
from apps.trading.services import hand_buys
from apps.trading.services.live import settling
from tests import factories
from tests.apiclient import api_of
from tests.live import trading
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token(liquidity_sol="1000000")


def soon(work) -> threading.Thread:
    """Do something with the order as soon as there is one, as the orders process would."""

    def wait() -> None:
        try:
            for _ in range(500):
                order = Order.objects.first()
                if order is not None:
                    return work(order)
                time.sleep(0.01)
        finally:
            connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_live_buy_by_hand_answers_with_what_landed(token):
    agent = trading.live_agent()
    process = soon(lambda order: settling.settle_landed([(order.pk, trading.landed(trading.sign(order)))]))

    result = hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=agent.user)
    process.join(60)

    order = Order.objects.get()
    assert (order.purpose, order.requested_by_id) == (OrderPurpose.MANUAL, agent.user.pk)
    assert result.transaction_hash == order.signature
    assert result.position_id == Position.objects.get().pk
    assert differences() == []


def test_a_live_buy_that_does_not_land_says_why(token):
    agent = trading.live_agent()
    process = soon(lambda order: settling.settle_ended([(order.pk, "failed", "BUILD_REFUSED")]))

    with pytest.raises(EntryRefused) as refused:
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=agent.user)
    process.join(60)

    assert (refused.value.code, refused.value.details["cause"]) == ("EXECUTION_FAILED", "BUILD_REFUSED")
    assert not Position.objects.exists()
    assert differences() == []


def test_a_live_buy_without_its_key_is_refused(token):
    agent = trading.live_agent(loaded=False)

    with pytest.raises(EntryRefused) as refused:
        hand_buys.buy_by_hand(agent=agent, token_address=token.mint, actor=agent.user)

    assert refused.value.code == "WALLET_NOT_LOADED"
    assert not Order.objects.exists()
    assert differences() == []


def test_the_api_answers_202_with_the_order_and_a_repeat_waits_for_the_same(token, monkeypatch):
    monkeypatch.setattr(views, "WAIT_SECONDS", 0.05)
    agent = trading.live_agent()
    api = api_of(agent.user)
    body, key = {"agentId": str(agent.pk), "tokenAddress": token.mint}, {"Idempotency-Key": "once"}

    first = api.post("/trades/execute", body, **key)
    again = api.post("/trades/execute", body, **key)

    order = trading.sign(Order.objects.get())
    assert (first.status, again.status) == (202, 202)
    assert first.json == again.json
    assert first.json["orderId"] == str(order.pk)
    settling.settle_landed([(order.pk, trading.landed(order))])
    done = api.post("/trades/execute", body, **key)
    assert done.status == 200
    assert done.json["transactionHash"] == order.signature
    assert Order.objects.count() == 1
    assert differences() == []


def test_waiting_for_an_order_ends_with_its_time(token):
    agent = trading.live_agent()
    trading.send(agent.user, token)

    with pytest.raises(BuyPending) as pending:
        hand_buys.wait_for_order(Order.objects.get().pk, timeout_seconds=0)

    assert pending.value.order_id == Order.objects.get().pk
    assert factories.wallet_of(agent, "live").balances.get().held > 1
