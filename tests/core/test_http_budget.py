"""Call budgets: what lanes may take, that the window slides, and that Redis and memory decide alike."""

from __future__ import annotations

import socket
import uuid
from collections import Counter

import pytest
from django.conf import settings as django_settings
from hypothesis import given
from hypothesis import strategies as st

from apps.core.http.budget import MemoryWindow, Pause
from apps.core.http.plans import LANES, PLANS, Lane, Plan, plan_for
from apps.core.http.shared import SharedState
from apps.core.metrics_registry import REDIS_OPERATIONS
from apps.core.quick_redis import QuickRedis

KEYLESS = PLANS["jupiter"]["keyless"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def take_all(window: MemoryWindow, lane: Lane) -> int:
    count = 0
    while not window.take(lane):
        count += 1
    return count


def test_sandbox_plan_has_no_limit_and_an_unknown_plan_is_refused() -> None:
    assert plan_for("jupiter", "sandbox") is None
    with pytest.raises(ValueError, match="no plan 'gold'"):
        plan_for("jupiter", "gold")


def test_flooding_one_lane_leaves_the_reserved_slots_of_the_others() -> None:
    for lane in (Lane.ENTRY_QUOTE, Lane.REST, Lane.HELD_PRICES):
        window = MemoryWindow(KEYLESS, clock=Clock())
        flooded = take_all(window, lane)
        assert flooded == KEYLESS.limit - sum(n for other, n in KEYLESS.reserved.items() if other is not lane)
        for other in (Lane.HELD_PRICES, Lane.ENTRY_QUOTE, Lane.REST, Lane.EXIT_QUOTE):
            assert other is lane or take_all(window, other) == KEYLESS.reserved[other]


def test_exits_may_take_what_is_kept_for_entries_but_not_what_watches_held_prices() -> None:
    window = MemoryWindow(KEYLESS, clock=Clock())
    assert take_all(window, Lane.EXIT_QUOTE) == KEYLESS.limit - KEYLESS.reserved[Lane.HELD_PRICES]
    assert take_all(window, Lane.ENTRY_QUOTE) == 0
    assert take_all(window, Lane.HELD_PRICES) == KEYLESS.reserved[Lane.HELD_PRICES]


def test_refusal_says_when_the_oldest_call_leaves_the_window() -> None:
    clock = Clock()
    window = MemoryWindow(Plan(2, window_seconds=60), clock=clock)
    window.take(Lane.REST)
    clock.now += 10
    window.take(Lane.REST)
    assert window.take(Lane.REST) == 50
    clock.now += 50
    assert window.take(Lane.REST) == 0
    assert window.take(Lane.REST) == 10


@given(
    st.sampled_from([plan for plans in PLANS.values() for plan in plans.values() if plan.limit <= 300]),
    st.lists(st.tuples(st.sampled_from(LANES), st.floats(0, 3)), max_size=400),
)
def test_no_window_ever_holds_more_than_the_limit_and_vital_reserves_always_fit(
    plan: Plan, calls: list[tuple[Lane, float]]
) -> None:
    clock = Clock()
    window = MemoryWindow(plan, clock=clock)
    for lane, pause in calls:
        clock.now += pause
        refused = window.take(lane)
        used = window.used()
        assert sum(used.values()) <= plan.limit
        for vital in (Lane.EXIT_QUOTE, Lane.HELD_PRICES):
            if lane is vital and refused:
                assert used[vital] >= plan.reserved.get(vital, 0)


def test_pause_holds_every_call_until_it_ends_and_a_shorter_one_does_not_cut_it() -> None:
    clock = Clock()
    pause = Pause(clock=clock)
    assert pause.remaining() == 0
    pause.hold(5)
    pause.hold(1)
    assert pause.remaining() == 5
    clock.now += 5
    assert pause.remaining() == 0


def test_two_processes_share_one_window_through_redis() -> None:
    provider = f"test-{uuid.uuid4()}"
    one, other = SharedState(QuickRedis(django_settings.REDIS_URL)), SharedState(QuickRedis(django_settings.REDIS_URL))
    plan = Plan(10, reserved={Lane.EXIT_QUOTE: 3})
    admitted: Counter[int] = Counter()
    for turn in range(20):
        answer = (one, other)[turn % 2].take(provider, "quote", Lane.ENTRY_QUOTE, plan)
        assert answer is not None
        admitted[turn % 2] += answer.admitted
        if not answer.admitted:
            assert 30 < answer.wait_seconds <= 60
    assert sum(admitted.values()) == 7
    assert min(admitted.values()) > 0
    exits = [one.take(provider, "quote", Lane.EXIT_QUOTE, plan) for _ in range(5)]
    assert [answer.admitted for answer in exits if answer] == [True, True, True, False, False]


@given(st.lists(st.sampled_from(LANES), max_size=60))
def test_redis_and_memory_admit_the_same_calls(lanes: list[Lane]) -> None:
    provider = f"test-{uuid.uuid4()}"
    shared = SharedState(QuickRedis(django_settings.REDIS_URL))
    window = MemoryWindow(KEYLESS, clock=Clock())
    for lane in lanes:
        answer = shared.take(provider, "quote", lane, KEYLESS)
        assert answer is not None
        assert answer.admitted == (window.take(lane) == 0)


def test_a_pause_and_an_open_breaker_reach_the_other_process() -> None:
    provider = f"test-{uuid.uuid4()}"
    one, other = SharedState(QuickRedis(django_settings.REDIS_URL)), SharedState(QuickRedis(django_settings.REDIS_URL))
    one.open_breaker(provider, "quote", 60)
    answer = other.take(provider, "quote", Lane.REST, KEYLESS)
    assert answer is not None
    assert not answer.admitted
    assert 30 < answer.breaker_seconds <= 60
    sale = other.take(provider, "quote", Lane.EXIT_QUOTE, KEYLESS)
    assert sale is not None
    assert sale.admitted
    unbroken = other.take(provider, "prices", Lane.REST, KEYLESS)
    assert unbroken is not None
    assert unbroken.admitted
    one.hold(provider, 70)
    paused = other.take(provider, "prices", Lane.REST, KEYLESS)
    assert paused is not None
    assert paused.paused
    assert 60 < paused.wait_seconds <= 70


def test_a_dead_redis_costs_one_short_wait_and_then_nothing() -> None:
    dead = SharedState(QuickRedis("redis://127.0.0.1:1/0", left_alone_seconds=60))
    before = failures()
    assert dead.take("jupiter", "quote", Lane.REST, KEYLESS) is None
    for _ in range(200):
        assert dead.take("jupiter", "quote", Lane.REST, KEYLESS) is None
        dead.hold("jupiter", 1)
    assert failures() == before + 1


def test_a_redis_that_accepts_and_says_nothing_costs_no_more_than_its_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        stuck = SharedState(QuickRedis(url, limit_seconds=0.05, left_alone_seconds=60))
        before = failures()
        for _ in range(100):
            assert stuck.take("jupiter", "quote", Lane.REST, KEYLESS) is None
        assert failures() == before + 1


def failures() -> float:
    """Return how often Redis was asked in vain."""
    series = (metric for metric in REDIS_OPERATIONS.collect())
    samples = (sample for metric in series for sample in metric.samples)
    return sum(s.value for s in samples if s.name.endswith("_total") and "failed" in s.labels.values())
