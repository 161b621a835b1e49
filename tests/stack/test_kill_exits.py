"""`kill -9` of any process while the stops of a hundred positions fire: every one is sold, and none twice."""

from __future__ import annotations

import random
import time

import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import RECOVERY_SECONDS, ExitDesk

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("exact_books_at_last")]

SEED = 20261121
VICTIMS = ["worker-critical", "worker-prices", "postgres", "redis"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_every_stop_sells_once_whatever_is_killed(exits: ExitDesk, victim: str) -> None:
    mints = exits.hold_new(1)
    delay = random.Random(f"{SEED}{victim}").uniform(0.0, 0.2)
    exits.crash(*mints)
    wait_until(lambda: exits.has_fired(mints), RECOVERY_SECONDS)
    time.sleep(delay)

    former = exits.desk.kill(victim)

    exits.desk.wait_restarted(victim, former, RECOVERY_SECONDS)
    exits.wait_sold(mints)
    exits.check_sold_once(mints, f"seed {SEED}, {victim} killed after {delay * 1000:.0f} ms")
