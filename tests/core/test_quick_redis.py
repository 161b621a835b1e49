"""Redis in a hurry: what a thread asked with goes when the thread does."""

from __future__ import annotations

import threading

import redis
from django.conf import settings

from apps.core.quick_redis import QuickRedis


def test_threads_that_have_ended_leave_no_connection_and_bar_nobody():
    """A worker starts a thread for each burst of sales: hundreds of them in an hour, a few at once."""
    quick = QuickRedis(settings.REDIS_URL)
    pool = quick.ask(lambda client: client.connection_pool)
    assert isinstance(pool, redis.ConnectionPool)
    answers: list[list[object]] = []
    before = quick.ask(lambda client: len(client.client_list()))
    for _ in range(pool.max_connections + 1):
        thread = threading.Thread(target=lambda: answers.append(quick.tell((("ECHO", "here"),), operation="other")))
        thread.start()
        thread.join()

    assert answers == [[b"here"]] * (pool.max_connections + 1)
    assert quick.ask(lambda client: len(client.client_list())) < before + 10
    assert not quick.away
