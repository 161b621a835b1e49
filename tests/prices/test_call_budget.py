"""A desk without a key: two hundred held tokens are polled as often as the plan allows, and exits get their quotes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count

import pytest
from pytest_django import Settings

from apps.core.http import BudgetExhausted, Lane, client
from apps.core.http.budget import MemoryWindow
from apps.core.http.plans import PLANS, Plan
from apps.core.http.usage import calls_left
from apps.core.money import LAMPORTS_PER_SOL, SOL_MINT
from apps.prices import services as prices
from tests.prices.world import providers
from tests.sandbox_server import SandboxControl

pytestmark = pytest.mark.django_db(transaction=True)
TOKENS = 200


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """A budget whose admitted calls are watched: no window of the plan may ever hold more than its limit."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self.plan, self.clock = plan, clock
        self.window = MemoryWindow(plan, clock=clock)
        self.sent: deque[float] = deque()

    def take(self, lane: Lane) -> bool:
        if self.window.take(lane):
            return False
        self.sent.append(self.clock.now)
        while self.sent[0] <= self.clock.now - self.plan.window_seconds:
            self.sent.popleft()
        assert len(self.sent) <= self.plan.limit
        return True


@pytest.fixture
def keyless(market: SandboxControl, settings: Settings) -> Iterator[SandboxControl]:
    settings.PROVIDERS = providers(market, jupiter="keyless", dexscreener="keyless")
    yield market


def test_five_minutes_of_a_busy_desk_without_a_key(keyless: SandboxControl) -> None:
    clock = Clock()
    jupiter = Counted(PLANS["jupiter"]["keyless"], clock)
    dexscreener = Counted(PLANS["dexscreener"]["keyless"], clock)
    interval = prices.poll_interval_seconds(TOKENS)
    assert interval == pytest.approx(2.8)
    next_poll, second_opinions = clock.now, 0
    for step in range(3000):
        clock.now += 0.1
        if clock.now >= next_poll:
            next_poll += interval
            assert all(dexscreener.take(Lane.HELD_PRICES) for _ in range(7)), "a poll misses no batch"
            second_opinions += jupiter.take(Lane.HELD_PRICES)  # one token is always in doubt
        if step % 5 == 0:
            jupiter.take(Lane.ENTRY_QUOTE)  # signals pour in
            dexscreener.take(Lane.REST)
        if step % 10 == 0:
            jupiter.take(Lane.REST)
        if step % 210 == 0:  # three stops at once, each 21 seconds
            assert all(jupiter.take(Lane.EXIT_QUOTE) for _ in range(3)), "an exit gets its quote"
    reserved = jupiter.plan.reserved[Lane.HELD_PRICES]
    assert second_opinions >= 5 * reserved, "and doubts are settled"


def test_a_flood_of_entries_leaves_exits_and_second_opinions_their_calls(keyless: SandboxControl) -> None:
    tokens = keyless.add_tokens(TOKENS, liquidity_sol=100)
    for _ in range(3):
        result = prices.fetch_prices([token.mint for token in tokens], deadline_seconds=3.0, last_good_sol={})
        assert (len(result.trusted), result.errors) == (TOKENS, ())
        assert {point.source for point in result.trusted} == {"dexscreener"}

    plan = PLANS["jupiter"]["keyless"]
    entries = flood(tokens[0].mint, Lane.ENTRY_QUOTE)
    assert entries == plan.limit - sum(slots for lane, slots in plan.reserved.items() if lane is not Lane.ENTRY_QUOTE)
    exits = flood(tokens[1].mint, Lane.EXIT_QUOTE)
    assert exits == plan.reserved[Lane.EXIT_QUOTE] + plan.reserved[Lane.REST]
    moved = tokens[2]
    keyless.set_price(moved.mint, moved.price_sol / 5)
    decision = prices.fetch_prices([moved.mint], last_good_sol={moved.mint: moved.price_sol}).decisions[moved.mint]
    assert decision.code == "confirmed_by_second_source"
    left = calls_left("jupiter")
    assert left is not None and left.used is not None
    assert left.used == {
        Lane.EXIT_QUOTE: exits,
        Lane.HELD_PRICES: 1,
        Lane.ENTRY_QUOTE: entries,
        Lane.REST: 0,
    }
    assert left.left == plan.limit - exits - entries - 1


def test_what_is_left_is_told_for_limited_plans_only(market: SandboxControl, settings: Settings) -> None:
    assert calls_left("jupiter") is None
    settings.PROVIDERS = providers(market, jupiter="free")
    left = calls_left("jupiter")
    assert left is not None
    assert (left.limit, left.window_seconds, left.left) == (60, 60, 60)


def flood(mint: str, lane: Lane) -> int:
    """Ask for quotes until the lane has no call left; return how many were answered."""
    query: list[tuple[str, str | int]] = [("inputMint", SOL_MINT), ("outputMint", mint), ("amount", LAMPORTS_PER_SOL)]
    for answered in count():
        try:
            client("jupiter").get("quote", "/swap/v2/order", query, lane=lane, deadline_seconds=2.0)
        except BudgetExhausted:
            return answered
    raise AssertionError("counting has no end")
