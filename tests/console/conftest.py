"""A running web process and a relay for the tests of feed and desk: one per module, or one to be killed.

What reads Django's settings is imported inside: this file is read before there are any.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.own_redis import OwnRedis


@pytest.fixture(scope="module")
def module_redis(tmp_path_factory) -> Iterator[OwnRedis]:
    own = OwnRedis(tmp_path_factory.mktemp("redis"))
    own.start()
    yield own
    own.kill()


@pytest.fixture(scope="module")
def module_web(module_redis, tmp_path_factory, django_db_setup, django_db_blocker):
    from tests.console.web_process import WebProcess

    with django_db_blocker.unblock():
        process = WebProcess(module_redis.url, tmp_path_factory.mktemp("web") / "web.log")
        process.start()
    yield process
    process.kill()


@pytest.fixture
def redis(module_redis, settings) -> OwnRedis:
    """The Redis the module's web process listens to, for this process as well."""
    settings.REDIS_URL = module_redis.url
    return module_redis


@pytest.fixture
def web(redis, module_web, transactional_db):
    """The module's web process."""
    return module_web


@pytest.fixture
def own_redis(tmp_path, settings) -> Iterator[OwnRedis]:
    """A Redis this test may kill."""
    own = OwnRedis(tmp_path)
    own.start()
    settings.REDIS_URL = own.url
    yield own
    own.kill()


@pytest.fixture
def own_web(own_redis, tmp_path, transactional_db):
    """A web process this test may kill, on a Redis it may kill."""
    from tests.console.web_process import WebProcess

    process = WebProcess(own_redis.url, tmp_path / "web.log")
    process.start()
    yield process
    process.kill()


@pytest.fixture
def relaying(transactional_db, settings) -> Iterator[None]:
    """Carry the outbox as worker-default does; ask for it after the Redis it speaks to."""
    from apps.core import relay

    working, stopped, wanted = relay.Relay(), threading.Event(), threading.Event()

    def carry() -> None:
        while not stopped.is_set():
            working.run()
            working.pause(wanted, 0.2)
        working.close()

    thread = threading.Thread(target=carry)
    thread.start()
    yield
    stopped.set()
    thread.join()


@pytest.fixture
def window():
    """A browser window."""
    from tests.console.browser import Window

    opened = Window()
    yield opened
    assert opened.errors == []
    opened.close()
