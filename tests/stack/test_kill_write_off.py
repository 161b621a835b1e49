"""`kill -9` while a hundred positions in a dead token are written off: every one ends once, with its exact loss."""

from __future__ import annotations

import random
import time

import psycopg
import pytest

from tests.desk import wait_until
from tests.stack.exit_desk import RECOVERY_SECONDS, ExitDesk

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("exact_books_at_last")]

SEED = 20261122
VICTIMS = ["worker-default", "postgres"]
#: Prices that were asked for before the token was delisted have arrived after this.
LAST_TICK_SECONDS = 3.0

_WISH = """
INSERT INTO dead_token (mint, symbol, asked_at, first_seen_at, last_seen_at, checks, last_code, cleared_code,
                        write_off_requested_at)
VALUES (%s, 'GONE', now(), now() - interval '2 minutes', now(), 4, 'TOKEN_NOT_TRADABLE', '', now())
"""


def ask_to_write_off(exits: ExitDesk, mint: str) -> None:
    """Write what a few checks and an operator would have written."""
    with psycopg.connect(exits.desk.record()["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(_WISH, [mint])


@pytest.mark.parametrize("victim", VICTIMS)
def test_every_position_is_written_off_once_whatever_is_killed(exits: ExitDesk, victim: str) -> None:
    mints = exits.hold_new(1)
    delay = random.Random(f"{SEED}{victim}").uniform(0.0, 0.1)
    exits.fault("all", "delisted", mints=mints)
    time.sleep(LAST_TICK_SECONDS)
    ask_to_write_off(exits, mints[0])
    wait_until(lambda: exits.has_fired(mints), RECOVERY_SECONDS)
    time.sleep(delay)

    former = exits.desk.kill(victim)

    exits.desk.wait_restarted(victim, former, RECOVERY_SECONDS)
    exits.wait_sold(mints)
    note = f"seed {SEED}, {victim} killed after {delay * 1000:.0f} ms"
    ended = exits.sales(mints)
    assert len(ended) == exits.agents, note
    assert {(one.reason, one.sales, one.closes, one.intents) for one in ended} == {("write_off", 1, 1, 1)}, note
    losses = exits.query(
        "SELECT DISTINCT t.transaction_type, t.input_amount = p.purchase_amount, c.profit_sol = -p.total_invested_sol"
        " FROM position p JOIN closed_trade c ON c.position_id = p.id"
        " JOIN transaction t ON t.id = c.sale_transaction_id WHERE p.mint = %s",
        mints[0],
    )
    assert losses == [("burn", True, True)], note
