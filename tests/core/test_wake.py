"""Wake-ups: by name, quick, limited to 100 ms, never an error, whatever Redis does."""

from __future__ import annotations

import base64
import json
import os
import threading
import time

import pytest
from celery import current_app
from django.db import transaction

from apps.core import wake as wake_module
from apps.core.quick_redis import quick_redis
from apps.core.wake import queue_of, wake, wake_on_commit
from tests.own_redis import OwnRedis

QUEUE = "test-wake"
MACHINE_SECONDS = 0.1  # what a busy machine may add to a time


@pytest.fixture(autouse=True)
def fresh_publisher(monkeypatch):
    monkeypatch.setattr(wake_module, "_publisher", wake_module._Publisher())
    quick_redis().ask(lambda client: client.delete(QUEUE))


@pytest.fixture
def own_redis(tmp_path, monkeypatch):
    own = OwnRedis(tmp_path)
    own.start()
    monkeypatch.setattr(current_app.conf, "broker_url", own.url)
    yield own
    own.kill()


def waiting() -> list[dict]:
    return [json.loads(raw) for raw in quick_redis().ask(lambda client: client.lrange(QUEUE, 0, -1))]


def test_a_wake_up_is_a_celery_message_that_expires():
    assert wake("trading.process_signal", 42, queue=QUEUE) is True
    (message,) = waiting()
    assert message["headers"]["task"] == "trading.process_signal"
    assert message["headers"]["expires"] is not None
    assert json.loads(base64.b64decode(message["body"]))[0] == [42]


def test_tasks_go_to_the_queue_of_the_worker_that_owns_them():
    assert queue_of("trading.process_signal") == "trading"
    assert queue_of("trading.run_exits") == "critical"
    assert queue_of("trading.watch") == "prices.0"
    assert queue_of("anything.else") == "default"


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_on_commit_waits_for_the_commit_and_dies_with_a_rollback():
    with transaction.atomic():
        wake_on_commit("trading.process_signal", 1, queue=QUEUE)
        assert waiting() == []
    assert len(waiting()) == 1
    with pytest.raises(RuntimeError), transaction.atomic():
        wake_on_commit("trading.process_signal", 2, queue=QUEUE)
        raise RuntimeError
    assert len(waiting()) == 1


@pytest.mark.parametrize("warm", [True, False])
def test_a_hanging_redis_costs_100_ms_once_and_then_nothing_for_a_second(own_redis, warm):
    if warm:
        assert wake("t", queue=QUEUE)
    own_redis.hang()
    started = time.perf_counter()
    assert wake("t", queue=QUEUE) is False
    assert time.perf_counter() - started < 0.1 + MACHINE_SECONDS
    started = time.perf_counter()
    assert not any(wake("t", queue=QUEUE) for _ in range(100))
    assert time.perf_counter() - started < MACHINE_SECONDS


def test_many_threads_pay_for_a_hanging_redis_together(own_redis):
    assert wake("t", queue=QUEUE)
    own_redis.hang()
    slowest = []

    def call() -> None:
        started = time.perf_counter()
        assert wake("t", queue=QUEUE) is False
        slowest.append(time.perf_counter() - started)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slowest) == 8
    assert max(slowest) < 0.2 + MACHINE_SECONDS


def test_a_dead_redis_is_no_error_and_wake_ups_resume_when_it_is_back(own_redis, monkeypatch):
    assert wake("t", queue=QUEUE)
    own_redis.kill()
    assert wake("t", queue=QUEUE) is False
    monkeypatch.setattr(current_app.conf, "broker_url", os.environ["REDIS_URL"])
    assert wake("t", queue=QUEUE) is False
    time.sleep(wake_module.LEFT_ALONE_SECONDS + 0.05)
    assert wake("t", queue=QUEUE) is True


def test_a_forked_child_opens_a_connection_of_its_own():
    assert wake("t", queue=QUEUE)
    child = os.fork()
    if child == 0:
        os._exit(0 if wake_module._publisher._producer is None and wake("t", queue=QUEUE) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert wake("t", queue=QUEUE)
    assert len(waiting()) == 3
