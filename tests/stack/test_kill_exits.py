"""`kill -9` of any process while the stops of a hundred positions fire: every one is sold, and none twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from tests.desk import ROOT, Desk, wait_until
from tests.stack.test_kill_during_signal import post_until_taken, query

pytestmark = pytest.mark.stack

AGENTS = 100
SEED = 20261121
VICTIMS = ["worker-critical", "worker-prices", "postgres", "redis"]
RECOVERY_SECONDS = 60.0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("kill-exits") / "home", SOLDESK_DEMO="1") as running:
        yield running


@pytest.fixture(scope="module")
def trader(desk: Desk) -> dict[str, Any]:
    script = [sys.executable, "-m", "tests.stack.traders", str(AGENTS), str(len(VICTIMS))]
    told = subprocess.run(script, cwd=ROOT, env=desk.environment, capture_output=True, text=True, check=True)
    made: dict[str, Any] = json.loads(told.stdout)
    return made


def crash(desk: Desk, mint: str) -> None:
    """Let the token lose 95 % of its price at once: past every stop of the traders (-90 %)."""
    control = f"http://127.0.0.1:{desk.environment['SANDBOX_PORT']}/control"
    tokens = httpx.get(f"{control}/state", timeout=5).json()["tokens"]
    (price,) = [float(token["price_sol"]) for token in tokens if token["mint"] == mint]
    httpx.post(f"{control}/price", json={"mint": mint, "price_sol": str(price * 0.05)}, timeout=5).raise_for_status()


def count(desk: Desk, condition: str, mint: str) -> int | None:
    """Count the token's positions that meet a condition; None while the database is away."""
    rows = query(desk, f"SELECT count(*) FROM position p WHERE p.mint = %s AND {condition}", mint)
    return rows[0][0] if rows else None


def fired(desk: Desk, mint: str) -> bool:
    return bool(count(desk, "EXISTS (SELECT 1 FROM exit_intent i WHERE i.position_id = p.id)", mint))


def all_held(desk: Desk, mint: str) -> bool:
    return count(desk, "p.closed_at IS NULL", mint) == AGENTS


def all_sold(desk: Desk, mint: str) -> bool:
    return count(desk, "p.closed_at IS NULL", mint) == 0


@pytest.mark.parametrize("victim", VICTIMS)
def test_every_stop_sells_once_whatever_is_killed(desk: Desk, trader: dict[str, Any], victim: str) -> None:
    mint = trader["mints"][VICTIMS.index(victim)]
    delay = random.Random(f"{SEED}{victim}").uniform(0.0, 0.2)
    post_until_taken(desk, trader["keys"][0], mint)
    wait_until(partial(all_held, desk, mint), RECOVERY_SECONDS)
    crash(desk, mint)
    wait_until(partial(fired, desk, mint), 15)
    time.sleep(delay)

    former = desk.kill(victim)

    desk.wait_restarted(victim, former, RECOVERY_SECONDS)
    wait_until(partial(all_sold, desk, mint), RECOVERY_SECONDS)
    sales = query(
        desk,
        "SELECT p.id, count(t.id), p.close_reason, (SELECT count(*) FROM closed_trade c WHERE c.position_id = p.id)"
        " FROM position p JOIN transaction t ON t.position_id = p.id AND t.input_mint = p.mint"
        " WHERE p.mint = %s GROUP BY p.id",
        mint,
    )
    assert len(sales) == AGENTS, f"seed {SEED}, {victim} killed after {delay * 1000:.0f} ms"
    assert {sale[1:] for sale in sales} == {(1, "stop_loss", 1)}


def test_the_books_are_exact_after_every_kill(desk: Desk, trader: dict[str, Any]) -> None:
    audit = subprocess.run(
        [sys.executable, "manage.py", "audit"], cwd=ROOT, env=desk.environment, capture_output=True, text=True
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert "0 differences" in audit.stdout
