"""Live trading: signal → signed bytes sent, stop → landed, a hundred agents on one signal, recovery after kill -9.

Runs on a desk of its own (`live_desk`): real processes, a real signer, the local chain. Steps of orders are observed as
they are committed: a trigger of the bench notifies channel `bench_orders` in the very transaction of the step. What is
an order's own time is its time less the calls to the outside that were under way meanwhile (`timed`).
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from django.db import connection

from apps.chain import nodes
from apps.console.bench import live_desk
from apps.console.bench.exits import crash
from apps.console.bench.live_desk import LiveDesk
from apps.console.bench.report import Row
from apps.console.bench.signals import Sender
from apps.console.bench.traders import Sandbox, Trader, make_trader
from apps.core import bulk
from apps.trading.domain import order_machine
from apps.trading.services import audit_books, audit_chain
from apps.wallets.models import KeySource, Network
from apps.wallets.services import live_keys
from apps.wallets.services.live_keys import LoadedKey
from apps.wallets.signer_client import Signer

Say = Callable[[str], None]

_WAIT_SECONDS = 60.0
_WARM_UP_RUNS = 2
_STOP_PERCENT = -20
#: What a process that was just killed had under way may still be committed.
_LAST_WORDS_SECONDS = 0.1
_WITHIN_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
#: A pool in which a hundred buys at once stay within the slippage of each: what is measured is the desk.
_DEEP_POOL_SOL = "1000000"

_TRIGGER = """
CREATE OR REPLACE FUNCTION bench_notify_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench_orders', concat_ws(' ', NEW.id, NEW.side, NEW.status, NEW.mint, NEW.attempt));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER bench_notify AFTER INSERT OR UPDATE OF status ON trade_order FOR EACH ROW
    EXECUTE FUNCTION bench_notify_orders();
"""
_NO_TRIGGER = """
DROP TRIGGER IF EXISTS bench_notify ON trade_order;
DROP FUNCTION IF EXISTS bench_notify_orders();
"""


@dataclass
class Seen:
    """One order: when each of its steps was committed."""

    order_id: str
    side: str
    mint: str
    attempt: int
    steps: dict[str, float] = field(default_factory=dict)


class Steps:
    """Listens to committed steps of orders on a connection of its own."""

    def __init__(self) -> None:
        parameters = connection.get_connection_params()
        keep = {key: parameters[key] for key in ("host", "port", "user", "password", "dbname") if parameters.get(key)}
        self._connection = psycopg.connect(**keep, autocommit=True)
        self._connection.execute(_TRIGGER)
        self._connection.execute("LISTEN bench_orders")
        self.orders: dict[str, Seen] = {}
        self.last: tuple[float, str] = (0.0, "")

    def gather(self, seconds: float) -> None:
        """Take notifications for at most `seconds`, returning after the first that came."""
        for notice in self._connection.notifies(timeout=seconds, stop_after=1):
            self.last = (time.time(), self._take(notice.payload))

    def _take(self, payload: str) -> str:
        order_id, side, status, mint, attempt = payload.split()
        seen = self.orders.setdefault(order_id, Seen(order_id, side, mint, int(attempt)))
        seen.steps.setdefault(status, time.time())
        return status

    def of(self, mint: str, side: str, status: str) -> list[Seen]:
        """Return the orders of a token's side that have reached a status."""
        return [
            seen for seen in self.orders.values() if (seen.mint, seen.side) == (mint, side) and status in seen.steps
        ]

    def wait_for(self, mint: str, side: str, status: str, count: int = 1) -> list[Seen]:
        """Wait until `count` orders have reached a status, and return those that have."""
        until = time.monotonic() + _WAIT_SECONDS
        while len(found := self.of(mint, side, status)) < count and time.monotonic() < until:
            if self._all_ended(mint, side, count):
                break
            self.gather(0.5)
        return found

    def _all_ended(self, mint: str, side: str, count: int) -> bool:
        """Whether as many orders have begun and none is under way: nobody else will come."""
        begun = [seen for seen in self.orders.values() if (seen.mint, seen.side) == (mint, side)]
        ended = order_machine.TERMINAL | {"landed"}
        return len(begun) >= count and all(ended & seen.steps.keys() for seen in begun)

    def wait_for_next(self, statuses: Iterable[str] = order_machine.STEPS) -> float | None:
        """Return when the next step to one of these was committed; None when none is within a minute."""
        wanted = set(statuses)
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            before = self.last
            self.gather(0.5)
            if self.last is not before and self.last[1] in wanted:
                return self.last[0]
        return None

    def close(self) -> None:
        self._connection.execute(_NO_TRIGGER)
        self._connection.close()


