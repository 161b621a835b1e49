"""What a live swap through our own nodes may use and pays: measured by trying it, priced by what landed, capped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.chain import nodes
from apps.core.http import Lane
from apps.sandbox.chain.fees import bid_of
from apps.sandbox.exchange.building import COMPUTE_UNIT_LIMIT
from apps.trading.domain.landed_swap import LAMPORTS_PER_SIGNATURE
from apps.trading.models import Order, OrderPurpose, OrderStatus
from apps.trading.services.live import compute_budget, swap_bytes
from apps.trading.services.live.compute_budget import ComputeBudgets
from apps.trading.services.live.swap_bytes import SwapBytes
from tests.trading.live.orders_world import Desk, becomes, books_equal_chain, driving, reserve_buy, until
from tests.trading.live.test_sales import bought, sell

LAMPORTS_OF_AN_IDLE_CHAIN = 1_000


@dataclass(frozen=True)
class Paid:
    """What a landed transaction had asked for, and what it used."""

    limit: int
    price: int
    used: int

    @property
    def lamports(self) -> int:
        return -(-self.price * self.limit // 1_000_000)


def paid(desk: Desk, order: Order) -> Paid:
    landed = desk.market.call(lambda: desk.market.ledger.landed[Signature.from_string(str(order.signature))])
    bid = bid_of(landed.transaction.message)
    return Paid(bid.units, bid.price, landed.meta["computeUnitsConsumed"])


@pytest.fixture
def crowded(desk: Desk) -> Iterator[int]:
    """A price per unit below which nothing lands, well above that of an idle chain."""
    desk.market.ledger.fees.floor = 200_000
    yield 200_000
    desk.market.ledger.fees.floor = 0


def test_a_swap_may_use_a_third_more_than_it_needs_not_what_the_provider_put_in(desk: Desk) -> None:
    with driving(desk):
        agent = desk.agent()
        order = becomes(reserve_buy(agent, desk.token()), OrderStatus.FINALIZED)
    spent = paid(desk, order)
    assert spent.limit == spent.used * 130 // 100 < COMPUTE_UNIT_LIMIT
    assert LAMPORTS_OF_AN_IDLE_CHAIN <= spent.lamports <= LAMPORTS_OF_AN_IDLE_CHAIN + 1
    assert order.fill is not None and order.fill["priority_fee_lamports"] == spent.lamports
    assert books_equal_chain(desk, agent)


def test_it_bids_what_landed_of_late_and_rent_comes_back_in_a_crowd_too(desk: Desk, crowded: int) -> None:
    with driving(desk):
        agent, _, position = bought(desk)
        becomes(sell(position), OrderStatus.FINALIZED)
        rent = until(lambda: Order.objects.filter(purpose=OrderPurpose.RECLAIM).first(), "a reclaim")
        becomes(rent, OrderStatus.FINALIZED)
    assert {paid(desk, order).price for order in Order.objects.all()} == {crowded}
    assert books_equal_chain(desk, agent)


def test_each_attempt_bids_twice_the_price_of_the_one_before(desk: Desk, crowded: int) -> None:
    with driving(desk):
        third = becomes(reserve_buy(desk.agent(), desk.token(), attempt=3), OrderStatus.FINALIZED)
    assert paid(desk, third).price == 4 * crowded


def test_it_never_bids_more_than_the_orders_cap(desk: Desk, settings) -> None:
    settings.LIVE_MAX_FEE_LAMPORTS = LAMPORTS_PER_SIGNATURE + 400
    with driving(desk):
        order = becomes(reserve_buy(desk.agent(), desk.token()), OrderStatus.FINALIZED)
    assert 390 < paid(desk, order).lamports <= 400


def test_a_swap_that_no_node_can_try_goes_as_it_was_offered(desk: Desk) -> None:
    desk.market.fault("server_error", methods=["simulateTransaction"])
    with driving(desk):
        agent = desk.agent()
        order = becomes(reserve_buy(agent, desk.token()), OrderStatus.FINALIZED)
    assert paid(desk, order).limit == COMPUTE_UNIT_LIMIT
    assert books_equal_chain(desk, agent)


def test_what_jupiter_lands_keeps_jupiters_bytes(desk: Desk, settings) -> None:
    settings.LIVE_LANDING_ROUTE = "execute"
    with driving(desk):
        order = becomes(reserve_buy(desk.agent(), desk.token()), OrderStatus.FINALIZED)
    assert (order.route, paid(desk, order).limit) == ("execute", COMPUTE_UNIT_LIMIT)


def test_a_way_through_a_lookup_table_is_measured_and_priced_like_any_other(desk: Desk, crowded: int) -> None:
    desk.market.control.fault("jupiter_order", "lookup_table", count=1)
    with driving(desk):
        agent = desk.agent()
        order = becomes(reserve_buy(agent, desk.token()), OrderStatus.FINALIZED)
    landed = desk.market.call(lambda: desk.market.ledger.landed[Signature.from_string(str(order.signature))])
    assert landed.transaction.message.address_table_lookups
    spent = paid(desk, order)
    assert (spent.limit, spent.price) == (spent.used * 130 // 100, crowded)
    assert books_equal_chain(desk, agent)


def unsigned(*instructions: Instruction) -> SwapBytes:
    payer = Keypair().pubkey()
    message = MessageV0.try_compile(payer, list(instructions), [], Hash.default())
    raw = bytes(VersionedTransaction.populate(message, [Signature.default()]))
    return swap_bytes.read(raw, wallet=str(payer), fee_cap_lamports=10**9)


def test_a_budget_takes_the_place_of_the_one_there_was_and_nothing_else_changes() -> None:
    work = Instruction(Pubkey.new_unique(), b"\x02\x01", [AccountMeta(Pubkey.new_unique(), False, True)])
    heap = Instruction(COMPUTE_BUDGET, b"\x01\x00\x00\x01\x00", [])
    before = unsigned(set_compute_unit_price(7), heap, work)
    after = swap_bytes.with_budget(before, 50_000, 3_000_000)
    assert after.fee_lamports == LAMPORTS_PER_SIGNATURE + 150_000
    assert (
        swap_bytes.read(after.raw, wallet=str(after.transaction.message.account_keys[0]), fee_cap_lamports=10**9)
        == after
    )
    was, now = before.transaction.message, after.transaction.message
    assert (now.header, now.account_keys, now.recent_blockhash) == (was.header, was.account_keys, was.recent_blockhash)
    assert list(now.instructions)[2:] == list(was.instructions)[1:]
    assert bid_of(now).units == 50_000 and bid_of(now).price == 3_000_000


def test_a_transaction_without_any_budget_keeps_none() -> None:
    plain = unsigned(Instruction(Pubkey.new_unique(), b"\x02", []))
    assert swap_bytes.with_budget(plain, 50_000, 1) is plain


class SlowFees:
    """Nodes that answer what landed of late once they are let."""

    def __init__(self) -> None:
        self.price, self.may_answer = 7, asyncio.Event()

    async def recent_fees(self, keys: Sequence[str] = (), *, lane: Lane = Lane.REST) -> list[int]:
        await self.may_answer.wait()
        return [self.price]


def test_a_price_a_little_old_is_bid_while_a_newer_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_budget, "_FEES_KEPT_SECONDS", 0.0)

    async def bids() -> list[int]:
        slow = SlowFees()
        budgets = ComputeBudgets(slow)  # type: ignore[arg-type]
        slow.may_answer.set()
        first = await budgets._price("", [])
        slow.may_answer.clear()
        slow.price = 9
        meanwhile = await budgets._price("", [])
        slow.may_answer.set()
        await asyncio.sleep(0.05)
        return [first, meanwhile, await budgets._price("", [])]

    assert asyncio.run(bids()) == [7, 7, 9]


def test_what_would_fail_is_not_measured(desk: Desk) -> None:
    raw = unsigned(Instruction(Pubkey.new_unique(), b"\x02", [])).raw
    assert nodes.ask(lambda pool: pool.units(raw)) is None
