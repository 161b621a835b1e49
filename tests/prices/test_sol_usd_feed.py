"""Following SOL/USD against the sandbox: stream, poll, fallback, refusals, reconnection, and a clean stop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from django.db import connection
from pytest_django import Settings

from apps.core.metrics_registry import REGISTRY
from apps.core.money import SOL_MINT
from apps.prices import services as prices
from apps.prices.domain.points import PriceSource, SolUsd
from apps.prices.models import Tick
from apps.prices.services.sol_usd_feed import Patience, SolUsdFeed
from tests.core.misbehaving_server import MisbehavingServer, reply
from tests.prices.world import providers
from tests.sandbox_server import SandboxControl

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
HASTY = Patience(
    first_backoff=0.05,
    longest_backoff=0.2,
    after_429=0.5,
    after_refusal=0.5,
    poll=0.3,
    fallback=2.5,
    ask_second=0.1,
)


@contextmanager
def following(patience: Patience = HASTY) -> Iterator[None]:
    """Run the feed in a thread of its own while the block lasts."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    failure: list[BaseException] = []

    def follow() -> None:
        try:
            loop.run_until_complete(SolUsdFeed(patience).run(stop))
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failure.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
    assert not thread.is_alive()
    assert failure == []


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


def current(source: str | None = None, near: Decimal | None = None) -> Callable[[], bool]:
    def condition() -> bool:
        found = prices.sol_usd()
        if found is None or (source is not None and found.source != source):
            return False
        return near is None or abs(found.value - near) <= near / 100

    return condition


def sol_usd(market: SandboxControl) -> Decimal:
    return Decimal(str(market.state()["sol_usd"]))


def test_the_stream_keeps_the_price_current_and_stores_at_most_one_tick_a_second(market: SandboxControl) -> None:
    with following():
        eventually(current("pyth"))
        started = time.monotonic()
        target = sol_usd(market) * Decimal("1.1")
        market.set_sol_usd(target)
        eventually(current("pyth", near=target))
        time.sleep(1.5)
        stored = Tick.objects.filter(mint=SOL_MINT).count()
        assert 1 <= stored <= time.monotonic() - started + 3
        assert (REGISTRY.get_sample_value("sol_usd_age_seconds") or 99) < 5
    tick = Tick.objects.filter(mint=SOL_MINT).latest("id")
    assert tick.source == "pyth"
    assert tick.provider_at is not None


def test_a_stream_the_server_ends_is_opened_again(market: SandboxControl) -> None:
    with following():
        eventually(current("pyth"))
        market.fault("pyth", "server_error", count=3)
        time.sleep(0.5)
        target = sol_usd(market) * Decimal("0.9")
        market.set_sol_usd(target)
        eventually(current("pyth", near=target))


@pytest.mark.parametrize("kind", ["unauthorized", "rate_limit", "server_error", "hang", "disconnect", "null_price"])
def test_while_pyth_is_out_jupiter_stands_in_and_pyth_takes_over_when_it_is_back(
    market: SandboxControl, settings: Settings, kind: str
) -> None:
    pyth = {**providers(market)["pyth"], "pause_after_429_seconds": 0.5}
    settings.PROVIDERS = {**providers(market), "pyth": pyth}
    market.fault("pyth", kind)
    with following(Patience(**{**vars_of(HASTY), "idle": 1.0})):
        eventually(current("jupiter"))
        market.clear_faults()
        eventually(current("pyth"))


def vars_of(patience: Patience) -> dict[str, float]:
    return {name: getattr(patience, name) for name in Patience.__dataclass_fields__}


def test_a_stale_pyth_price_is_not_taken_for_new(market: SandboxControl) -> None:
    market.fault("pyth", "stale_price", age_seconds=120)
    with following():
        eventually(current("jupiter"))
        found = prices.sol_usd()
        assert found is not None
        assert not found.is_stale


def test_an_absurd_pyth_price_is_refused_because_jupiter_disagrees(market: SandboxControl) -> None:
    true = sol_usd(market)
    with following():
        eventually(current("pyth"))
        market.fault("pyth", "absurd_price", factor=Decimal(10))
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert current(near=true)()
            time.sleep(0.05)


def test_an_absurd_first_price_is_not_believed_either(market: SandboxControl) -> None:
    true = sol_usd(market)
    market.fault("pyth", "absurd_price", factor=Decimal(10))
    with following():
        eventually(current("jupiter", near=true))


def test_a_leap_both_sources_see_is_taken(market: SandboxControl) -> None:
    true = sol_usd(market)
    with following():
        eventually(current("pyth"))
        market.set_sol_usd(true / 2)
        eventually(current("pyth", near=true / 2))
        market.set_sol_usd(true)
        eventually(current("pyth", near=true))


def test_an_error_event_in_the_stream_is_never_parsed_as_a_price(market: SandboxControl, settings: Settings) -> None:
    server = MisbehavingServer()
    server.answers(
        STREAM_HEAD + b"event: error\ndata: Connection timeout reached (24h)\n\n", reply(404, raw=b"not found")
    )
    settings.PROVIDERS = {**providers(market), "pyth": {"base_url": server.url, "plan": "sandbox"}}
    with following():
        eventually(lambda: len(server.requests) > 2)
        eventually(current("jupiter"))
    server.close()