def measure(*, runs: int, agents: int, crowds: int, kills: int, say: Say) -> list[Row]:
    """Measure on the desk this runs on, which is the bench's own; it trades with all of its signer's keys."""
    sandbox = Sandbox()
    addresses = _loaded_keys()
    say(f"funding {len(addresses)} wallets")
    sandbox.fund(addresses)
    _wait_for_funds(addresses)
    single = make_trader(1, stop_percent=_STOP_PERCENT, live=addresses[:1])
    crowd = make_trader(agents, live=addresses[1 : agents + 1])
    steps = Steps()
    try:
        rows = _one_by_one(single, _tokens(sandbox, runs + _WARM_UP_RUNS), steps, say)
        rows += _all_at_once(crowd, _tokens(sandbox, crowds + 1), steps, say)
        if kills:
            rows += _killed("orders", crowd, _tokens(sandbox, kills), steps, order_machine.STEPS, say)
            rows += _killed("signer", crowd, _tokens(sandbox, kills), steps, ("signed",), say)
    finally:
        steps.close()
    return [*rows, _audited(say)]


def _tokens(sandbox: Sandbox, count: int) -> list[str]:
    """Make tokens and wait until the nodes show their mints as confirmed: none is bought before."""
    mints = sandbox.tokens(count, liquidity_sol=_DEEP_POOL_SOL)
    until = time.monotonic() + _WAIT_SECONDS
    while None in nodes.ask(lambda pool: pool.accounts(mints)) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(_PAUSE_SECONDS)
    return mints


def _loaded_keys() -> list[str]:
    """Write down the signer's keys as the desk would a moment later; return their addresses, WALLET_1 first."""
    held = sorted(Signer(_socket()).status().keys, key=lambda key: int(key.name.rpartition("_")[2]))
    live_keys.report_loaded([LoadedKey(key.address, KeySource.ENV, Network.TESTNET, key.name) for key in held])
    return [key.address for key in held]


def _socket() -> str:
    return os.environ["SIGNER_SOCKET"]


def _wait_for_funds(addresses: Sequence[str]) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    for address in addresses:
        while not nodes.ask(lambda pool, of=address: pool.balance(of)).lamports and time.monotonic() < until:  # type: ignore[misc]
            time.sleep(0.1)


# -- one order at a time


def _one_by_one(trader: Trader, mints: Sequence[str], steps: Steps, say: Say) -> list[Row]:
    """Buy one token after the other, then let the stop of each fire."""
    sender = Sender(trader)
    started: dict[str, float] = {}
    for mint in mints:
        started[mint] = time.time()
        sender.send(mint)
        steps.wait_for(mint, "buy", "landed")
        time.sleep(_PAUSE_SECONDS)
    say(f"{len(mints)} buys landed; their stops fire one by one")
    for mint in mints:
        crash(mint)
        steps.wait_for(mint, "sell", "landed")
        time.sleep(_PAUSE_SECONDS)
    calls = Calls.read()
    mints = mints[_WARM_UP_RUNS:]
    received = _received(trader)
    bought = [(started[mint], steps.of(mint, "buy", "landed")) for mint in mints]
    sold = [(received.get(mint), steps.of(mint, "sell", "landed")) for mint in mints]
    return [
        *_rows("signal", [(begun, found[0]) for begun, found in bought if found], len(mints), calls),
        *_rows("stop's price", [(at, found[0]) for at, found in sold if found and at], len(mints), calls),
    ]


