"""Tick → exit: from a price received to the exit taken up and the sale committed, on the running desk.

Real workers, the sandbox's prices. Events are observed as they happen: while a bench runs, a trigger of its own
notifies channel `exits` when an exit is taken up and when it is done. Nobody else pays for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import httpx
import psycopg
from django.conf import settings
from django.db import connection

from apps.console.bench.report import Row
from apps.console.bench.signals import Commits, Sender, send_and_wait
from apps.console.bench.traders import Sandbox, Trader, make_trader, retire
from apps.core import bulk
from apps.core.money import SOL_MINT

_WAIT_SECONDS = 30.0
#: Past the stops, and no more than half: a wilder price waits for a second source.
_STOP_PERCENT = -20
_CRASH = Decimal("0.6")
_PER_SIGNAL = 1_000

_TRIGGER = """
CREATE OR REPLACE FUNCTION bench_notify_exits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        'exits', concat_ws(' ', NEW.position_id, NEW.id, NEW.status, extract(epoch FROM clock_timestamp()))
    );
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER bench_notify AFTER UPDATE ON exit_intent FOR EACH ROW
    WHEN (NEW.status IN ('leased', 'done') AND NEW.status <> OLD.status) EXECUTE FUNCTION bench_notify_exits();
"""
_NO_TRIGGER = """
DROP TRIGGER IF EXISTS bench_notify ON exit_intent;
DROP FUNCTION IF EXISTS bench_notify_exits();
"""


@dataclass
class Exits:
    """Exits of some positions, by intent: when it was taken up (by the database's clock), when its sale was booked."""

    positions: frozenset[str]
    taken_up: dict[int, float] = field(default_factory=dict)
    committed: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parameters = connection.get_connection_params()
        keep = {key: parameters[key] for key in ("host", "port", "user", "password", "dbname") if parameters.get(key)}
        self._connection = psycopg.connect(**keep, autocommit=True)
        self._connection.execute(_TRIGGER)
        self._connection.execute("LISTEN exits")

    def gather(self, seconds: float) -> None:
        """Take notifications for at most `seconds`, returning after the first that came."""
        for notice in self._connection.notifies(timeout=seconds, stop_after=1):
            position, number, status, at = notice.payload.split()
            if position not in self.positions:
                continue
            if status == "done":
                self.committed[int(number)] = time.time()
            else:
                self.taken_up.setdefault(int(number), float(at))

    def wait_for(self, count: int) -> None:
        """Wait until `count` sales were seen committed."""
        until = time.monotonic() + _WAIT_SECONDS
        while len(self.committed) < count and time.monotonic() < until:
            self.gather(0.5)

    def close(self) -> None:
        self._connection.execute(_NO_TRIGGER)
        self._connection.close()


def measure(positions: int, runs: int, crowd: int, say: Callable[[str], None]) -> list[Row]:
    """Hold `positions` positions, let `runs` single stops fire one by one, then `crowd` stops on one tick."""
    sandbox = Sandbox()
    sandbox.quieten()
    try:
        holders = min(_PER_SIGNAL, max(1, positions))
        say(f"holding {positions} positions")
        trader, single = make_trader(holders), make_trader(1, stop_percent=_STOP_PERCENT)
        _buy(trader, sandbox.tokens(max(1, positions // holders)))
        alone = sandbox.tokens(runs)
        _buy(single, alone)
        rows = _one_by_one(alone, single, positions, say)
        crowded = make_trader(crowd, stop_percent=_STOP_PERCENT)
        (mint,) = sandbox.tokens(1)
        _buy(crowded, [mint])
        rows += _all_at_once(mint, crowded, say)
        for each in (trader, single, crowded):
            retire(each)
        return rows
    finally:
        sandbox.resume()


def _buy(trader: Trader, mints: Sequence[str]) -> None:
    """Let every agent of a trader buy each token."""
    commits, sender = Commits(), Sender(trader)
    for mint in mints:
        send_and_wait(sender, commits, mint, len(trader.agent_ids))
    commits.close()


def crash(mint: str) -> None:
    """Let a token lose enough at once to pass every stop."""
    state = httpx.get(f"{settings.SANDBOX_URL}/control/state", timeout=10).json()
    (price,) = [Decimal(str(token["price_sol"])) for token in state["tokens"] if token["mint"] == mint]
    body = {"mint": mint, "price_sol": f"{price * _CRASH:f}"}
    httpx.post(f"{settings.SANDBOX_URL}/control/price", json=body, timeout=10).raise_for_status()


def _one_by_one(mints: Sequence[str], trader: Trader, positions: int, say: Callable[[str], None]) -> list[Row]:
    exits = Exits(_positions(trader))
    try:
        for number, mint in enumerate(mints):
            crash(mint)
            exits.wait_for(number + 1)
            say(f"stop {number + 1} of {len(mints)}: sold")
    finally:
        exits.close()
    started, committed = _from_tick(exits, trader)
    lost = len(mints) - len(exits.committed)
    return [
        Row(f"{positions} positions, tick received to exit taken up", started, lost),
        Row(f"{positions} positions, tick received to sale committed", committed, lost, _check(trader)),
    ]


def _all_at_once(mint: str, trader: Trader, say: Callable[[str], None]) -> list[Row]:
    crowd = len(trader.agent_ids)
    exits = Exits(_positions(trader))
    try:
        crash(mint)
        exits.wait_for(crowd)
    finally:
        exits.close()
    _, committed = _from_tick(exits, trader)
    say(f"{len(committed)} of {crowd} stops sold")
    return [Row(f"{crowd} stops on one tick, sale committed", committed, crowd - len(exits.committed), _check(trader))]


def _positions(trader: Trader) -> frozenset[str]:
    """Return the open positions of a trader: others' exits are not the bench's."""
    rows = bulk.fetch_all(
        "SELECT id FROM position WHERE closed_at IS NULL AND agent_id = ANY(%s)", [list(trader.agent_ids)]
    )
    return frozenset(str(row[0]) for row in rows)


def _from_tick(exits: Exits, trader: Trader) -> tuple[list[float], list[float]]:
    """Return, in milliseconds from the receipt of the price that fired each exit: taken up, committed."""
    received: dict[int, datetime] = dict(
        bulk.fetch_all(
            "SELECT i.id, t.received_at FROM exit_intent i JOIN position p ON p.id = i.position_id"
            " JOIN tick t ON t.id = i.trigger_tick WHERE p.agent_id = ANY(%s)",
            [list(trader.agent_ids)],
        )
    )
    taken_up = [(at - received[key].timestamp()) * 1000 for key, at in exits.taken_up.items() if key in received]
    committed = [(at - received[key].timestamp()) * 1000 for key, at in exits.committed.items() if key in received]
    return taken_up, committed


def _check(trader: Trader) -> dict[str, int]:
    """Count what must be zero: positions sold twice."""
    ((twice,),) = bulk.fetch_all(
        "SELECT count(*) FROM (SELECT 1 FROM transaction WHERE agent_id = ANY(%s) AND input_mint <> %s"
        " GROUP BY position_id HAVING count(*) > 1) AS d",
        [list(trader.agent_ids), SOL_MINT],
    )
    return {"sold_twice": twice}
