"""Values and windows that outlive Redis: the memory of the process stands in while it is away."""

from __future__ import annotations

import time

import pytest

from apps.core import redis as shared
from tests.desk import wait_until
from tests.own_redis import OwnRedis


@pytest.fixture
def own(tmp_path, settings):
    redis = OwnRedis(tmp_path)
    redis.start()
    settings.REDIS_URL = redis.url
    yield redis
    redis.kill()


def test_a_value_is_kept_for_its_time(own):
    shared.put("short", "1", seconds=1.0)
    shared.put("long", b"2", seconds=120)
    assert shared.get_many(["short", "long", "none"]) == [b"1", b"2", None]
    wait_until(lambda: shared.get("short") is None)
    assert shared.get("long") == b"2"


def test_values_and_windows_go_on_in_memory_while_redis_is_away(own):
    shared.put("kept", "1", seconds=60)
    assert [shared.count("window", seconds=60) for _ in range(3)] == [1, 2, 3]
    own.kill()
    assert shared.get("kept") == b"1"
    assert [shared.count("window", seconds=60) for _ in range(2)] == [1, 2]
    shared.put("new", "2", seconds=60)
    assert shared.get("new") == b"2"


def test_a_window_opens_with_its_first_event_and_ends(own):
    assert shared.count("w", seconds=1.0) == 1
    assert shared.count("w", seconds=1.0) == 2
    time.sleep(1.1)
    assert shared.count("w", seconds=1.0) == 1


def test_memory_is_bounded(monkeypatch):
    memory = shared._Memory()
    monkeypatch.setattr(shared, "_MEMORY_LIMIT", 10)
    for number in range(50):
        memory.put(str(number), number, 60)
    assert memory.get("49") == 49
    assert memory.get("0") is None
    assert len(memory._values) <= 10


def test_names_keep_desks_on_one_server_apart(settings):
    settings.REDIS_URL = "redis://:secret@127.0.0.1:6379/3"
    assert shared.name("feed") == "soldesk:3:feed"
    settings.REDIS_URL = "redis://127.0.0.1:6379"
    assert shared.name("feed") == "soldesk:0:feed"
