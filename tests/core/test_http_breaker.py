"""The circuit breaker, with a clock that only moves when told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.core.http.breaker import Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, failures: int = 3) -> Breaker:
    return Breaker(failures=failures, open_seconds=1, longest_seconds=4, clock=clock)


def state_of(breaker: Breaker) -> BreakerState:
    return breaker.state


def trip(breaker: Breaker, failures: int = 3) -> None:
    for _ in range(failures):
        breaker.failed()


def test_breaker_opens_after_failures_in_a_row_and_says_how_long() -> None:
    clock = Clock()
    breaker = make(clock)
    assert breaker.failed() is None
    assert breaker.failed() is None
    assert breaker.failed() == 1
    assert breaker.state is BreakerState.OPEN
    clock.now += 0.25
    assert breaker.admit() == 0.75


def test_an_answer_between_failures_keeps_the_breaker_closed() -> None:
    breaker = make(Clock())
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit() == 0


def test_half_open_admits_one_probe_and_closes_on_its_answer() -> None:
    clock = Clock()
    breaker = make(clock)
    trip(breaker)
    clock.now += 1
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() == 0
    assert breaker.admit() > 0
    assert breaker.succeeded() is True
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit() == 0


def test_failed_probe_opens_for_twice_as_long_up_to_the_longest() -> None:
    clock = Clock()
    breaker = make(clock)
    trip(breaker)
    opened = []
    for seconds in (1, 2, 4, 4):
        clock.now += seconds
        assert breaker.admit() == 0
        opened.append(breaker.failed())
    assert opened == [2, 4, 4, 4]


def test_late_failures_of_calls_sent_before_do_not_prolong_the_open_time() -> None:
    clock = Clock()
    breaker = make(clock)
    trip(breaker)
    assert [breaker.failed() for _ in range(5)] == [None] * 5
    clock.now += 1
    assert breaker.admit() == 0


def test_cancelled_probe_gives_its_place_back() -> None:
    clock = Clock()
    breaker = make(clock)
    trip(breaker)
    clock.now += 1
    assert breaker.admit() == 0
    breaker.abandoned()
    assert breaker.admit() == 0


def test_breaker_opened_by_another_process_is_respected_but_never_longer_than_the_longest() -> None:
    clock = Clock()
    breaker = make(clock)
    breaker.adopt(100)
    assert breaker.admit() == 4
    clock.now += 4
    assert breaker.admit() == 0


@given(st.lists(st.sampled_from(["ok", "fail", "wait", "admit"]), max_size=60))
def test_an_open_breaker_always_admits_again_after_its_longest_time(steps: list[str]) -> None:
    clock = Clock()
    breaker = make(clock)
    for step in steps:
        if step == "ok":
            breaker.succeeded()
        elif step == "fail":
            breaker.failed()
        elif step == "wait":
            clock.now += 0.5
        else:
            breaker.admit()
    clock.now += 10  # the longest a probe that never reported is waited for
    assert breaker.admit() == 0
