"""`kill -9` of the watching worker in the middle of its ticks: no exit is lost or doubled, and no rise is forgotten."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from functools import partial

import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import CHANCES, RECOVERY_SECONDS, REPEATS, SEED, ExitDesk

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("exact_books_at_last")]

ROUNDS = 2 + REPEATS
#: A tick and a bit, so that kills fall anywhere in it.
LONGEST_DELAY_SECONDS = 1.3
WATCHER = "worker-prices"
#: The traders' stop follows the peak at a distance of 10 % of the average price (mode fixed, from +20 % on).
DISTANCE = Decimal("0.1")


def test_rises_seen_before_a_kill_still_raise_the_stop_after_it(exits: ExitDesk) -> None:
    (mint,) = exits.hold_new(1)
    launch = exits.price(mint)
    chance = random.Random(SEED)
    for step in range(1, ROUNDS + 1):
        with exits.held_rows(mint):  # so that the watch cannot write the rise back to the positions before it dies
            peak = exits.set_price(mint, launch * (1 + step * DISTANCE * 3))
            if step == ROUNDS:  # this one was surely seen; whether the others were depends on the delay
                wait_until(partial(is_recorded, exits, mint, peak), RECOVERY_SECONDS)
            time.sleep(chance.uniform(0, LONGEST_DELAY_SECONDS))
            former = exits.desk.kill(WATCHER)
        assert exits.count([mint], f"p.peak_price_sol >= {peak}") == 0
        exits.set_price(mint, peak - launch * DISTANCE / 2)  # who starts now never sees the peak itself
        exits.desk.wait_restarted(WATCHER, former, RECOVERY_SECONDS)
        exits.wait_ticks(mint, 2)
    assert not exits.has_fired([mint]), CHANCES

    highest = max(price for price, _ in exits.ticks_of(mint))
    stops = {
        position: highest - average * DISTANCE
        for position, average in exits.query("SELECT id, purchase_price FROM position WHERE mint = %s", mint)
    }
    exits.set_price(mint, max(stops.values()) * Decimal("1.002"))
    exits.wait_ticks(mint, 2)
    assert not exits.has_fired([mint]), f"a stop fired above its level: {CHANCES}"
    exits.set_price(mint, min(stops.values()) * Decimal("0.998"))
    exits.wait_sold([mint])
    exits.check_sold_once([mint], CHANCES)
    fired = exits.query(
        "SELECT i.position_id, (i.details ->> 'stopPriceSol')::numeric FROM exit_intent i"
        " JOIN position p ON p.id = i.position_id WHERE p.mint = %s AND i.status = 'done'",
        mint,
    )
    assert {position: abs(stop / stops[position] - 1) < Decimal("1e-9") for position, stop in fired} == dict.fromkeys(
        stops, True
    ), CHANCES


def is_recorded(exits: ExitDesk, mint: str, price: Decimal) -> bool:
    """Tell whether a tick at this price, or a hair beside it, is stored."""
    return any(abs(seen / price - 1) < Decimal("1e-6") for seen, _ in exits.ticks_of(mint))


def test_no_stop_is_lost_or_doubled_however_the_watch_is_killed_while_prices_fall(exits: ExitDesk) -> None:
    chance = random.Random(SEED + 1)
    mints = exits.hold_new(ROUNDS)
    for mint in mints:
        exits.crash(mint)
        delay = chance.uniform(0, LONGEST_DELAY_SECONDS)
        time.sleep(delay)
        former = exits.desk.kill(WATCHER)
        exits.desk.wait_restarted(WATCHER, former, RECOVERY_SECONDS)
    exits.wait_sold(mints)
    exits.check_sold_once(mints, CHANCES)
