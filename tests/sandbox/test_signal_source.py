"""The signal source against a small receiver: what it posts, and how it takes every kind of answer."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDictProxy

from apps.sandbox.domain import signals
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.scenarios import ScenarioName
from apps.sandbox.domain.signals import Candidate, Outcome
from apps.sandbox.options import Options
from apps.sandbox.signal_source import SignalSource

NOW = 1_790_000_000.0


class Receiver:
    """Takes signals and answers them as told; the last answer repeats."""

    def __init__(self, *answers: int, headers: dict[str, str] | None = None) -> None:
        self.answers = list(answers) or [201]
        self.headers = headers or {}
        self.received: list[tuple[float, CIMultiDictProxy[str], Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.received.append((time.monotonic(), request.headers, await request.json()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response({}, status=status, headers=self.headers if status == 429 else {})

    def has_taken_six(self) -> bool:
        return len(self.received) >= 6

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.received]

    @property
    def keys(self) -> list[str]:
        return [headers["X-API-Key"] for _, headers, _ in self.received]


@asynccontextmanager
async def listening(receiver: Receiver, port: int = 0) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/api/v1/trading-signals", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        host, actual = runner.addresses[0][:2]
        yield f"http://{host}:{actual}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def posting(url: str, *, market: Market | None = None, **options: Any) -> AsyncIterator[SignalSource]:
    settings = {"signal_key": "key-1", "signal_interval_seconds": 0.05, **options}
    source = SignalSource(Options(soldesk_url=url, **settings), market or a_market())
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def a_market() -> Market:
    market = Market(seed=7, demo_tokens=14, tick_ms=500, now=NOW, autonomous=False)
    for _ in range(5):
        market.step(NOW)
    return market


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def outcomes(source: SignalSource) -> dict[str, int]:
    return {name: number for name, number in source.as_document()["outcomes"].items() if number}


async def test_a_signal_is_what_the_desk_takes_from_any_strategy() -> None:
    receiver = Receiver()
    market = a_market()
    async with listening(receiver) as url, posting(url, market=market):
        await until(lambda: len(receiver.received) >= 5)
    for _, headers, body in receiver.received:
        assert set(body) == {"tokenAddress", "symbol", "signalType", "signalStrength", "activationReason", "source"}
        assert body["tokenAddress"] in market.demo_mints
        assert market.listing(body["tokenAddress"]).token.symbol == body["symbol"]
        assert body["signalType"] in ("Momentum", "Breakout", "Whale Buy", "New Listing")
        assert body["signalStrength"] in (1, 2, 3, 4, 5)
        assert body["source"] == "sandbox"
        assert headers["X-API-Key"] == "key-1"
        uuid.UUID(headers["X-Request-Id"])
    assert len({headers["X-Request-Id"] for _, headers, _ in receiver.received}) == len(receiver.received)


async def test_the_same_seed_posts_the_same_signals() -> None:
    first, second = Receiver(), Receiver()
    for receiver in (first, second):
        async with listening(receiver) as url, posting(url):
            await until(receiver.has_taken_six)
    assert first.bodies[:6] == second.bodies[:6]


async def test_duplicates_and_refusals_are_counted_and_do_not_slow_it_down() -> None:
    receiver = Receiver(409, 400, 201)
    async with listening(receiver) as url, posting(url) as source:
        await until(lambda: len(receiver.received) >= 4)
        assert outcomes(source) == {"duplicate": 1, "rejected": 1, "created": len(receiver.received) - 2}
        assert source.as_document()["status"] == "posting"


async def test_it_waits_as_long_as_a_429_asks_for() -> None:
    receiver = Receiver(429, 201, headers={"Retry-After": "1"})
    async with listening(receiver) as url, posting(url):
        await until(lambda: len(receiver.received) >= 2)
    assert receiver.received[1][0] - receiver.received[0][0] >= 0.95


async def test_server_errors_make_it_back_off_and_go_on() -> None:
    receiver = Receiver(503, 201)
    async with listening(receiver) as url, posting(url) as source:
        await until(lambda: outcomes(source).get("failed") == 1)
        assert source.as_document()["status"] == "backing_off"
        await until(lambda: outcomes(source).get("created", 0) >= 1)
        assert source.as_document()["status"] == "posting"
    assert receiver.received[1][0] - receiver.received[0][0] >= 0.95


async def test_a_desk_that_starts_is_waited_for_and_one_that_goes_away_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    receiver = Receiver()
    async with posting(f"http://127.0.0.1:{port}") as source:
        await until(lambda: source.as_document()["status"] == "waiting_for_desk")
        async with listening(receiver, port):
            await until(lambda: outcomes(source).get("created", 0) >= 1)
        await until(lambda: outcomes(source).get("unreachable", 0) >= 1)


async def test_it_waits_for_its_key_file_and_takes_up_a_new_key(tmp_path: Path) -> None:
    key_file = tmp_path / "folder" / "signal-key"
    receiver = Receiver(201, 401, 201)
    async with listening(receiver) as url, posting(url, signal_key=None, signal_key_file=key_file) as source:
        await until(lambda: source.as_document()["status"] == "waiting_for_key")
        assert receiver.received == []
        key_file.parent.mkdir()
        key_file.write_text("first\n")
        await until(lambda: outcomes(source).get("unauthorized") == 1)
        key_file.write_text("second\n")
        await until(lambda: len(receiver.received) >= 3)
    assert receiver.keys[:3] == ["first", "first", "second"]


async def test_pausing_and_resuming_take_effect_at_once() -> None:
    receiver = Receiver()
    async with listening(receiver) as url, posting(url, signal_interval_seconds=0.2) as source:
        await until(lambda: bool(receiver.received))
        source.steer(enabled=False, interval_seconds=None)
        await until(lambda: source.as_document()["status"] == "paused")
        count = len(receiver.received)
        await asyncio.sleep(0.5)
        assert len(receiver.received) == count
        source.steer(enabled=True, interval_seconds=0.05)
        await until(lambda: len(receiver.received) >= count + 3)
        assert source.as_document()["interval_seconds"] == 0.05


async def test_the_last_signals_are_shown_newest_first() -> None:
    receiver = Receiver(409, 201)
    async with listening(receiver) as url, posting(url) as source:
        await until(lambda: len(source.as_document()["recent"]) >= 2)
        recent = source.as_document()["recent"]
    assert (recent[-1]["outcome"], recent[-1]["status"]) == ("duplicate", 409)
    assert (recent[0]["outcome"], recent[0]["status"]) == ("created", 201)
    assert {"at", "symbol", "signal_type", "strength", "reason"} <= set(recent[0])


def test_a_rugged_token_is_not_called() -> None:
    market = a_market()
    rugged = market.demo_mints[0]
    market.start(rugged, ScenarioName.RUG)
    for _ in range(8):
        market.step(NOW)
    source = SignalSource(Options(), market)
    assert rugged not in {candidate.mint for candidate in source.candidates()}
    assert len(source.candidates()) == len(market.demo_mints) - 1


def test_rising_tokens_are_called_more_often_and_for_what_they_do() -> None:
    rising = Candidate("rising", "UP", 12.0, 90, 400)
    falling = Candidate("falling", "DOWN", -12.0, 90, 400)
    chosen = [signals.choose(7, number, [rising, falling]) for number in range(400)]
    called = [signal for signal in chosen if signal is not None and signal.mint == "rising"]
    assert len(called) > 0.75 * len(chosen)
    assert {signal.signal_type for signal in called} == {"Breakout"}
    assert {signal.strength for signal in called} == {1, 2, 3, 4, 5}
    assert signals.choose(7, 1, []) is None


def test_a_token_that_was_just_called_gives_way_to_others() -> None:
    called = Candidate("called", "ONE", 12.0, 90, 400, called_lately=True)
    quiet = Candidate("quiet", "TWO", 0.0, 90, 400)
    chosen = [signals.choose(7, number, [called, quiet]) for number in range(200)]
    assert sum(signal is not None and signal.mint == "quiet" for signal in chosen) > 100


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(201, Outcome.CREATED), (409, Outcome.DUPLICATE), (400, Outcome.REJECTED), (401, Outcome.UNAUTHORIZED),
     (403, Outcome.UNAUTHORIZED), (429, Outcome.RATE_LIMITED), (500, Outcome.FAILED), (503, Outcome.FAILED)],
)  # fmt: skip
def test_every_status_has_its_outcome(status: int, outcome: Outcome) -> None:
    assert signals.outcome_of(status) is outcome