def _rows(begin: str, orders: Sequence[tuple[float, Seen]], wanted: int, calls: Calls) -> list[Row]:
    to_sent = [(begun, seen.steps["sent"], seen) for begun, seen in orders]
    to_landed = [(begun, seen.steps["landed"], seen) for begun, seen in orders]
    lost = wanted - len(orders)
    return [
        Row(f"{begin} to signed bytes sent", _lengths(to_sent), lost),
        Row("  of it the desk's own", [calls.own(*each) * 1000 for each in to_sent]),
        Row(f"{begin} to landed", _lengths(to_landed), lost),
        Row("  of it the desk's own", [calls.own(*each) * 1000 for each in to_landed]),
        *(
            Row(f"  {first} to {last}", [(seen.steps[last] - seen.steps[first]) * 1000 for _, seen in orders])
            for first, last in (("reserved", "built"), ("built", "signed"), ("signed", "sent"), ("sent", "landed"))
        ),
    ]


def _lengths(spans: Iterable[tuple[float, float, Seen]]) -> list[float]:
    return [(end - begin) * 1000 for begin, end, _ in spans]


def _received(trader: Trader) -> dict[str, float]:
    """Return by token when the price that fired its stop was received."""
    return {
        mint: at.timestamp()
        for mint, at in bulk.fetch_all(
            "SELECT p.mint, t.received_at FROM exit_intent i JOIN position p ON p.id = i.position_id"
            " JOIN tick t ON t.id = i.trigger_tick WHERE p.agent_id = ANY(%s)",
            [list(trader.agent_ids)],
        )
    }


@dataclass
class Calls:
    """Calls to the outside of the processes an order goes through."""

    of_order: dict[str, list[tuple[float, float]]]
    of_nobody: list[tuple[float, float]]

    @classmethod
    def read(cls) -> Calls:
        """Read what was noted. Only the orders process says whose a call is; the others do one thing at a time."""
        of_order: dict[str, list[tuple[float, float]]] = defaultdict(list)
        of_nobody = []
        for name in live_desk.TIMED:
            for began, ended, _, order in live_desk.read_calls(name):
                if name == "orders":
                    of_order[order].append((began, ended))
                else:
                    of_nobody.append((began, ended))
        return cls(of_order, of_nobody)

    def own(self, begin: float, end: float, seen: Seen) -> float:
        """Return the seconds between two moments in which no call for this order was under way."""
        inside = sorted(
            (max(began, begin), min(ended, end))
            for began, ended in (*self.of_order.get(seen.order_id, ()), *self.of_nobody)
            if ended > begin and began < end
        )
        outside, until = 0.0, begin
        for began, ended in inside:
            outside += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return end - begin - outside


# -- many at once


