"""The orders process on the sandbox's nodes: an order goes from reserved to finalized, and is booked by the chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from solders.pubkey import Pubkey
from solders.signature import Signature
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from apps.agents.models import Agent, AgentState
from apps.trading.models import Order, OrderStatus, Position
from apps.trading.services.live import driving as live_driving
from apps.trading.services.live import resolving, running
from tests import factories
from tests.trading.closing import differences
from tests.trading.live.orders_world import (
    Desk,
    RunningDriver,
    becomes,
    books_equal_chain,
    driving,
    live_wallet,
    reserve_buy,
    status_of,
    until,
)


def test_a_buy_is_built_signed_sent_booked_by_the_chain_and_sealed_when_it_is_final(desk: Desk) -> None:
    agent, token = desk.agent(), desk.token()
    with driving(desk):
        order = becomes(reserve_buy(agent, token), OrderStatus.FINALIZED)
    assert desk.signer.signed == [str(order.pk)]
    assert order.signature is not None and order.fill is not None
    assert order.fill["swap_lamports"] == 10**8
    assert differences() == []


def test_each_log_line_about_an_order_names_the_signal_it_trades(desk: Desk) -> None:
    agent, token = desk.agent(), desk.token()
    signal = factories.make_signal(agent.user, factories.make_token(token.symbol, mint=token.mint))
    with capture_logs(processors=[merge_contextvars]) as lines, driving(desk):
        order = becomes(reserve_buy(agent, token, signal_id=signal.pk), OrderStatus.FINALIZED)
        until(lambda: any(line["event"] == "order_finalized" for line in lines), "the last line")
    told = [line for line in lines if line.get("order_id") == str(order.pk)]
    assert {"order_signed", "order_landed", "order_finalized"} <= {line["event"] for line in told}
    assert {line.get("signal_id") for line in told} == {signal.pk}


def landed_signatures(desk: Desk, agent: Agent) -> list[str]:
    """Every transaction that spent from the agent's wallet: airdrops are the faucet's."""
    wallet = Pubkey.from_string(live_wallet(agent).address)

    def own() -> list[str]:
        ledger = desk.market.ledger
        landed = (ledger.landed[signature] for signature in ledger.by_address.get(wallet, []))
        return [str(each.signature) for each in landed if each.transaction.message.account_keys[0] == wallet]

    return desk.market.call(own)


def is_decided(order: Order) -> bool:
    """Tell whether the desk believes the nodes' story, or has found that it proves nothing while they contradict."""
    now = Order.objects.get(pk=order.pk)
    decided = (OrderStatus.LANDED, OrderStatus.FINALIZED, OrderStatus.EXPIRED, OrderStatus.FAILED)
    return now.status in decided or (now.status, now.code) == (OrderStatus.UNRESOLVED, "EXPIRY_NOT_PROVEN")


@pytest.mark.parametrize(
    ("kind", "nodes", "options"),
    [
        ("answer_lost", ("node_1", "node_2"), {"methods": ["sendTransaction"], "times": 2}),
        ("not_sent", ("node_1", "node_2"), {"slots": 5, "times": 1}),
        ("history_lag", ("node_2",), {}),
        ("lying", ("node_2",), {"says": "nothing"}),
        ("wrong_height", ("node_1",), {"blocks": -400}),
        ("lying", ("node_1",), {"says": "failed"}),
        ("wrong_expiry", ("node_1",), {"blocks": -140}),
    ],
)
def test_whatever_a_node_does_a_buy_is_made_once_and_booked_as_the_chain_has_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str, nodes: tuple[str, ...], options: dict[str, Any]
) -> None:
    for pause in ("_PROOF_SECONDS", "_PUT_DOWN_SECONDS", "_FINALITY_SECONDS"):  # as short as the slots of these tests
        monkeypatch.setattr(live_driving, pause, 0.2)
    agent, token = desk.agent(), desk.token()
    desk.market.fault(kind, *nodes, **options)
    with driving(desk):
        order = reserve_buy(agent, token)
        if options.get("says") == "failed":  # until the height passes beyond which an order that nobody knows is over
            sent = becomes(order, OrderStatus.SENT, OrderStatus.UNRESOLVED, OrderStatus.LANDED, OrderStatus.FINALIZED)
            desk.market.wait_for(Signature.from_string(str(sent.signature)))
            desk.market.pass_slots(230)
        until(lambda: is_decided(order), "what the nodes say to be judged")
        desk.market.calm()
        order = becomes(order, OrderStatus.FINALIZED, OrderStatus.EXPIRED, OrderStatus.FAILED)
    assert order.status == OrderStatus.FINALIZED, (order.code, order.detail)
    assert landed_signatures(desk, agent) == [order.signature]
    assert books_equal_chain(desk, agent)


