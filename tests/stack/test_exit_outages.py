"""What hangs, fails or goes away while stops fire: a quote, Redis, the price providers. No exit is lost or doubled."""

from __future__ import annotations

import time

import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import RECOVERY_SECONDS, ExitDesk, report

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("exact_books_at_last", "no_faults_left")]

HANGS_MS = 40_000
#: A tick is a second; the rest is for a machine that does much else at once.
PROMPT_SECONDS = 20.0


def test_a_sale_that_hangs_delays_no_other_positions_stop(exits: ExitDesk) -> None:
    hung, other = exits.hold_new(2)
    exits.fault("jupiter_quote", "latency", latency_ms=HANGS_MS, mints=[hung])
    exits.crash(hung)
    wait_until(lambda: has_failed(exits, hung, times=3), RECOVERY_SECONDS)
    began = time.time()
    exits.crash(other)
    exits.wait_sold([other])
    sales = exits.check_sold_once([other])
    report("beside a sale that hangs", sales, began)
    assert max(sale.sold_at.timestamp() for sale in sales) - began < PROMPT_SECONDS
    assert exits.count([hung], "p.closed_at IS NULL") == exits.agents
    exits.clear_faults()
    exits.wait_sold([hung])
    exits.check_sold_once([hung])


def has_failed(exits: ExitDesk, mint: str, times: int) -> bool:
    """Tell whether every exit of a token has been tried `times` times and waits for its next attempt."""
    rows = exits.query(
        "SELECT count(*) FROM exit_intent i JOIN position p ON p.id = i.position_id"
        " WHERE p.mint = %s AND i.attempts >= %s AND i.status = 'due'",
        mint,
        times,
    )
    return bool(rows) and rows[0][0] == exits.agents


def test_every_stop_is_sold_while_redis_hangs(exits: ExitDesk) -> None:
    mints = exits.hold_new(2)
    with exits.frozen("redis"):
        began = time.time()
        exits.crash(*mints)
        exits.wait_sold(mints)
        report("while Redis hangs", exits.check_sold_once(mints), began)


def test_every_stop_is_sold_while_redis_is_down(exits: ExitDesk) -> None:
    mints = exits.hold_new(2)
    until = time.monotonic() + 5
    former = exits.desk.kill("redis")
    exits.crash(*mints)
    while time.monotonic() < until:
        exits.desk.wait_restarted("redis", former)
        former = exits.desk.kill("redis")
    exits.wait_sold(mints)
    exits.check_sold_once(mints)


@pytest.mark.parametrize(("kind", "options"), [("server_error", {"status": 503}), ("hang", {})])
def test_no_exit_is_lost_while_no_provider_tells_a_price(exits: ExitDesk, kind: str, options: dict[str, int]) -> None:
    mints = exits.hold_new(2)
    exits.fault(["jupiter_price", "dexscreener"], kind, **options)
    time.sleep(1.5)  # a poll under way may still have had its answer
    exits.crash(*mints)
    time.sleep(5)
    assert not exits.has_fired(mints)
    exits.clear_faults()
    began = time.time()
    exits.wait_sold(mints)
    report(f"after {kind}", exits.check_sold_once(mints), began)


def test_a_thousand_stops_that_fire_on_one_tick_are_all_sold_once(exits: ExitDesk) -> None:
    mints = exits.hold_new(10)
    began = time.time()
    exits.crash(*mints)
    exits.wait_sold(mints)
    sales = exits.check_sold_once(mints)
    assert len(sales) == 1000
    report("a thousand stops", sales, began)
