"""Wake-ups: by name, quick, limited to 100 ms, never an error, whatever Redis does."""

from __future__ import annotations

import json
import os
import threading
import time
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from queue import Queue

import pytest
import structlog
from celery import current_app
from celery.contrib.testing.worker import start_worker
from django.db import transaction

from apps.core import wake as wake_module
from apps.core.quick_redis import QuickRedis, quick_redis
from apps.core.wake import queue_of, wake, wake_on_commit
from tests.desk import wait_until
from tests.own_redis import OwnRedis

QUEUE = "test-wake"
MACHINE_SECONDS = 2.0  # what a busy machine may add to a time; each wake-up that waited would cost its 80 ms


@pytest.fixture(autouse=True)
def fresh_publisher(monkeypatch):
    monkeypatch.setattr(wake_module, "_waker", wake_module._Waker())
    quick_redis().ask(lambda client: client.delete(QUEUE))


@pytest.fixture
def own_redis(tmp_path, settings):
    own = OwnRedis(tmp_path)
    own.start()
    settings.CELERY_BROKER_URL = own.url
    yield own
    own.kill()


def waiting() -> list[dict]:
    return [json.loads(raw) for raw in quick_redis().ask(lambda client: client.lrange(QUEUE, 0, -1))]


def test_a_wake_up_is_a_celery_message_that_expires():
    assert wake("trading.process_signal", 42, queue=QUEUE) is True
    (message,) = waiting()
    assert message["headers"]["task"] == "trading.process_signal"
    assert message["headers"]["expires"] is not None
    assert json.loads(b64decode(message["body"]))[0] == [42]


def published_by_celery(*args) -> dict:
    """Return the message Celery itself publishes for a wake-up."""
    with current_app.connection_for_write() as connection:
        current_app.send_task(
            "trading.process_signal", args, queue=QUEUE, expires=30, ignore_result=False, connection=connection
        )
    (raw,) = quick_redis().ask(lambda client: client.lrange(QUEUE, 0, 0))
    return json.loads(raw)


def steady(message: dict) -> dict:
    """Return a message without what is new in each, after a look at its form."""
    headers, properties = dict(message["headers"]), dict(message["properties"])
    task_id = headers.pop("id")
    assert task_id == headers.pop("root_id") == properties.pop("correlation_id")
    assert len(task_id) == len(properties.pop("delivery_tag")) == 36
    expires_in = datetime.fromisoformat(headers.pop("expires")) - datetime.now(UTC)
    assert timedelta(seconds=20) < expires_in <= timedelta(seconds=30)
    return {**message, "headers": headers, "properties": properties, "body": json.loads(b64decode(message["body"]))}


@pytest.mark.parametrize("args", [(), (42,), ("text", 7)])
def test_a_wake_up_is_to_the_letter_what_celery_publishes(args):
    theirs = published_by_celery(*args)
    assert wake("trading.process_signal", *args, queue=QUEUE)
    expected = steady(theirs)
    expected["properties"]["reply_to"] = ""  # nobody waits for a result
    del expected["properties"]["expiration"]  # for brokers that expire messages themselves: Redis is none
    assert steady(waiting()[0]) == expected


def test_a_worker_runs_what_it_was_woken_for_and_knows_the_request_that_caused_it(celery_task):
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        assert wake(celery_task.name, 42, "x", queue=QUEUE)
    with start_worker(current_app, pool="solo", perform_ping_check=False, queues=[QUEUE], loglevel="ERROR"):
        args, headers = celery_task.done.get(timeout=60)
    assert args == (42, "x")
    assert headers["request_id"] == "r-1"
    assert waiting() == []


@pytest.fixture
def celery_task():
    """A task that tells what it was called with."""

    @current_app.task(name="test.tell", bind=True)
    def tell(self, *args):
        tell.done.put((args, self.request.headers))

    tell.done = Queue()
    yield tell
    current_app.tasks.unregister("test.tell")


@pytest.mark.django_db(transaction=True)
def test_what_is_woken_together_is_sent_in_its_order_at_the_end(monkeypatch):
    sent = []
    monkeypatch.setattr(QuickRedis, "tell", lambda self, commands, **_options: sent.append(commands))
    with wake_module.together():
        wake_module.call_on_commit("channel")
        with wake_module.together():
            wake_on_commit("trading.process_signal", 1, queue=QUEUE)
        assert sent == []
    ((first, second),) = sent
    assert (first[:2], second[:2]) == (("PUBLISH", "channel"), ("LPUSH", QUEUE))
    with wake_module.together():
        pass
    assert len(sent) == 1


def test_a_connection_that_redis_closed_meanwhile_is_opened_anew(own_redis):
    assert wake("t", queue=QUEUE)
    own_redis.kill()
    own_redis.start()
    assert wake("t", queue=QUEUE)


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
@pytest.mark.usefixtures("hasty_redis")
def test_a_hanging_redis_costs_100_ms_once_and_then_nothing_for_a_second(own_redis, warm):
    if warm:
        assert woken()
    own_redis.hang()
    started = time.perf_counter()
    assert wake("t", queue=QUEUE) is False
    assert time.perf_counter() - started < 0.1 + MACHINE_SECONDS
    started = time.perf_counter()
    assert not any(wake("t", queue=QUEUE) for _ in range(100))
    assert time.perf_counter() - started < MACHINE_SECONDS


def woken() -> bool:
    """Wake until a Redis that is asked in haste has answered in time: a busy machine may stand still for a moment."""
    return wait_until(lambda: wake("t", queue=QUEUE))


def test_many_threads_pay_for_a_hanging_redis_together(own_redis, monkeypatch):
    monkeypatch.setattr(wake_module, "_COMMAND_SECONDS", 0.5)
    assert woken()
    own_redis.hang()
    slowest = []

    def call() -> None:
        started = time.perf_counter()
        assert wake("t", queue=QUEUE) is False
        slowest.append(time.perf_counter() - started)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slowest) == 16
    assert max(slowest) < 0.5 + MACHINE_SECONDS  # one after the other: eight seconds


def test_a_dead_redis_is_no_error_and_wake_ups_resume_when_it_is_back(own_redis, monkeypatch):
    monkeypatch.setattr(wake_module, "LEFT_ALONE_SECONDS", 60.0)
    assert wake("t", queue=QUEUE)
    own_redis.kill()
    assert wake("t", queue=QUEUE) is False
    own_redis.start()
    assert wake("t", queue=QUEUE) is False
    wake_module._waker._redis._away_until = 0.0  # the minute is over
    assert wake("t", queue=QUEUE) is True


def test_a_forked_child_opens_a_connection_of_its_own():
    assert wake("t", queue=QUEUE)
    child = os.fork()
    if child == 0:
        os._exit(0 if wake_module._waker._redis is None and wake("t", queue=QUEUE) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert wake("t", queue=QUEUE)
    assert len(waiting()) == 3
