"""Signal → trade: from the HTTP request sent to the first and the last trade committed, on the running desk.

Commits are observed as they happen: while a bench runs, a trigger of its own notifies channel `entries` in the very
transaction of the booking. Nobody else pays for it.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
import psycopg
from django.conf import settings
from django.db import connection

from apps.console.bench.report import Row
from apps.console.bench.traders import Sandbox, Trader, make_trader, retire
from apps.core import bulk

_WAIT_SECONDS = 30.0
_WARM_UP_RUNS = 3
_TYPES = ("Momentum", "Breakout", "Whale Buy")
SUSTAINED_SIGNALS, SUSTAINED_PER_SECOND, SUSTAINED_AGENTS = 20, 2.0, 50


@dataclass(frozen=True, slots=True)
class Timing:
    """One signal: milliseconds from the request to its answer, the first and the last trade; trades seen."""

    answered_ms: float
    first_ms: float | None
    last_ms: float | None
    trades: int


_TRIGGER = """
CREATE OR REPLACE FUNCTION bench_notify_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('entries', signal_id || ':' || count(*)) FROM added WHERE verdict = 'executed' GROUP BY signal_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER bench_notify AFTER INSERT ON signal_execution
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION bench_notify_entries();
"""
_NO_TRIGGER = """
DROP TRIGGER IF EXISTS bench_notify ON signal_execution;
DROP FUNCTION IF EXISTS bench_notify_entries();
"""


class Commits:
    """Listens to committed entries on a connection of its own: (signal id) → [(moment, trades)]."""

    def __init__(self) -> None:
        parameters = connection.get_connection_params()
        keep = {key: parameters[key] for key in ("host", "port", "user", "password", "dbname") if parameters.get(key)}
        self._connection = psycopg.connect(**keep, autocommit=True)
        self._connection.execute(_TRIGGER)
        self._connection.execute("LISTEN entries")
        self.seen: dict[int, list[tuple[float, int]]] = defaultdict(list)

    def gather(self, seconds: float) -> None:
        """Take notifications for at most `seconds`, returning after the first that came."""
        for notice in self._connection.notifies(timeout=seconds, stop_after=1):
            signal_id, trades = notice.payload.split(":")
            self.seen[int(signal_id)].append((time.perf_counter(), int(trades)))

    def trades(self, signal_id: int) -> int:
        return sum(count for _, count in self.seen[signal_id])

    def close(self) -> None:
        self._connection.execute(_NO_TRIGGER)
        self._connection.close()


class Sender:
    """Posts signals as a provider does, with keys in turn."""

    def __init__(self, trader: Trader) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{settings.PORT}/api/v1", timeout=_WAIT_SECONDS)
        self._keys, self._sent = trader.keys, 0

    def send(self, mint: str) -> int:
        """Post one signal and return its id."""
        key = self._keys[self._sent % len(self._keys)]
        self._sent += 1
        answer = self._client.post(
            "/trading-signals",
            headers={"X-API-Key": key},
            json={"tokenAddress": mint, "signalType": random.choice(_TYPES), "signalStrength": 3},  # noqa: S311
        )
        answer.raise_for_status()
        return int(answer.json()["id"])


def measure(agent_counts: Sequence[int], runs: int, say: Callable[[str], None]) -> list[Row]:
    """Send `runs` signals one after the other for each number of agents; two rows each: last trade, first trade."""
    sandbox = Sandbox()
    sandbox.quieten()
    rows = []
    try:
        for agents in agent_counts:
            say(f"making {agents} agents")
            trader = make_trader(agents)
            mints = sandbox.tokens(max(40, runs + _WARM_UP_RUNS))
            rows += _one_by_one(trader, mints, runs, say)
            retire(trader)
    finally:
        sandbox.resume()
    return rows


def _one_by_one(trader: Trader, mints: Sequence[str], runs: int, say: Callable[[str], None]) -> list[Row]:
    agents = len(trader.agent_ids)
    commits, sender = Commits(), Sender(trader)
    timings = []
    for number in range(runs + _WARM_UP_RUNS):
        timing = send_and_wait(sender, commits, mints[number], agents)
        if number >= _WARM_UP_RUNS:
            timings.append(timing)
            say(
                f"{agents} agents, signal {len(timings)} of {runs}: "
                f"{timing.trades} trades, last after {timing.last_ms or 0:.1f} ms"
            )
    commits.close()
    verdict = _check(trader)
    failures = sum(agents - timing.trades for timing in timings)
    return [
        _row(f"{agents} agents, last trade", [timing.last_ms for timing in timings], failures, verdict),
        _row(f"{agents} agents, first trade", [timing.first_ms for timing in timings], failures, verdict),
        _row(f"{agents} agents, HTTP answer", [timing.answered_ms for timing in timings], 0, {}),
    ]


def _row(workload: str, samples: Sequence[float | None], failures: int, extra: dict[str, int]) -> Row:
    return Row(workload, [sample for sample in samples if sample is not None], failures, extra)


def send_and_wait(sender: Sender, commits: Commits, mint: str, agents: int) -> Timing:
    """Post a signal for a token and wait until `agents` agents have traded it, or half a minute is over."""
    started = time.perf_counter()
    signal_id = sender.send(mint)
    answered = time.perf_counter()
    _wait(commits, {signal_id: agents}, started + _WAIT_SECONDS)
    return _timing(commits, signal_id, started, answered)


def _wait(commits: Commits, wanted: dict[int, int], until: float) -> None:
    while any(commits.trades(signal_id) < count for signal_id, count in wanted.items()) and time.perf_counter() < until:
        commits.gather(0.5)


def _timing(commits: Commits, signal_id: int, started: float, answered: float) -> Timing:
    moments = [moment for moment, trades in commits.seen[signal_id] if trades]
    return Timing(
        answered_ms=(answered - started) * 1000,
        first_ms=(min(moments) - started) * 1000 if moments else None,
        last_ms=(max(moments) - started) * 1000 if moments else None,
        trades=commits.trades(signal_id),
    )


def measure_sustained(say: Callable[[str], None]) -> list[Row]:
    """Send 20 signals at 2 per second to 50 agents and measure each to its last trade."""
    sandbox = Sandbox()
    sandbox.quieten()
    try:
        trader = make_trader(SUSTAINED_AGENTS)
        mints = sandbox.tokens(max(40, SUSTAINED_SIGNALS + _WARM_UP_RUNS))
        commits, sender = Commits(), Sender(trader)
        for mint in mints[SUSTAINED_SIGNALS : SUSTAINED_SIGNALS + _WARM_UP_RUNS]:
            send_and_wait(sender, commits, mint, SUSTAINED_AGENTS)
        sent: dict[int, tuple[float, float]] = {}
        begin = time.perf_counter()
        for number, mint in enumerate(mints[:SUSTAINED_SIGNALS]):
            due = begin + number / SUSTAINED_PER_SECOND
            while (left := due - time.perf_counter()) > 0:
                commits.gather(left)
            started = time.perf_counter()
            signal_id = sender.send(mint)
            sent[signal_id] = (started, time.perf_counter())
        _wait(commits, dict.fromkeys(sent, SUSTAINED_AGENTS), time.perf_counter() + _WAIT_SECONDS)
        timings = [_timing(commits, signal_id, *moments) for signal_id, moments in sent.items()]
        commits.close()
        say(f"sent {len(sent)} signals")
        verdict = _check(trader)
        failures = sum(SUSTAINED_AGENTS - timing.trades for timing in timings)
        retire(trader)
        workload = f"{SUSTAINED_SIGNALS} signals at {SUSTAINED_PER_SECOND:g}/s, {SUSTAINED_AGENTS} agents, last trade"
        return [_row(workload, [timing.last_ms for timing in timings], failures, verdict)]
    finally:
        sandbox.resume()


def _check(trader: Trader) -> dict[str, int]:
    """Count what must be zero: pairs with two positions, balances that are not their ledger's sum."""
    ((doubles,),) = bulk.fetch_all(
        "SELECT count(*) FROM (SELECT 1 FROM transaction WHERE agent_id = ANY(%s) AND signal_id IS NOT NULL"
        " GROUP BY agent_id, signal_id HAVING count(*) > 1) AS d",
        [list(trader.agent_ids)],
    )
    ((wrong,),) = bulk.fetch_all(
        "SELECT count(*) FROM balance b JOIN wallet w ON w.id = b.wallet_id LEFT JOIN"
        " (SELECT wallet_id, epoch, mint, sum(delta) AS total FROM ledger_entry WHERE wallet_id = ANY(%s)"
        " GROUP BY wallet_id, epoch, mint) l"
        " ON l.wallet_id = w.id AND l.epoch = w.epoch AND l.mint = b.mint"
        " WHERE b.wallet_id = ANY(%s) AND b.amount IS DISTINCT FROM COALESCE(l.total, 0)",
        [list(trader.wallet_ids), list(trader.wallet_ids)],
    )
    return {"duplicates": doubles, "wrong_balances": wrong}
