"""`kill -9` of any process while a signal is traded for a hundred agents: one verdict each, nothing lost or doubled."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.desk import ROOT, Desk, wait_until
from tests.stack.exit_desk import post_until_taken, query

pytestmark = pytest.mark.stack

AGENTS = 100
SEED = 20261120
VICTIMS = ["worker-trading", "web", "redis", "postgres", "worker-prices", "worker-critical", "worker-default"]
ROUNDS = 2
RECOVERY_SECONDS = 45.0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("kill") / "home", SOLDESK_DEMO="1") as running:
        yield running


@pytest.fixture(scope="module")
def trader(desk: Desk) -> dict[str, Any]:
    script = [sys.executable, "-m", "tests.stack.traders", str(AGENTS), str(len(VICTIMS) * ROUNDS)]
    told = subprocess.run(script, cwd=ROOT, env=desk.environment, capture_output=True, text=True, check=True)
    made: dict[str, Any] = json.loads(told.stdout)
    return made


@pytest.mark.parametrize("victim", VICTIMS)
def test_every_agent_gets_one_verdict_whatever_is_killed(desk: Desk, trader: dict[str, Any], victim: str) -> None:
    chance = random.Random(f"{SEED}{victim}")
    for turn in range(ROUNDS):
        mint = trader["mints"][VICTIMS.index(victim) * ROUNDS + turn]
        delay = chance.uniform(0.0, 0.15)
        body = {"tokenAddress": mint, "signalType": "Momentum", "signalStrength": 4}
        key = trader["keys"][turn % len(trader["keys"])]
        sender = subprocess.Popen(
            [sys.executable, "-c", _SENDER, str(desk.port), key, json.dumps(body)], cwd=Path(ROOT)
        )
        wait_until(partial(_sent, sender, desk, mint))
        time.sleep(delay)
        former = desk.kill(victim)
        sender.wait(60)
        desk.wait_restarted(victim, former, RECOVERY_SECONDS)
        post_until_taken(desk, key, mint)

        wait_until(partial(_done, desk, mint), RECOVERY_SECONDS)
        verdicts = query(
            desk,
            "SELECT e.agent_id, count(*), count(*) FILTER (WHERE e.verdict = 'executed') FROM signal_execution e"
            " JOIN trading_signal s ON s.id = e.signal_id WHERE s.token_address = %s GROUP BY 1",
            mint,
        )
        assert len(verdicts) == AGENTS, f"seed {SEED}, {victim} killed after {delay * 1000:.0f} ms"
        assert {(count, executed) for _, count, executed in verdicts} == {(1, 1)}
        positions = query(desk, "SELECT wallet_id, count(*) FROM position WHERE mint = %s GROUP BY 1", mint)
        assert len(positions) == AGENTS
        assert {count for _, count in positions} == {1}


def test_the_books_are_exact_after_every_kill(desk: Desk, trader: dict[str, Any]) -> None:
    audit = subprocess.run(
        [sys.executable, "manage.py", "audit"], cwd=ROOT, env=desk.environment, capture_output=True, text=True
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert "0 differences" in audit.stdout


_SENDER = """
import sys, httpx
try:
    httpx.post(f"http://127.0.0.1:{sys.argv[1]}/api/v1/trading-signals", content=sys.argv[3], timeout=5,
               headers={"X-API-Key": sys.argv[2], "Content-Type": "application/json"})
except httpx.TransportError:
    pass
"""


def _sent(sender: subprocess.Popen[bytes], desk: Desk, mint: str) -> bool:
    return sender.poll() is not None or _known(desk, mint)


def _known(desk: Desk, mint: str) -> bool:
    return bool(query(desk, "SELECT 1 FROM trading_signal WHERE token_address = %s", mint))


def _done(desk: Desk, mint: str) -> bool:
    return query(desk, "SELECT status FROM trading_signal WHERE token_address = %s", mint) == [("done",)]
