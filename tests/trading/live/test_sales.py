"""Sales on the sandbox's chain, reclaims of rent, and the ways to build and land that are not the usual one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from structlog.testing import capture_logs

from apps.agents.models import Agent
from apps.sandbox.exchange.tampering import tampered
from apps.sandbox.faults import FaultKind
from apps.trading.models import ExitIntent, Order, OrderPurpose, OrderSide, OrderStatus, Position
from apps.trading.services import exit_intents, exit_runner
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.live import driver, reclaims, swap_bytes
from apps.trading.services.live.swap_bytes import UnusableSwap
from tests.sandbox.exchange.desk import open_desk
from tests.sandbox_server import SandboxToken
from tests.trading.closing import differences
from tests.trading.live.orders_world import Desk, RunningDriver, becomes, books_equal_chain, driving, reserve_buy, until


def bought(desk: Desk) -> tuple[Agent, SandboxToken, Position]:
    """Return an agent with a position that was bought on the chain and is final; call while a driver runs."""
    agent, token = desk.agent(), desk.token()
    becomes(reserve_buy(agent, token), OrderStatus.FINALIZED)
    return agent, token, Position.objects.select_related("agent").get(agent=agent)


def stop(position: Position) -> ExitIntent:
    with transaction.atomic():
        fired = exit_intents.fire([FiredExit(position.pk, "stop_loss", position.generation)])
    return ExitIntent.objects.get(pk=fired[position.pk])


def sell(position: Position) -> Order:
    stop(position)
    exit_runner.run_due()
    return Order.objects.get(position=position, side=OrderSide.SELL, purpose=OrderPurpose.CLOSE)


def test_a_stop_sells_everything_and_the_empty_accounts_rent_comes_back(desk: Desk) -> None:
    with driving(desk):
        agent, _, position = bought(desk)
        order = becomes(sell(position), OrderStatus.FINALIZED)
        reclaim = until(lambda: Order.objects.filter(purpose=OrderPurpose.RECLAIM).first(), "a reclaim")
        reclaim = becomes(reclaim, OrderStatus.FINALIZED)
    position.refresh_from_db()
    assert position.closed_at is not None
    assert order.fill is not None and order.fill["wallet_token_delta"] == -int(order.in_base_units)
    assert reclaim.fill is not None and reclaim.fill["rent_lamports"] < 0
    assert books_equal_chain(desk, agent)
    assert differences() == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("answer_lost", {"count": 1}),
        ("server_error", {"count": 2}),
        ("error_after_landing", {"count": 1}),
        ("late_landing", {"count": 1, "slots": 5}),
        ("false_failure", {"count": 1}),
    ],
)
def test_whatever_jupiter_says_of_an_execute_the_swap_is_made_once(
    desk: Desk, settings, kind: str, options: dict[str, int]
) -> None:
    settings.LIVE_LANDING_ROUTE = "execute"
    with driving(desk):
        agent, token = desk.agent(), desk.token()
        desk.market.control.fault("jupiter_execute", kind, **options)
        order = becomes(reserve_buy(agent, token), OrderStatus.FINALIZED)
    assert order.request_id
    assert books_equal_chain(desk, agent)
    assert desk.signer.signed == [str(order.pk)]
    assert differences() == []


@pytest.mark.parametrize("kind", ["replaced_fee_payer", "rfq_route"])
def test_a_transaction_somebody_else_pays_for_or_signs_is_not_shown_to_the_signer(desk: Desk, kind: str) -> None:
    with driving(desk):
        agent, token = desk.agent(), desk.token()
        desk.market.control.fault("jupiter_order", kind, count=9)
        order = becomes(reserve_buy(agent, token), OrderStatus.FAILED, OrderStatus.FINALIZED)
    assert desk.signer.signed == ([] if order.status == OrderStatus.FAILED else [str(order.pk)])
    assert order.code in ("FOREIGN_FEE_PAYER", "")
    assert books_equal_chain(desk, agent)


def test_the_older_api_builds_swaps_too_and_they_go_through_the_nodes(desk: Desk, settings) -> None:
    settings.LIVE_SWAP_API = "v1"
    settings.LIVE_LANDING_ROUTE = "execute"
    with driving(desk):
        agent, token = desk.agent(), desk.token()
        order = becomes(reserve_buy(agent, token), OrderStatus.FINALIZED)
    assert (order.route, order.request_id) == ("node", "")
    assert books_equal_chain(desk, agent)


def test_a_way_of_swapping_the_signer_could_not_read_is_asked_for_in_one_it_can(desk: Desk) -> None:
    """Both are over a venue nobody has heard of; what is asked for then has its amounts in front of it."""
    with driving(desk), capture_logs() as lines:
        agent, token = desk.agent(), desk.token()
        desk.market.control.fault("jupiter_order", "unknown_venue", count=9)
        buy = becomes(reserve_buy(agent, token), OrderStatus.FINALIZED)
        sale = becomes(sell(Position.objects.select_related("agent").get(agent=agent)), OrderStatus.FINALIZED)
    assert [line["event"] for line in lines].count("order_route_unreadable") == 2
    assert {(order.route, order.request_id) for order in (buy, sale)} == {("node", "")}
    assert books_equal_chain(desk, agent)
    assert differences() == []


def test_a_swap_behind_whose_venues_no_amount_can_be_found_is_not_shown_to_the_signer() -> None:
    market = open_desk()
    built = market.build(market.wallet(), market.token(), "buy", 10**9)
    wallet, cap = str(built.taker), 10**6
    assert swap_bytes.read(bytes(built.transaction), wallet=wallet, fee_cap_lamports=cap).fee_lamports < cap
    odd = tampered(market.venue, built, [FaultKind.UNKNOWN_VENUE])
    with pytest.raises(UnusableSwap) as caught:
        swap_bytes.read(bytes(odd.transaction), wallet=wallet, fee_cap_lamports=cap)
    assert caught.value.code == "ROUTE_UNREADABLE"


def rent_that_comes_back(desk: Desk, agent: Agent) -> None:
    reclaim = until(lambda: Order.objects.filter(purpose=OrderPurpose.RECLAIM).first(), "a reclaim")
    assert becomes(reclaim, OrderStatus.FINALIZED).fill is not None
    assert books_equal_chain(desk, agent)


def test_the_rent_comes_back_however_long_the_nodes_take_to_say_that_the_account_is_empty(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RENT_SECONDS", 3_600.0)  # nobody looks a second time
    with driving(desk):  # its leases are renewed several times meanwhile
        agent, _, position = bought(desk)
        desk.market.fault("latency", latency_ms=1_000, methods=["getTokenAccountsByOwner"])
        becomes(sell(position), OrderStatus.FINALIZED)
        rent_that_comes_back(desk, agent)


def test_the_rent_of_a_sale_whose_process_died_right_after_its_end_comes_back_with_the_next_one(desk: Desk) -> None:
    with driving(desk):
        agent, _, position = bought(desk)
    dying = RunningDriver(desk.signer, stop_at="finalized")
    sale = becomes(sell(position), OrderStatus.FINALIZED)
    until(lambda: dying.stopped_at, "the process to be where it dies")
    dying.die()
    assert reclaims.left_behind() == []  # it may be about to make its reclaim
    a_while = timedelta(seconds=11)
    Order.objects.update(created_at=F("created_at") - a_while, ended_at=F("ended_at") - a_while)
    assert [each.id for each in reclaims.left_behind()] == [sale.pk]
    with driving(desk):
        rent_that_comes_back(desk, agent)
    assert reclaims.left_behind() == []
