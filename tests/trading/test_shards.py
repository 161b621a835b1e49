"""One watch per token, whatever the number of shards: slots without gap or overlap, locks that keep watches apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from apps.trading.adapters.shard_lock import ShardLock
from apps.trading.domain.shards import SLOTS, shard_of, slot_of, slots_of
from config.env import Env

pytestmark = pytest.mark.django_db(transaction=True)


class Locks:
    """Makes shard locks and lets all of them go in the end."""

    def __init__(self) -> None:
        self._made: list[ShardLock] = []

    def __call__(self, shard: int, shards: int) -> ShardLock:
        self._made.append(ShardLock(shard, shards))
        return self._made[-1]

    def release(self) -> None:
        for lock in self._made:
            lock.release()


@pytest.fixture
def lock() -> Iterator[Locks]:
    made = Locks()
    yield made
    made.release()


@given(st.text(min_size=32, max_size=44), st.integers(1, SLOTS))
def test_a_token_belongs_to_the_one_shard_that_locks_its_slot(mint: str, shards: int) -> None:
    owners = [shard for shard in range(shards) if slot_of(mint) in slots_of(shard, shards)]
    assert owners == [shard_of(mint, shards)]


@given(st.integers(1, SLOTS))
def test_every_division_shares_out_all_slots(shards: int) -> None:
    slots = [slot for shard in range(shards) for slot in slots_of(shard, shards)]
    assert sorted(slots) == list(range(SLOTS))


def test_there_are_no_more_shards_than_slots() -> None:
    limits = [rule.le for rule in Env.model_fields["price_shards"].metadata if hasattr(rule, "le")]
    assert limits == [SLOTS]


def test_only_one_process_watches_a_shard(lock: Locks) -> None:
    first, second = lock(1, 2), lock(1, 2)
    assert first.hold() and first.hold()
    assert not second.hold()
    assert lock(0, 2).hold()
    first.release()
    assert second.hold()


def test_watches_of_two_divisions_never_hold_the_same_token(lock: Locks) -> None:
    alone = lock(0, 1)
    halves = [lock(0, 2), lock(1, 2)]
    assert alone.hold()
    assert not any(half.hold() for half in halves)
    alone.release()
    assert all(half.hold() for half in halves)
    assert not alone.hold()
    quarters = [lock(shard, 4) for shard in range(4)]
    halves[0].release()
    assert [quarter.hold() for quarter in quarters] == [True, False, True, False]
    thirds = [lock(shard, 3) for shard in range(3)]
    assert not any(third.hold() for third in thirds)


def test_a_watch_that_does_not_get_all_its_slots_keeps_none(lock: Locks) -> None:
    assert lock(1, 2).hold()
    alone = lock(0, 1)
    assert not alone.hold()
    assert lock(0, 2).hold()


def test_divisions_that_start_at_once_do_not_take_half_of_each_others_slots(lock: Locks) -> None:
    wanted = [lock(0, 1), lock(0, 2), lock(1, 2)]
    for _ in range(10):
        start = threading.Barrier(len(wanted))
        held: dict[ShardLock, bool] = {}

        def take(one: ShardLock, start: threading.Barrier = start, held: dict[ShardLock, bool] = held) -> None:
            start.wait(60)
            held[one] = one.hold()

        threads = [threading.Thread(target=take, args=(one,)) for one in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone, *halves = (held[one] for one in wanted)
        assert (alone and not any(halves)) or (not alone and all(halves))
        for one in wanted:
            one.release()


def test_a_shard_this_division_does_not_have_is_never_watched(lock: Locks) -> None:
    assert not lock(1, 1).hold()


def test_a_shard_lock_survives_djangos_connections_and_notices_its_own_loss(lock: Locks) -> None:
    mine, other = lock(7, 8), lock(7, 8)
    assert mine.hold()
    connection.close()
    assert not other.hold()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'soldesk-watch-7'"
        )
    assert not mine.hold()
    assert mine.hold()