def _all_at_once(trader: Trader, mints: Sequence[str], steps: Steps, say: Say) -> list[Row]:
    """Let every agent buy on one signal; the first of the signals only warms up."""
    desk, sender, agents = LiveDesk.here(), Sender(trader), len(trader.agent_ids)
    sent: list[float] = []
    last: list[float] = []
    landed: list[float] = []
    to_sent: dict[str, float] = defaultdict(float)
    to_landed: dict[str, float] = defaultdict(float)
    lost = within = 0
    for number, mint in enumerate(mints):
        before, started = desk.cpu_seconds(), time.time()
        sender.send(mint)
        first = [seen.steps["sent"] - started for seen in steps.wait_for(mint, "buy", "sent", agents)]
        between = desk.cpu_seconds()
        ended = [seen.steps["landed"] - started for seen in steps.wait_for(mint, "buy", "landed", agents)]
        after = desk.cpu_seconds()
        say(
            f"{agents} agents: {len(first)} sent, the last after {max(first, default=0) * 1000:.0f} ms;"
            f" {len(ended)} landed, the last after {max(ended, default=0) * 1000:.0f} ms"
        )
        time.sleep(_PAUSE_SECONDS)
        if number == 0:
            continue
        sent += [each * 1000 for each in first]
        last.append(max(first, default=_WAIT_SECONDS) * 1000)
        landed += [each * 1000 for each in ended]
        lost += agents - len(ended)
        within += len(first) == agents and max(first) <= _WITHIN_SECONDS
        for name in before:
            to_sent[name] += (between.get(name, 0.0) - before[name]) / (len(mints) - 1)
            to_landed[name] += (after.get(name, 0.0) - before[name]) / (len(mints) - 1)
    return [
        Row(f"{agents} agents on one signal, each sent", sent, lost),
        Row(f"{agents} agents on one signal, last sent", last, 0, {"within_1_s": f"{within} of {len(mints) - 1}"}),
        Row(f"{agents} agents on one signal, each landed", landed),
        Row("  processor seconds until all were sent", [], 0, {"cpu": _spent(to_sent)}),
        Row("  processor seconds until all had landed", [], 0, {"cpu": _spent(to_landed)}),
    ]


def _spent(seconds: dict[str, float]) -> str:
    most = sorted(seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {spent:.2f}" for name, spent in most if spent >= 0.005)


# -- deaths


def _killed(
    name: str, trader: Trader, mints: Sequence[str], steps: Steps, statuses: Iterable[str], say: Say
) -> list[Row]:
    """Kill a process in the middle of a signal's orders; measure until the next step is committed."""
    desk, sender = LiveDesk.here(), Sender(trader)
    took: list[float] = []
    for mint in mints:
        sender.send(mint)
        steps.wait_for(mint, "buy", "built", len(trader.agent_ids) // 4 or 1)
        os.kill(desk.pids()[name], signal.SIGKILL)
        killed = time.time()
        while (left := killed + _LAST_WORDS_SECONDS - time.time()) > 0:
            steps.gather(left)
        again = steps.wait_for_next(statuses)
        if again is not None:
            took.append((again - killed) * 1000)
        ended = steps.wait_for(mint, "buy", "landed", len(trader.agent_ids))
        say(f"kill -9 of {name}: next step after {took[-1] if again else 0:.0f} ms, {len(ended)} landed in the end")
        _wait_for_end()
    return [Row(f"kill -9 of {name} to the next step committed", took, len(mints) - len(took))]


def _wait_for_end() -> None:
    """Wait until no order is under way: the next death must find only what is new."""
    until = time.monotonic() + _WAIT_SECONDS
    while _under_way() and time.monotonic() < until:
        time.sleep(0.2)


def _under_way() -> int:
    ended = sorted(order_machine.TERMINAL)
    ((count,),) = bulk.fetch_all("SELECT count(*) FROM trade_order WHERE status <> ALL(%s)", [ended])
    return int(count)


def _audited(say: Say) -> Row:
    """Compare the books with themselves and with the chain once every order has ended."""
    _wait_for_end()
    differences = [*audit_books.audit_books().differences, *audit_chain.audit_chain().differences]
    for difference in differences[:10]:
        say(str(difference))
    ((bought, orders),) = bulk.fetch_all(
        "SELECT count(*) FILTER (WHERE transaction_id IS NOT NULL), count(*) FROM trade_order"
    )
    for status, code, detail, count in bulk.fetch_all(
        "SELECT status, code, left(detail, 120), count(*) FROM trade_order WHERE status IN ('failed', 'expired')"
        " GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 10"
    ):
        say(f"{count} orders {status}: {code} {detail}")
    figures = {"orders": orders, "booked": bought, "under_way": _under_way(), "differences": len(differences)}
    return Row("the books and the chain afterwards", [], len(differences) + _under_way(), figures)
