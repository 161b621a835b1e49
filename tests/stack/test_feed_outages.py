"""The feed of a desk of real processes while something hangs, freezes or dies: sockets stay, nothing is missed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import RECOVERY_SECONDS, ExitDesk
from tests.stack.feed_trader import FeedTrader, Following, in_step

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("no_faults_left")]

HANGS_MS = 20_000
#: A relay wakes at once; the rest is for a machine that does much else.
PROMPT_SECONDS = 15.0
CLOSES = 12


@pytest.fixture(scope="module")
def trader(exits: ExitDesk) -> FeedTrader:
    return FeedTrader(exits)


@pytest.fixture
def following(trader: FeedTrader) -> Iterator[Following]:
    with Following(trader) as following:
        yield following
        assert not following.closed


def check_told(trader: FeedTrader, following: Following, position: str, seconds: float = RECOVERY_SECONDS) -> None:
    """Assert that a purchase arrives, and that nothing was missed on the way."""
    wait_until(lambda: following.knows_of(position), seconds)
    wait_until(lambda: in_step(trader, following), RECOVERY_SECONDS)


def test_changes_and_prices_arrive_while_closes_and_an_export_hang(exits, trader, following) -> None:
    hung, other = exits.list_tokens(2)
    position = trader.buy(hung)
    wait_until(lambda: following.knows_of(position), RECOVERY_SECONDS)
    exits.fault("jupiter_quote", "latency", latency_ms=HANGS_MS, mints=[hung])
    answers: list[int] = []

    def ask(method: str, path: str) -> None:
        url = f"http://{trader.base}/api/v1{path}"
        headers = {"Authorization": f"Bearer {trader.token}"}
        answers.append(httpx.request(method, url, headers=headers, json={}, timeout=90).status_code)

    closes = [
        threading.Thread(target=ask, args=("POST", f"/agent-positions/{trader.agent}/{position}/close"))
        for _ in range(CLOSES)
    ]
    exporting = threading.Thread(target=ask, args=("GET", f"/agent-historical-swaps/export?agentId={trader.agent}"))
    with psycopg.connect(exits.desk.record()["DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE closed_trade IN ACCESS EXCLUSIVE MODE")
        for thread in [*closes, exporting]:
            thread.start()
        time.sleep(1)
        bought = trader.buy(other)
        began = time.monotonic()
        check_told(trader, following, bought, PROMPT_SECONDS)
        wait_until(lambda: following.priced_at > began, PROMPT_SECONDS)
        assert answers == []
        holder.rollback()
    exits.clear_faults()
    for thread in [*closes, exporting]:
        thread.join()
    assert len(answers) == CLOSES + 1
    wait_until(lambda: in_step(trader, following), RECOVERY_SECONDS)


def test_a_frozen_redis_is_noticed_said_and_made_up_for(exits, trader, following) -> None:
    with Following(trader, "*") as wide:
        with exits.frozen("redis"):
            bought = trader.buy(exits.list_tokens(1)[0])
            assert following.answers()
            wait_until(lambda: wide.states[-1:] == [False], RECOVERY_SECONDS)
            wait_until(lambda: wide.knows_of(bought), RECOVERY_SECONDS)
        wait_until(lambda: wide.states[-1:] == [True], RECOVERY_SECONDS)
        check_told(trader, following, bought)
        assert not wide.closed


def test_a_redis_that_is_killed_costs_nobody_the_socket(exits, trader, following) -> None:
    former = exits.desk.kill("redis")
    bought = trader.buy(exits.list_tokens(1)[0])
    exits.desk.wait_restarted("redis", former)
    check_told(trader, following, bought)
    began = time.monotonic()
    wait_until(lambda: following.priced_at > began, RECOVERY_SECONDS)


def test_a_postgresql_that_is_killed_costs_nobody_the_socket(exits, trader, following) -> None:
    former = exits.desk.kill("postgres")
    assert following.answers()
    exits.desk.wait_restarted("postgres", former)
    bought = trader.buy(exits.list_tokens(1)[0])
    check_told(trader, following, bought)
    began = time.monotonic()
    wait_until(lambda: following.priced_at > began, RECOVERY_SECONDS)


def test_a_relay_that_is_killed_tells_everything_once_it_is_back(exits, trader, following) -> None:
    snapshots = following.knows.snapshots
    former = exits.desk.kill("worker-default")
    bought = trader.buy(exits.list_tokens(1)[0])
    exits.desk.wait_restarted("worker-default", former)
    check_told(trader, following, bought)
    assert following.knows.snapshots <= snapshots + 1  # behind for two checks: a snapshot came first


def test_who_follows_a_web_process_that_is_killed_finds_everything_when_it_is_back(exits, trader) -> None:
    with Following(trader) as following:
        former = exits.desk.kill("web")
        wait_until(lambda: following.closed, RECOVERY_SECONDS)
        exits.desk.wait_restarted("web", former)
        bought = trader.buy(exits.list_tokens(1)[0])
    with Following(trader) as again:
        assert again.knows_of(bought)
        assert again.answers()
