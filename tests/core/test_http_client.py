"""The clients on a real socket: retries, deadlines, breaker, pause, keep-alive, forks and cancelled calls."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings
from redis import Redis

from apps.core import http
from apps.core.http import call_loop
from apps.core.metrics_registry import REGISTRY
from tests.core.misbehaving_server import MisbehavingServer, cut, drip, reply, silence
from tests.desk import wait_until


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    running = MisbehavingServer()
    yield running
    running.close()


@pytest.fixture(params=["sync", "async"])
def get(request: pytest.FixtureRequest, server: MisbehavingServer, settings: Settings) -> Callable[..., Any]:
    """Call through the sync and through the async client: both must behave alike."""
    configure(settings, server.url)

    def sync(operation: str = "quote", path: str = "/a", params: Any = None, **options: Any) -> http.Answer:
        return http.client("jupiter").get(operation, path, params, **{"deadline_seconds": 20.0, **options})

    def asynchronous(operation: str = "quote", path: str = "/a", params: Any = None, **options: Any) -> http.Answer:
        async def call() -> http.Answer:
            client = http.async_client("jupiter")
            return await client.get(operation, path, params, **{"deadline_seconds": 20.0, **options})

        return call_loop.run(call(), timeout_seconds=60)

    return sync if request.param == "sync" else asynchronous


def configure(settings: Settings, url: str, **values: Any) -> None:
    settings.PROVIDERS = {"jupiter": {"base_url": url, "plan": "sandbox", **values}}


def calls(operation: str, outcome: str) -> float:
    labels = {"provider": "jupiter", "operation": operation, "outcome": outcome}
    return REGISTRY.get_sample_value("provider_calls_total", labels) or 0


def test_answer_is_exact_and_the_key_goes_in_the_header(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    configure(settings, server.url + "/jupiter/", api_key="jup_secret")
    server.answers(reply(body={"price": 0.1}))
    answer = get(path="/price/v3", params={"ids": "a,b"})
    assert answer.payload == {"price": Decimal("0.1")}
    head = server.requests[0].lower()
    assert head.startswith("get /jupiter/price/v3?ids=a,b ")
    assert "x-api-key: jup_secret" in head
    assert "jup_secret" not in repr(http.provider_config("jupiter"))


def test_connection_is_kept_for_the_next_call(get: Callable[..., Any], server: MisbehavingServer) -> None:
    for _ in range(20):
        get()
    assert server.connections == 1


@pytest.mark.parametrize("trouble", [reply(500), reply(503, raw=b"busy"), reply(raw=b"<html>"), cut])
def test_trouble_is_tried_again(get: Callable[..., Any], server: MisbehavingServer, trouble: Any) -> None:
    server.answers(trouble, trouble, reply(body={"ok": 1}))
    assert get().payload == {"ok": 1}
    assert len(server.requests) == 3


def test_trouble_without_end_is_raised_after_three_attempts(get: Callable[..., Any], server: MisbehavingServer) -> None:
    server.answers(reply(500))
    before = calls("quote", "unavailable")
    with pytest.raises(http.ProviderUnavailable):
        get()
    assert len(server.requests) == 3
    assert calls("quote", "unavailable") == before + 3


def test_a_refusal_is_not_tried_again(get: Callable[..., Any], server: MisbehavingServer) -> None:
    server.answers(reply(400, {"error": "no", "errorCode": "NO_ROUTES_FOUND"}))
    with pytest.raises(http.ProviderRejected) as caught:
        get()
    assert caught.value.body_code == "NO_ROUTES_FOUND"
    assert len(server.requests) == 1


def test_silence_ends_with_the_deadline(get: Callable[..., Any], server: MisbehavingServer) -> None:
    server.answers(silence)
    started = time.perf_counter()
    with pytest.raises(http.ProviderTimeout):
        get(deadline_seconds=0.3)
    assert 0.25 < time.perf_counter() - started < 5


def test_a_dripping_body_ends_with_the_deadline(get: Callable[..., Any], server: MisbehavingServer) -> None:
    server.answers(drip)
    started = time.perf_counter()
    with pytest.raises(http.ProviderTimeout):
        get(deadline_seconds=0.3)
    assert time.perf_counter() - started < 5


def test_a_429_is_tried_again_when_the_reset_is_within_the_deadline(
    get: Callable[..., Any], server: MisbehavingServer
) -> None:
    server.answers(reply(429, headers={"Retry-After": "0.2"}), reply(body={"ok": 1}))
    started = time.perf_counter()
    assert get().payload == {"ok": 1}
    assert time.perf_counter() - started >= 0.2


def test_a_429_beyond_the_deadline_is_raised_at_once_and_pauses_every_call(
    get: Callable[..., Any], server: MisbehavingServer
) -> None:
    server.answers(reply(429, headers={"x-ratelimit-reset": str(int(time.time()) + 90)}))
    started = time.perf_counter()
    for _ in range(5):
        with pytest.raises(http.ProviderRateLimited) as caught:
            get()
        assert 60 < caught.value.retry_after_seconds <= 90
    assert time.perf_counter() - started < 15
    assert len(server.requests) == 1


def test_breaker_stops_calls_to_a_dead_provider_and_lets_them_go_when_it_is_back(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    configure(settings, server.url, breaker_open_seconds=1.0)
    server.answers(reply(500))
    for _ in range(2):
        with pytest.raises(http.ProviderUnavailable):
            get()
    seen = len(server.requests)
    assert seen == 5
    with pytest.raises(http.BreakerOpen):
        get()
    assert len(server.requests) == seen
    get_other = get
    server.answers(reply(body={"ok": 1}))
    assert get_other("prices").payload == {"ok": 1}
    assert wait_until(lambda: closed_again(get)) == {"ok": 1}
    assert get().payload == {"ok": 1}


def closed_again(get: Callable[..., Any]) -> Any:
    try:
        return get().payload
    except http.BreakerOpen:
        return None


def test_exits_neither_open_a_breaker_nor_wait_for_one(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    configure(settings, server.url, breaker_open_seconds=60)
    server.answers(reply(500))
    for _ in range(3):
        with pytest.raises(http.ProviderUnavailable):
            get(lane=http.Lane.EXIT_QUOTE)
    server.answers(reply(body={"ok": 1}))
    assert get().payload == {"ok": 1}
    server.answers(reply(500))
    for _ in range(2):
        with pytest.raises(http.ProviderUnavailable):
            get()
    with pytest.raises(http.BreakerOpen):
        get()
    server.answers(reply(body={"ok": 1}))
    assert get(lane=http.Lane.EXIT_QUOTE).payload == {"ok": 1}
    assert get().payload == {"ok": 1}


def test_budget_refuses_without_sending_and_names_the_lane(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    settings.REDIS_URL = ""
    configure(settings, server.url, plan="keyless")
    with pytest.raises(http.BudgetExhausted) as caught:
        for _ in range(31):
            get(lane=http.Lane.ENTRY_QUOTE)
    assert caught.value.lane == "entry_quote"
    assert caught.value.details["lane"] == "entry_quote"
    assert len(server.requests) == 11
    get(lane=http.Lane.EXIT_QUOTE)


def test_budget_is_shared_with_the_other_processes(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    configure(settings, server.url, plan="keyless")
    for key in (redis := Redis.from_url(settings.REDIS_URL)).scan_iter("soldesk:http:*"):
        redis.delete(key)
    for _ in range(3):
        get(lane=http.Lane.REST)
        http.forget_clients()  # what another process knows: nothing but what is in Redis
    for _ in range(3):
        get(lane=http.Lane.REST)
    with pytest.raises(http.BudgetExhausted):
        get(lane=http.Lane.REST)
    server.answers(reply(429, headers={"Retry-After": "30"}))
    with pytest.raises(http.ProviderRateLimited):
        get(lane=http.Lane.EXIT_QUOTE)
    http.forget_clients()
    with pytest.raises(http.ProviderRateLimited):
        get(lane=http.Lane.EXIT_QUOTE)
    assert len(server.requests) == 7
    for key in redis.scan_iter("soldesk:http:*"):
        redis.delete(key)
    redis.close()


def test_budget_goes_on_in_memory_while_redis_is_away(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    configure(settings, server.url, plan="keyless")
    with pytest.raises(http.BudgetExhausted):
        for _ in range(31):
            get(lane=http.Lane.REST)
    assert len(server.requests) == 6


def test_a_provider_nobody_listens_at_is_unavailable(get: Callable[..., Any], settings: Settings) -> None:
    configure(settings, "http://127.0.0.1:1")
    with pytest.raises(http.ProviderUnavailable):
        get()


def test_a_plain_server_behind_an_https_address_gives_no_answer(
    get: Callable[..., Any], server: MisbehavingServer, settings: Settings
) -> None:
    configure(settings, server.url.replace("http://", "https://"))
    with pytest.raises((http.ProviderUnavailable, http.ProviderTimeout)):
        get(deadline_seconds=0.3)
    assert server.requests == []


def test_a_compressed_answer_is_read(get: Callable[..., Any], server: MisbehavingServer) -> None:
    server.answers(reply(raw=gzip.compress(b'{"price": 0.1}'), headers={"Content-Encoding": "gzip"}))
    assert get().payload == {"price": Decimal("0.1")}


def test_a_redirect_is_not_followed(get: Callable[..., Any], server: MisbehavingServer) -> None:
    server.answers(reply(302, headers={"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(http.ProviderRejected):
        get()
    assert len(server.requests) == 1


async def test_waiting_for_the_call_loop_inside_an_event_loop_is_refused(server: MisbehavingServer) -> None:
    with pytest.raises(RuntimeError, match="await"):
        call_loop.run(asyncio.sleep(0))


def test_threads_share_one_client(server: MisbehavingServer, settings: Settings) -> None:
    configure(settings, server.url)
    found = []
    threads = [threading.Thread(target=lambda: found.append(http.client("jupiter"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_a_forked_child_opens_its_own_connections(server: MisbehavingServer, settings: Settings) -> None:
    configure(settings, server.url)
    server.answers(reply(body={"ok": 1}))
    http.client("jupiter").get("quote", "/parent", deadline_seconds=20)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"no"
        try:
            http.client("jupiter").get("quote", "/child", deadline_seconds=20)

            async def call() -> http.Answer:
                return await http.async_client("jupiter").get("quote", "/child-loop", deadline_seconds=20)

            call_loop.run(call(), timeout_seconds=30)
            outcome = b"ok"
        finally:
            os.write(writing, outcome)
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 2) == b"ok"
    os.waitpid(child, 0)
    os.close(reading)
    http.client("jupiter").get("quote", "/parent-again", deadline_seconds=20)
    assert server.connections == 3


async def test_cancelled_calls_leave_the_pool_usable(server: MisbehavingServer, settings: Settings) -> None:
    configure(settings, server.url, max_connections=4)
    server.answers(silence)
    client = http.async_client("jupiter")
    hanging = [asyncio.create_task(client.get("quote", "/h", deadline_seconds=60)) for _ in range(8)]
    await arrived(server, 4)
    for task in hanging:
        task.cancel()
    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    server.answers(reply(body={"ok": 1}))
    answers = await asyncio.gather(*(client.get("quote", "/ok", deadline_seconds=20) for _ in range(8)))
    assert all(answer.payload == {"ok": 1} for answer in answers)
    await client.close()


async def arrived(server: MisbehavingServer, number: int) -> None:
    """Wait until so many requests have come."""
    async with asyncio.timeout(60):
        while len(server.requests) < number:
            await asyncio.sleep(0.01)


async def test_one_hanging_call_delays_no_other(server: MisbehavingServer, settings: Settings) -> None:
    configure(settings, server.url)
    server.answers(silence, reply(body={"ok": 1}))
    client = http.async_client("jupiter")
    hanging = asyncio.create_task(client.get("quote", "/h", deadline_seconds=60))
    await arrived(server, 1)
    await asyncio.gather(*(client.get("quote", "/ok", deadline_seconds=20) for _ in range(10)))
    assert not hanging.done()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await client.close()


async def test_event_stream_yields_lines_and_silence_is_a_timeout(
    server: MisbehavingServer, settings: Settings
) -> None:
    configure(settings, server.url)
    server.answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata:{}\n\n:\n")
    client = http.async_client("jupiter")
    lines = []
    with pytest.raises(http.ProviderTimeout):
        async with client.lines("stream", "/s", idle_seconds=0.3) as stream:
            async for line in stream:
                lines.append(line)
    assert lines == ["data:{}", "", ":"]
    await client.close()


async def test_event_stream_refused_with_a_status_is_that_error(server: MisbehavingServer, settings: Settings) -> None:
    configure(settings, server.url)
    server.answers(reply(401, raw=b"unauthorized"))
    client = http.async_client("jupiter")
    with pytest.raises(http.ProviderRejected) as caught:
        async with client.lines("stream", "/s"):
            pass
    assert caught.value.http_status == 401
    assert caught.value.body_message == "unauthorized"
    await client.close()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"base_url": "ftp://x"}, "http"),
        ({"base_url": ""}, "http"),
        ({"base_url": "http://x", "plan": "gold"}, "no plan"),
        ({"base_url": "http://x", "pan": "free"}, "unknown keys: pan"),
    ],
)
def test_an_unusable_provider_setting_says_what_is_wrong(entry: dict[str, str], said: str, settings: Settings) -> None:
    settings.PROVIDERS = {"jupiter": entry}
    with pytest.raises(ValueError, match=said):
        http.client("jupiter")


def test_an_unknown_provider_is_refused(settings: Settings) -> None:
    settings.PROVIDERS = {}
    with pytest.raises(ValueError, match="no 'jupiter'"):
        http.client("jupiter")
