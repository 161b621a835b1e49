"""Claims of the orders process: a lease is one process's, a step counts once, and many steps share a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.trading.domain import order_machine
from apps.trading.domain.order_machine import ForbiddenStep
from apps.trading.models import Order, OrderSide, OrderStatus
from apps.trading.services.live import claims
from apps.trading.services.live.claims import Claims, LeaseLost, Now
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def with_claims(work: Callable[[Claims, Claims], Awaitable[Any]], **options: Any) -> Any:
    """Run `work` with the claims of two processes."""

    async def both() -> Any:
        pair = Claims(**options), Claims(**options)
        running = [asyncio.create_task(each.run()) for each in pair]
        try:
            return await work(*pair)
        finally:
            for task in running:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    return asyncio.run(both())


def orders(count: int, **fields: Any) -> list[Order]:
    token = factories.make_token()
    return [factories.make_order(factories.make_agent(), token, **fields) for _ in range(count)]


def test_a_due_order_is_claimed_by_one_process() -> None:
    buy, sale = orders(1)[0], orders(1, side=OrderSide.SELL)[0]
    orders(1, due_at=timezone.now() + timedelta(hours=1))
    orders(1, status=OrderStatus.FAILED)

    async def work(one: Claims, other: Claims) -> list[Any]:
        mine, theirs = await asyncio.gather(one.claim(10), other.claim(10))
        return [order.id for order in (*mine, *theirs)]  # all by one of them, or one by each

    assert sorted(with_claims(work)) == sorted([sale.pk, buy.pk])


def test_sales_are_claimed_first() -> None:
    buy, sale = orders(1)[0], orders(1, side=OrderSide.SELL)[0]

    async def work(one: Claims, other: Claims) -> list[Any]:
        return [order.id for order in (*await one.claim(1), *await other.claim(1))]

    assert with_claims(work) == [sale.pk, buy.pk]


def test_who_lost_the_lease_changes_nothing_any_more() -> None:
    (order,) = orders(1)

    async def work(one: Claims, other: Claims) -> None:
        (stale,) = await one.claim(1)
        await asyncio.sleep(0.06)
        (fresh,) = await other.claim(1)
        with pytest.raises(LeaseLost):
            await one.step(stale, OrderStatus.BUILT, route="node")
        with pytest.raises(LeaseLost):
            await one.let_go(stale, due_in_seconds=0)
        assert await one.renew([stale]) == [stale]
        await other.step(fresh, OrderStatus.BUILT, request_id="theirs")
        with pytest.raises(LeaseLost):
            await one.step(stale, OrderStatus.BUILT, route="node")

    with_claims(work, lease_seconds=0.05)
    order.refresh_from_db()
    assert (order.status, order.route, order.request_id) == (OrderStatus.BUILT, "", "theirs")


def test_a_renewed_lease_goes_on_and_nobody_else_gets_the_order() -> None:
    orders(1)

    async def work(one: Claims, other: Claims) -> None:
        (mine,) = await one.claim(1)
        mine.lease_until = timezone.now() + timedelta(seconds=0.05)
        beside = await claims.connect("soldesk-test")
        await beside.execute("UPDATE trade_order SET lease_until = %s", [mine.lease_until])
        await beside.close()
        assert await one.renew([mine]) == []
        await asyncio.sleep(0.1)
        assert await other.claim(1) == []
        await one.step(mine, OrderStatus.BUILT)
        await one.let_go(mine, due_in_seconds=0)
        assert [each.id for each in await other.claim(1)] == [mine.id]

    with_claims(work, lease_seconds=60)


def test_an_order_under_lock_of_a_booking_is_neither_waited_for_nor_lost() -> None:
    (order,) = orders(1)

    async def work(one: Claims, _other: Claims) -> None:
        (mine,) = await one.claim(1)
        held = await claims.connect("soldesk-test")
        async with held.transaction():
            await held.execute("SELECT 1 FROM trade_order WHERE id = %s FOR NO KEY UPDATE", [order.pk])
            assert await asyncio.wait_for(one.renew([mine]), 20) == []
        await held.close()
        assert await one.renew([mine]) == []
        await one.step(mine, OrderStatus.BUILT)

    with_claims(work)


def test_what_waits_while_a_commit_is_under_way_goes_into_the_next_one() -> None:
    orders(60)

    async def work(one: Claims, _other: Claims) -> int:
        mine = await one.claim(100)
        before = one.commits
        await asyncio.gather(*(one.step(order, OrderStatus.BUILT, built_at=Now()) for order in mine))
        return one.commits - before

    assert with_claims(work) <= 3
    assert Order.objects.filter(status=OrderStatus.BUILT, built_at__isnull=False).count() == 60


def test_one_orders_own_fault_refuses_its_step_and_no_other_of_the_same_commit() -> None:
    orders(5)

    async def work(one: Claims, _other: Claims) -> list[Any]:
        mine = await one.claim(10)
        steps = (
            one.step(order, OrderStatus.BUILT, minimum_out_base_units=10**30 if number == 2 else 7)
            for number, order in enumerate(mine)
        )
        return await asyncio.gather(*steps, return_exceptions=True)

    outcomes = with_claims(work)
    assert [type(each) for each in outcomes] == [type(None)] * 2 + [LeaseLost] + [type(None)] * 2
    assert Order.objects.filter(status=OrderStatus.RESERVED).count() == 1


def test_a_column_no_step_writes_is_refused_before_anything_is_written() -> None:
    (order,) = orders(1)

    async def work(one: Claims, _other: Claims) -> None:
        (mine,) = await one.claim(1)
        with pytest.raises(ValueError, match="held_amount"):
            await one.step(mine, OrderStatus.BUILT, held_amount=5)

    with_claims(work)
    order.refresh_from_db()
    assert order.status == OrderStatus.RESERVED


@given(st.lists(st.sampled_from(sorted(order_machine.STEPS)), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_order_only_ever_takes_steps_the_machine_knows(wishes: list[str]) -> None:
    Order.objects.all().delete()
    (order,) = orders(1)

    async def work(one: Claims, _other: Claims) -> list[str]:
        (mine,) = await one.claim(1)
        path = [mine.status]
        for number, wish in enumerate(wishes):
            columns = {
                "signature": f"sig{order.pk}{number}"[:90],
                "sealed_transaction": b"sealed",
                "last_valid_block_height": 9,
            }
            try:
                await one.step(mine, wish, **columns)
            except ForbiddenStep:
                assert wish not in order_machine.STEPS[path[-1]]
            else:
                assert wish in order_machine.STEPS[path[-1]]
                path.append(wish)
        return path

    path = with_claims(work)
    order.refresh_from_db()
    assert order.status == path[-1]