def test_what_landed_long_before_a_death_is_booked_though_one_node_knows_nothing_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "LONE_WORD_SECONDS", 0.5)
    monkeypatch.setattr(live_driving, "_PROOF_SECONDS", 0.2)
    agent, token = desk.agent(), desk.token()
    with driving(desk, services=replace(running.services(), settle_landed=_away)):
        order = becomes(reserve_buy(agent, token), OrderStatus.SENT, OrderStatus.UNRESOLVED)
        desk.market.wait_for(Signature.from_string(str(order.signature)))
    desk.market.fault("lying", "node_1", says="nothing")
    desk.market.pass_slots(230)  # by now the other one knows it from its history alone
    with driving(desk):
        becomes(order, OrderStatus.LANDED)
        desk.market.calm()
        becomes(order, OrderStatus.FINALIZED)
    assert landed_signatures(desk, agent) == [order.signature]
    assert books_equal_chain(desk, agent)
    assert differences() == []


def _away(_landed: object) -> set[UUID]:
    raise OperationalError("the database is away")


@pytest.mark.parametrize(
    ("kind", "told"),
    [("not_sent", ""), ("unknown_blockhash", "BlockhashNotFound")],
)
def test_what_can_land_no_more_is_proven_expired_and_everything_it_held_is_free_again(
    desk: Desk, kind: str, told: str
) -> None:
    agent, token = desk.agent(), desk.token()
    desk.market.fault(kind, "node_1", "node_2")
    with driving(desk):
        order = becomes(reserve_buy(agent, token), OrderStatus.SENT, OrderStatus.UNRESOLVED)
        desk.market.pass_slots(230)
        order = becomes(order, OrderStatus.EXPIRED)
    # Bytes that were taken and never sent may be refused too, when they are sent once more after their time.
    assert told in order.detail and ("BlockhashNotFound" in order.detail or not order.detail)
    assert landed_signatures(desk, agent) == []
    assert AgentState.objects.get(agent=agent).open_positions == 0
    assert books_equal_chain(desk, agent)
    assert differences() == []


def test_what_one_node_alone_says_landed_is_not_booked_before_the_other_had_its_time_and_never_for_good(
    desk: Desk,
) -> None:
    agent, token = desk.agent(), desk.token()
    desk.market.fault("not_sent", "node_1", "node_2")
    desk.market.fault("lying", "node_1", says="landed")
    with driving(desk):
        order = becomes(reserve_buy(agent, token), OrderStatus.SENT, OrderStatus.UNRESOLVED)
        desk.market.pass_slots(230)
        desk.market.fault("lying", "node_1", says="landed")
        until(lambda: status_of(order) == OrderStatus.UNRESOLVED, "the height to pass")
        assert Position.objects.filter(agent=agent).count() == 0
        desk.market.calm()
        order = becomes(order, OrderStatus.EXPIRED)
    assert books_equal_chain(desk, agent)


@pytest.mark.parametrize("after", ["reserved", "built", "signed", "sent", "landed"])
def test_a_process_that_dies_at_any_step_is_succeeded_by_one_that_finishes_what_it_began(
    desk: Desk, after: str
) -> None:
    agent, token = desk.agent(), desk.token()
    first = RunningDriver(desk.signer, stop_at=after)
    order = reserve_buy(agent, token)
    until(lambda: first.stopped_at == after, f"the first to reach {after}")
    first.die()
    assert status_of(order) == after
    with driving(desk):
        order = becomes(order, OrderStatus.FINALIZED)
    assert landed_signatures(desk, agent) == [order.signature]
    assert desk.signer.signed == [str(order.pk)]
    assert books_equal_chain(desk, agent)
    assert differences() == []


def test_two_processes_share_the_orders_and_none_is_driven_twice(desk: Desk) -> None:
    agents, token = [desk.agent() for _ in range(6)], desk.token()
    with driving(desk), driving(desk):
        orders = [reserve_buy(agent, token) for agent in agents]
        for order in orders:
            becomes(order, OrderStatus.FINALIZED)
    assert sorted(desk.signer.signed) == sorted(str(order.pk) for order in orders)
    for agent in agents:
        assert len(landed_signatures(desk, agent)) == 1
        assert books_equal_chain(desk, agent)
    assert differences() == []


def test_a_landing_that_a_fork_took_back_is_reversed_and_the_order_goes_on_to_its_true_end(desk: Desk) -> None:
    agent, token = desk.agent(), desk.token()
    first = RunningDriver(desk.signer, stop_at="landed")
    order = reserve_buy(agent, token)
    until(lambda: first.stopped_at == "landed", "the booking")
    first.die()
    order = becomes(order, OrderStatus.LANDED)
    assert Position.objects.filter(agent=agent, closed_at=None).exists()
    desk.market.roll_back(Signature.from_string(str(order.signature)))
    desk.market.pass_slots(230)
    with driving(desk):
        order = becomes(order, OrderStatus.EXPIRED)
    assert not Position.objects.filter(agent=agent, closed_at=None).exists()
    assert landed_signatures(desk, agent) == []
    assert books_equal_chain(desk, agent)
    assert differences() == []
