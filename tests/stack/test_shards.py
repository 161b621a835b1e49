"""Two watching workers by a setting: a token is watched by one, a dead one costs the other nothing, numbers change."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from apps.trading.domain.shards import SLOTS, shard_of
from tests.desk import ROOT, wait_until
from tests.stack.exit_desk import RECOVERY_SECONDS, ExitDesk, report

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("exact_books_at_last")]

SHARDS = 2
WORKERS = [f"worker-prices-{shard}" for shard in range(SHARDS)]
PROMPT_SECONDS = 15.0
#: A watch ticks each second, never sooner than 0.85 s after its last tick began.
LEAST_SECONDS = 0.4
LEAST_TICKS = 3


@pytest.fixture(scope="module")
def shared(exits: ExitDesk) -> Iterator[ExitDesk]:
    """The desk with two watching workers instead of one."""
    restart(exits, SHARDS)
    yield exits
    if "worker-prices" not in exits.desk.record()["pids"]:
        restart(exits, 1)


def restart(exits: ExitDesk, shards: int) -> None:
    """Stop the desk, as Ctrl-C does, and start it with another number of shards."""
    exits.desk.__exit__()
    exits.desk.environment["PRICE_SHARDS"] = str(shards)
    exits.desk.start()
    exits.desk.wait_ready()


def hold_on_both(exits: ExitDesk, each: int) -> list[list[str]]:
    """Let every agent hold `each` tokens of each shard, watched for some ticks; return them by shard."""
    listed = exits.list_tokens(each * SHARDS * 5)
    shares = [[mint for mint in listed if shard_of(mint, SHARDS) == shard][:each] for shard in range(SHARDS)]
    assert [len(share) for share in shares] == [each] * SHARDS
    mints = exits.hold([mint for share in shares for mint in share])
    wait_until(lambda: min(len(exits.ticks_of(mint)) for mint in mints) >= LEAST_TICKS, RECOVERY_SECONDS)
    return shares


def test_every_shard_is_a_process_that_locks_its_slots_and_is_known_to_health(shared: ExitDesk) -> None:
    assert set(WORKERS) <= set(shared.desk.record()["pids"])
    held = wait_until(
        lambda: dict(
            shared.query(
                "SELECT a.application_name, array_agg(l.objid::int ORDER BY l.objid::int) FROM pg_locks l"
                " JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory'"
                " AND a.application_name LIKE 'soldesk-watch-%%' GROUP BY 1"
            )
        )
    )
    assert held == {f"soldesk-watch-{shard}": list(range(shard, SLOTS, SHARDS)) for shard in range(SHARDS)}
    health = httpx.get(f"http://127.0.0.1:{shared.desk.port}/api/v1/health", timeout=60).json()
    alive = {worker["name"] for worker in health["services"]["queue"]["workers"] if worker["alive"]}
    assert set(WORKERS) <= alive


def test_each_worker_watches_its_own_tokens_and_no_others(shared: ExitDesk) -> None:
    first, (steady, *second) = hold_on_both(shared, 3)
    with shared.frozen(WORKERS[0]):
        shared.crash(*first, *second)
        shared.wait_sold(second)
        shared.wait_ticks(steady, 3)
        assert not shared.has_fired(first)
    shared.wait_sold(first)
    shared.check_sold_once([*first, *second])
    assert not shared.has_fired([steady])
    shared.crash(steady)
    shared.wait_sold([steady])
    for mint in (*first, *second, steady):
        assert least_distance(shared, mint) > LEAST_SECONDS


def least_distance(exits: ExitDesk, mint: str) -> float:
    """Return the shortest time between two ticks of a token: two watches would tick on top of each other."""
    times = [at for _, at in exits.ticks_of(mint)]
    assert len(times) >= LEAST_TICKS
    return min((later - earlier).total_seconds() for earlier, later in pairwise(times))


def test_a_dead_worker_is_not_the_other_ones_trouble(shared: ExitDesk) -> None:
    first, second = hold_on_both(shared, 1)
    former = shared.desk.kill(WORKERS[0])
    began = time.time()
    shared.crash(*first, *second)
    shared.wait_sold(second)
    sales = shared.check_sold_once(second)
    report("beside a dead worker", sales, began)
    assert max(sale.sold_at.timestamp() for sale in sales) - began < PROMPT_SECONDS
    shared.desk.wait_restarted(WORKERS[0], former, RECOVERY_SECONDS)
    shared.wait_sold(first)
    shared.check_sold_once(first)


def test_a_worker_of_another_number_of_shards_waits(shared: ExitDesk, tmp_path: Path) -> None:
    first, second = hold_on_both(shared, 1)
    log = tmp_path / "stranger.log"
    celery = ["-q", "-A", "config", "worker", "-Q", "prices.0", "-n", "stranger@%h", "-P", "solo", "--without-mingle"]
    with log.open("wb") as out:
        stranger = subprocess.Popen(
            [sys.executable, "-m", "celery", *celery],
            cwd=ROOT,
            env={**shared.desk.environment, "PRICE_SHARDS": "1"},
            stdout=out,
            stderr=out,
        )
    try:
        wait_until(lambda: "shard_watched_elsewhere" in log.read_text(), RECOVERY_SECONDS)
        shared.crash(*first, *second)
        shared.wait_sold([*first, *second])
    finally:
        stranger.kill()
        stranger.wait()
    assert "shard_lock_taken" not in log.read_text()
    shared.check_sold_once([*first, *second])
    assert min(least_distance(shared, mint) for mint in (*first, *second)) > LEAST_SECONDS


def test_the_number_of_shards_may_change_from_one_start_to_the_next(shared: ExitDesk) -> None:
    (first,), (second,) = hold_on_both(shared, 1)
    restart(shared, 1)
    assert "worker-prices" in shared.desk.record()["pids"]
    assert not set(WORKERS) & set(shared.desk.record()["pids"])
    schedules = shared.query("SELECT args FROM django_celery_beat_periodictask WHERE task = 'trading.watch'")
    assert schedules == [("[0]",)]
    shared.crash(first, second)
    shared.wait_sold([first, second])
    shared.check_sold_once([first, second])
