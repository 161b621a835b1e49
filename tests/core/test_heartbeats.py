"""Signs of life: written by every kind of process, read by health, forgotten when one ends."""

from __future__ import annotations

import threading
import time

import pytest
from celery import current_app

from apps.core import heartbeats
from apps.core.beat import Scheduler
from apps.core.quick_redis import quick_redis
from apps.core.redis import name
from apps.core.relay import Relay
from tests.own_redis import OwnRedis


@pytest.fixture(autouse=True)
def nobody_else():
    quick_redis().ask(lambda client: client.delete(name("heartbeats")))
    yield
    heartbeats.stop()


def names() -> list[str]:
    return [sign.name for sign in heartbeats.signs()]


def test_a_process_beats_until_it_stops():
    heartbeats.start("web")
    until = time.monotonic() + 5
    while not names() and time.monotonic() < until:
        time.sleep(0.01)
    (sign,) = heartbeats.signs()
    assert sign.name == "web"
    assert sign.age_seconds < 5
    heartbeats.stop()
    assert names() == []
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat-web" and not thread.daemon]


def test_workers_are_those_heard_of_lately():
    heartbeats.write("worker-trading")
    heartbeats.write("web")
    assert [sign.name for sign in heartbeats.list_workers()] == ["worker-trading"]
    silent = {"worker-old|host|1": time.time() - heartbeats.GONE_SECONDS - 1}
    quick_redis().ask(lambda client: client.zadd(name("heartbeats"), silent))
    assert [sign.name for sign in heartbeats.list_workers()] == ["worker-trading"]
    assert "worker-old" in names()


@pytest.mark.django_db(transaction=True)
def test_beat_beats_with_its_clock():
    assert heartbeats.beat_age_seconds() is None
    Scheduler(app=current_app, lazy=True).tick()
    age = heartbeats.beat_age_seconds()
    assert age is not None
    assert age < 5


@pytest.mark.django_db(transaction=True)
def test_the_leading_relay_beats():
    leading, waiting = Relay(), Relay()
    leading.run()
    assert names() == ["relay"]
    waiting.run()
    assert names() == ["relay"]
    leading.close()


def test_without_redis_nobody_is_known_and_nothing_fails(tmp_path, settings):
    own = OwnRedis(tmp_path)
    settings.REDIS_URL = own.url
    heartbeats.write("web")
    assert heartbeats.signs() == []
    assert heartbeats.list_workers() == []
    assert heartbeats.beat_age_seconds() is None
