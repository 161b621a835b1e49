"""`kill -9` of a process while a hundred positions take profit or are added to: once each, though nothing latches."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial

import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import CHANCES, RECOVERY_SECONDS, REPEATS, SEED, ExitDesk

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("rules", "exact_books_at_last")]

VICTIMS = ["worker-critical", "worker-prices", "postgres"]
#: The price that fires it as a share of the average, the flag of its fills, the counter on the position.
ADJUSTS = {
    "take_profit": (Decimal("1.7"), "is_take_profit", "take_profit_levels_hit"),
    "dca": (Decimal("0.7"), "is_dca", "dca_count"),
}
RULES = {
    "takeProfit": {
        "enabled": True,
        "mode": "custom",
        "levels": [{"targetPercent": 50, "sellPercent": 25}, {"targetPercent": 5000, "sellPercent": 75}],
        "moonBag": {"enabled": False, "triggerPercent": 300, "retainPercent": 10},
    },
    "dca": {
        "enabled": True,
        "mode": "custom",
        "levels": [{"dropPercent": -20, "buyPercent": 50}],
        "maxDCACount": 1,
        "cooldownSeconds": 30,
    },
}


@pytest.fixture(scope="module")
def rules(exits: ExitDesk) -> Iterator[None]:
    """Let the desk's agents take profit and add while these tests run; the rules they had come back."""
    changed = exits.query(
        "UPDATE agent SET trading_config = trading_config || %s::jsonb WHERE trading_config IS NOT NULL RETURNING id",
        json.dumps(RULES),
    )
    assert len(changed) >= exits.agents
    yield
    exits.query(
        "UPDATE agent SET trading_config = trading_config - 'takeProfit' - 'dca' WHERE id = ANY(%s) RETURNING id",
        [row[0] for row in changed],
    )


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("reason", ADJUSTS)
def test_every_adjust_is_booked_once_whatever_is_killed(exits: ExitDesk, reason: str, victim: str) -> None:
    share, flag, counter = ADJUSTS[reason]
    chance = random.Random(f"{SEED}{victim}{reason}")
    for mint in exits.hold_new(REPEATS):
        exits.set_price(mint, exits.price(mint) * share)
        wait_until(partial(exits.has_fired, [mint]), RECOVERY_SECONDS)
        delay = chance.uniform(0.0, 0.2)
        time.sleep(delay)

        former = exits.desk.kill(victim)

        exits.desk.wait_restarted(victim, former, RECOVERY_SECONDS)
        note = f"{CHANCES}, {victim} killed after {delay * 1000:.0f} ms"
        wait_until(partial(all_adjusted, exits, mint, counter), RECOVERY_SECONDS)
        fills = exits.query(
            f"SELECT p.generation, p.closed_at IS NULL, count(t.id) FROM position p"
            f" JOIN transaction t ON t.position_id = p.id AND t.{flag} WHERE p.mint = %s GROUP BY p.id",
            mint,
        )
        assert Counter(fills) == {(2, True, 1): exits.agents}, note


def all_adjusted(exits: ExitDesk, mint: str, counter: str) -> bool:
    """Tell whether every agent's position in the token has been adjusted once."""
    return exits.count([mint], f"p.{counter} = 1") == exits.agents
