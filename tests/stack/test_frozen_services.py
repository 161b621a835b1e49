"""Health answers in time while PostgreSQL or Redis hangs or is gone, says so, and recovers by itself."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.console.web_process import WebProcess
from tests.desk import wait_until
from tests.own_redis import OwnRedis

pytestmark = pytest.mark.django_db(transaction=True)

#: What hangs is given up on after a second; a monitor waits a few.
IN_TIME_SECONDS = 10.0
HEALTH = "/api/v1/health"
#: A report is given to all who ask within a quarter of a second.
KEPT_SECONDS = 0.4


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    own = OwnRedis(tmp_path)
    own.start()
    yield own
    own.resume()
    own.kill()


@pytest.fixture
def web(redis: OwnRedis, tmp_path: Path) -> Iterator[WebProcess]:
    process = WebProcess(redis.url, tmp_path / "web.log")
    process.start()
    yield process
    process.kill()


@contextmanager
def frozen_database() -> Iterator[None]:
    """Stop every process of the session's PostgreSQL: connections are accepted, nothing is answered."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        (folder,) = cursor.fetchone()
    first = int((Path(folder) / "postmaster.pid").read_text().splitlines()[0])
    children = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if (parts := _status(entry)) and parts.get("PPid") == str(first)
    ]
    try:
        for number in (first, *children):
            os.kill(number, signal.SIGSTOP)
        yield
    finally:
        for number in (*children, first):
            os.kill(number, signal.SIGCONT)


def _status(entry: Path) -> dict[str, str]:
    try:
        lines = (entry / "status").read_text().splitlines()
    except OSError:  # it has ended
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def ask(web: WebProcess, path: str = "") -> tuple[int, Any]:
    """Return status and JSON; fails when the answer took so long that a monitor had given up."""
    started = time.monotonic()
    status, body = web.get(HEALTH + path)
    assert time.monotonic() - started < IN_TIME_SECONDS
    return status, json.loads(body)


def test_a_database_that_hangs_is_told_in_time_to_everybody_who_asks(web):
    assert ask(web)[0] == 200
    with frozen_database():
        time.sleep(KEPT_SECONDS)
        answers: list[tuple[int, Any]] = []
        askers = [threading.Thread(target=lambda: answers.append(ask(web))) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert [status for status, _ in answers] == [503] * 8
        assert answers[0][1]["services"]["database"] == {"status": "unhealthy"}
        assert ask(web, "/ready")[0] == 503
        assert ask(web, "/live")[0] == 200
    wait_until(lambda: ask(web)[0] == 200)


@pytest.mark.parametrize("gone", ["hang", "kill"])
def test_a_redis_that_hangs_or_is_gone_degrades_and_holds_nothing_up(web, redis, gone):
    getattr(redis, gone)()
    status, body = ask(web)
    assert (status, body["status"], body["services"]["redis"]) == (200, "degraded", {"status": "unhealthy"})
    status, body = ask(web, "/ready")
    assert (status, body["ready"], body["degraded"]) == (200, True, True)
    if gone == "hang":
        redis.resume()
    else:
        redis.start()
    wait_until(lambda: ask(web)[1]["services"]["redis"]["status"] == "healthy")
    status, body = ask(web, "/ready")
    assert (status, body["degraded"]) == (200, True)  # workers have not had the time to be heard yet
