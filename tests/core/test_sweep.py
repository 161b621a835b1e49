"""Sweeps: run at start and each interval in the worker that owns the queue, with or without a broker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from apps.core import sweep
from apps.core.models import FeedStream
from tests.own_redis import OwnRedis

ROOT = Path(__file__).parents[2]
OPTIONS = "-P threads -c 1 -I tests.core.sweeping_tasks --without-gossip --without-mingle"


@pytest.fixture(autouse=True)
def clean_register(monkeypatch):
    monkeypatch.setattr(sweep, "_registered", {})
    monkeypatch.setattr(sweep, "_running", {})
    yield
    sweep.stop()


def eventually(condition, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_sweeps_of_the_workers_queues_run_at_once_and_again_each_interval():
    rounds: list[float] = []
    sweep.register("mine", queue="trading", every=0.1, run=lambda: rounds.append(time.monotonic()))
    sweep.register("strange", queue="critical", every=0.1, run=lambda: pytest.fail("not this worker's queue"))
    started = time.monotonic()
    assert sweep.start({"trading", "prices.0"}) == ["mine"]
    assert sweep.start({"trading"}) == []
    assert eventually(lambda: len(rounds) >= 4)
    assert all(at - started >= 0.1 * number for number, at in enumerate(rounds))


def test_a_nudge_runs_a_sweep_now():
    ran = threading.Event()
    sweep.register("mine", queue="q", every=3600, run=ran.set)
    sweep.start({"q"})
    assert ran.wait(60)
    ran.clear()
    time.sleep(0.05)
    sweep.nudge("mine")
    sweep.nudge("of another process")
    assert ran.wait(60)


def test_however_often_a_sweep_was_nudged_it_looks_again_after_its_interval():
    rounds: list[float] = []
    sweep.register("mine", queue="q", every=0.2, run=lambda: rounds.append(time.monotonic()))
    sweep.start({"q"})

    def nudged_often() -> bool:
        sweep.nudge("mine")
        return len(rounds) > 6

    assert eventually(nudged_often)
    before = len(rounds)
    assert eventually(lambda: len(rounds) > before + 1)


def test_a_failing_round_does_not_end_the_sweep():
    rounds: list[int] = []

    def run() -> None:
        rounds.append(1)
        if len(rounds) < 3:
            raise ValueError("bad row")

    sweep.register("mine", queue="q", every=0.02, run=run)
    sweep.start({"q"})
    assert eventually(lambda: len(rounds) > 4)


@pytest.mark.django_db(transaction=True)
def test_a_sweep_outlives_its_database_connection():
    backends: list[int] = []

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backends.append(cursor.fetchone()[0])

    sweep.register("mine", queue="q", every=0.05, run=run)
    sweep.start({"q"})
    assert eventually(lambda: len(backends) >= 2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [backends[-1]])
    assert eventually(lambda: len(set(backends)) >= 2)
    sweep.stop()

    def still_there() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [backends])
            return int(cursor.fetchone()[0])

    assert eventually(lambda: still_there() == 0)  # a backend takes a moment to notice that it was left


def test_stop_lets_a_round_finish_and_returns_in_time():
    in_round, finished = threading.Event(), threading.Event()

    def run() -> None:
        in_round.set()
        time.sleep(0.2)
        finished.set()

    sweep.register("mine", queue="q", every=3600, run=run)
    sweep.start({"q"})
    assert in_round.wait(60)
    started = time.monotonic()
    sweep.stop()
    assert finished.is_set()
    assert time.monotonic() - started < 20  # its interval is an hour


def rounds_so_far() -> int:
    return FeedStream.objects.filter(pk="swept").values_list("sequence", flat=True).first() or 0


@pytest.fixture
def worker(tmp_path):
    """A real worker on the queue "sweeptest", whose Redis is not there yet."""
    own = OwnRedis(tmp_path)
    database = connection.settings_dict
    url = (
        f"postgresql://{quote(database['USER'])}:{quote(database['PASSWORD'])}@/{database['NAME']}"
        f"?host={quote(database['HOST'], safe='')}&port={database['PORT']}"
    )
    process = subprocess.Popen(
        [sys.executable, *f"-m celery -A config worker -Q sweeptest {OPTIONS}".split()],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "REDIS_URL": own.url},
        stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "worker.log").open("wb"),
    )
    yield own, process, tmp_path / "worker.log"
    process.kill()
    process.wait()
    own.kill()


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
def test_a_worker_sweeps_before_redis_is_there_and_after_it_is_gone(worker):
    redis, process, log = worker
    assert eventually(lambda: rounds_so_far() >= 3), log.read_text()
    redis.start()
    assert eventually(lambda: " ready" in log.read_text()), log.read_text()
    before = rounds_so_far()
    assert eventually(lambda: rounds_so_far() >= before + 3)
    redis.kill()
    before = rounds_so_far()
    assert eventually(lambda: rounds_so_far() >= before + 5), log.read_text()
    redis.start()
    before = rounds_so_far()
    assert eventually(lambda: rounds_so_far() >= before + 3)
    process.terminate()
    assert process.wait(60) == 0