@pytest.mark.parametrize("pyth_is", ["unauthorized", "hang"])
def test_while_pyth_and_jupiter_are_out_dexscreener_stands_in(market: SandboxControl, pyth_is: str) -> None:
    market.fault("pyth", pyth_is)
    market.fault("jupiter_price", "server_error")
    with following():
        eventually(current("dexscreener", near=sol_usd(market)))


def test_on_a_plan_with_few_calls_dexscreener_stands_in_first(market: SandboxControl, settings: Settings) -> None:
    settings.PROVIDERS = providers(market, jupiter="keyless", dexscreener="keyless")
    market.fault("pyth", "unauthorized")
    with following():
        eventually(current("dexscreener", near=sol_usd(market)))


def streams_opened(server: MisbehavingServer) -> int:
    return sum("/price/stream" in head for head in server.requests)


def test_a_stream_that_is_only_kept_alive_is_opened_again(market: SandboxControl, settings: Settings) -> None:
    def keep_alive(connection: socket.socket) -> None:
        connection.sendall(STREAM_HEAD)
        for _ in range(100):
            connection.sendall(b":\n\n")
            time.sleep(0.05)

    server = MisbehavingServer()
    server.answers(keep_alive)
    settings.PROVIDERS = {**providers(market), "pyth": {"base_url": server.url, "plan": "sandbox"}}
    try:
        started = time.monotonic()
        with following(Patience(**{**vars_of(HASTY), "silence": 0.5, "poll": 60.0})):
            eventually(lambda: streams_opened(server) >= 2)
        assert time.monotonic() - started > 0.5
    finally:
        server.close()


def test_a_stream_is_opened_anew_before_the_server_would_end_it(
    market: SandboxControl, caplog: pytest.LogCaptureFixture
) -> None:
    with following(Patience(**{**vars_of(HASTY), "reopen_after": 1.0, "poll": 60.0})):
        eventually(lambda: caplog.text.count("sol_usd_stream_opened") >= 3)
        assert current("pyth")()
    assert "sol_usd_stream_lost" not in caplog.text


def test_a_stream_that_cannot_be_opened_is_tried_less_and_less_often(
    market: SandboxControl, settings: Settings
) -> None:
    server = MisbehavingServer()
    server.answers(*[reply(404, raw=b"Price ids not found")] * 40)
    settings.PROVIDERS = {**providers(market), "pyth": {"base_url": server.url, "plan": "sandbox"}}
    patience = Patience(**{**vars_of(HASTY), "first_backoff": 0.1, "longest_backoff": 0.8, "poll": 60.0})
    try:
        started = time.monotonic()
        with following(patience):
            eventually(lambda: streams_opened(server) >= 5)
        assert time.monotonic() - started > 0.7  # at the first pause it would take 0.4
    finally:
        server.close()


def test_nothing_is_made_up_while_no_source_answers(market: SandboxControl) -> None:
    market.fault(["pyth", "jupiter_price", "dexscreener"], "server_error")
    with following():
        time.sleep(1)
        assert prices.sol_usd() is None
        assert REGISTRY.get_sample_value("sol_usd_age_seconds") == float("inf")
    assert not Tick.objects.exists()


def test_a_restart_goes_on_from_the_stored_price_and_does_not_believe_a_leap_from_it(market: SandboxControl) -> None:
    true = sol_usd(market)
    prices.record_sol_usd(SolUsd(true, datetime.now(UTC) - timedelta(seconds=40), PriceSource.PYTH))
    market.fault("pyth", "absurd_price", factor=Decimal(10))
    market.fault(["jupiter_price", "dexscreener"], "server_error")
    with following():
        time.sleep(1)
        found = prices.sol_usd()
        assert found is not None
        assert (found.value, found.is_stale) == (true, True)


@pytest.mark.parametrize("source", ["pyth", "jupiter_price"])
def test_the_feed_stops_at_once_even_while_a_source_hangs(market: SandboxControl, source: str) -> None:
    market.fault(source, "hang")
    with following():
        time.sleep(0.7)
        asked = time.monotonic()
    assert time.monotonic() - asked < 10  # the source hangs for minutes


def test_the_command_follows_the_price_and_ends_cleanly_on_sigterm(market: SandboxControl) -> None:
    port = urlsplit(market.base_url).port
    environment = {**os.environ, "SANDBOX_PORT": str(port), "DATABASE_URL": database_url(), "SOLDESK_DEMO": "1"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "stream_prices"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: Tick.objects.filter(mint=SOL_MINT).exists())
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert time.monotonic() - asked < 30  # most of it the interpreter's own end, on a busy machine
    finally:
        process.kill()
        _, logs = process.communicate()
        print(logs)
    assert re.search(r"sol_usd_stream_opened", logs)
    assert re.search(r"sol_usd_feed_stopped", logs)


def database_url() -> str:
    """Return the URL of the database this test runs on."""
    known = connection.settings_dict
    return (
        f"postgresql://{quote(known['USER'])}:{quote(known['PASSWORD'])}@/{known['NAME']}"
        f"?host={quote(known['HOST'], safe='')}&port={known['PORT']}"
    )
