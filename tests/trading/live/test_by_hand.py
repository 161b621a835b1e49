"""With one node nothing expires by itself; an operator may end such an order, unless the node knows better."""

from __future__ import annotations

import pytest
from django.test import Client
from solders.signature import Signature

from apps.accounts.models import AuditEntry
from apps.chain import nodes
from apps.trading.models import Order, OrderStatus
from apps.trading.services.live import by_hand
from apps.trading.services.live.by_hand import MayStillLand
from tests import factories
from tests.trading.closing import differences
from tests.trading.live.orders_world import Desk, becomes, books_equal_chain, driving, reserve_buy, until


@pytest.fixture
def one_node(desk: Desk, settings) -> Desk:
    settings.SOLANA_RPC_URLS, settings.SOLANA_WS_URLS = settings.SOLANA_RPC_URLS[:1], settings.SOLANA_WS_URLS[:1]
    nodes.forget_nodes()
    return desk


def lost(desk: Desk) -> Order:
    """Return a buy whose bytes went nowhere, with its last height long past."""
    agent, token = desk.agent(), desk.token()
    desk.market.fault("not_sent", "node_1")
    order = becomes(reserve_buy(agent, token), OrderStatus.SENT)
    desk.market.pass_slots(230)
    return becomes(order, OrderStatus.UNRESOLVED)


def test_with_one_node_an_order_stays_unresolved_until_an_operator_ends_it(one_node: Desk) -> None:
    actor = factories.make_operator()
    with driving(one_node):
        order = lost(one_node)
        until(lambda: Order.objects.get(pk=order.pk).code == "PAST_ITS_HEIGHT", "the height to pass")
        by_hand.declare_expired(order_id=order.pk, reason="the explorer does not know it", actor=actor)
    order.refresh_from_db()
    assert (order.status, order.code) == (OrderStatus.EXPIRED, "DECLARED_EXPIRED")
    assert AuditEntry.objects.get(action="order.declared_expired").actor == actor
    assert books_equal_chain(one_node, order.agent)
    assert differences() == []


def test_an_order_that_may_still_land_or_did_is_not_ended_by_hand(one_node: Desk) -> None:
    agent, token = one_node.agent(), one_node.token()
    with driving(one_node):
        final = becomes(reserve_buy(agent, token), OrderStatus.FINALIZED)
    for status, height, code in (
        (OrderStatus.FINALIZED, 1, "ORDER_NOT_UNRESOLVED"),
        (OrderStatus.UNRESOLVED, 10**9, "ORDER_LANDED"),
    ):
        Order.objects.filter(pk=final.pk).update(status=status, last_valid_block_height=height)
        with pytest.raises(MayStillLand) as refusal:
            by_hand.declare_expired(order_id=final.pk, reason="sure", actor=None)
        assert refusal.value.code == code
        final.refresh_from_db()
        assert final.status == status
    unknown = str(Signature.new_unique())
    Order.objects.filter(pk=final.pk).update(signature=unknown)
    with pytest.raises(MayStillLand) as refusal:
        by_hand.declare_expired(order_id=final.pk, reason="sure", actor=None)
    assert refusal.value.code == "ORDER_MAY_LAND"
    assert not AuditEntry.objects.filter(action="order.declared_expired").exists()


@pytest.mark.django_db
def test_the_page_of_an_order_tells_its_story_and_never_shows_its_bytes(client: Client) -> None:
    order = factories.make_order(factories.make_agent(), factories.make_token(), sealed_transaction=b"c2VhbGVk")
    client.force_login(factories.make_operator())
    page = client.get(f"/admin/trading/order/{order.pk}/change/", follow=True).content.decode()
    assert "Reserved" in page and "sd-story" in page
    assert "c2VhbGVk" not in page and "It never landed" not in page
