"""`kill -9` of any process while the stops of a hundred positions fire: every one is sold, and none twice."""

from __future__ import annotations

import random
import time
from functools import partial

import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import CHANCES, RECOVERY_SECONDS, REPEATS, SEED, ExitDesk

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("exact_books_at_last")]

VICTIMS = ["worker-critical", "worker-prices", "postgres", "redis"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_every_stop_sells_once_whatever_is_killed(exits: ExitDesk, victim: str) -> None:
    chance = random.Random(f"{SEED}{victim}")
    for mint in exits.hold_new(REPEATS):
        exits.crash(mint)
        wait_until(partial(exits.has_fired, [mint]), RECOVERY_SECONDS)
        delay = chance.uniform(0.0, 0.2)
        time.sleep(delay)

        former = exits.desk.kill(victim)

        exits.desk.wait_restarted(victim, former, RECOVERY_SECONDS)
        exits.wait_sold([mint])
        exits.check_sold_once([mint], f"{CHANCES}, {victim} killed after {delay * 1000:.0f} ms")
