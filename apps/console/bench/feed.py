"""Price tick → last WebSocket client: on the server that `make up` runs, with users, agents and positions of its own.

A tick is given to Redis by the watch's own function, with prices of the tokens the bench's agents hold; the clock stops
when the last socket has received it. Half of the sockets watch one agent, half all agents of their user.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings

from apps.accounts.services import sessions
from apps.agents.models import Agent
from apps.console.bench.report import Row
from apps.console.bench.traders import Sandbox, Trader, make_trader, retire
from apps.core import feed
from apps.prices import selectors as prices
from apps.trading.services import hand_buys

TOKENS = 10
_HELD_EACH = 5
_AGENTS_EACH = 2
_SOCKETS_EACH = 40
_WARM_UP_TICKS = 5
_PAUSE_SECONDS = 0.2
_SIZE_SOL = Decimal("0.2")
#: Far above every recorded tick: no real price of these tokens is ever taken for one of the bench's.
_FIRST_TICK = 9_000_000_000_000


@dataclass(frozen=True, slots=True)
class Reception:
    """What the clients of one tick say: milliseconds to the last of them, sockets without it, bytes, CPU in ms."""

    last_ms: float
    missing: int
    received_bytes: int
    clients_cpu_ms: float
    web_cpu_ms: float


def measure(counts: Sequence[int], ticks: int, processes: int, say: Callable[[str], None]) -> list[Row]:
    """Measure `ticks` ticks for each number of clients, shared out among `processes` client processes."""
    sandbox = Sandbox()
    sandbox.quieten()
    traders: list[Trader] = []
    try:
        mints = sandbox.tokens(TOKENS)
        rows = []
        for clients in counts:
            while len(traders) * _SOCKETS_EACH < clients:
                traders.append(_make_holder(mints, len(traders)))
                say(f"made user {len(traders)} of {-(-max(counts) // _SOCKETS_EACH)}")
            rows.append(_measure(clients, ticks, processes, traders, mints, say))
        return rows
    finally:
        for trader in traders:
            retire(trader)
        sandbox.resume()


def _make_holder(mints: Sequence[str], number: int) -> Trader:
    """Make a user whose agents hold half of the tokens each, bought as anybody buys."""
    trader = make_trader(_AGENTS_EACH)
    for place, agent in enumerate(Agent.objects.filter(pk__in=trader.agent_ids)):
        first = (number + place * _HELD_EACH) % TOKENS
        for offset in range(_HELD_EACH):
            mint = mints[(first + offset) % TOKENS]
            hand_buys.buy_by_hand(agent=agent, token_address=mint, actor=None, position_size_sol=_SIZE_SOL)
    return trader


def _measure(
    clients: int,
    ticks: int,
    processes: int,
    traders: Sequence[Trader],
    mints: Sequence[str],
    say: Callable[[str], None],
) -> Row:
    paths = _paths(traders, clients)
    with ExitStack() as stack:
        crowds = [stack.enter_context(_crowd(paths[place::processes])) for place in range(processes)]
        for crowd in crowds:
            crowd.hear()
        say(f"{clients} clients have their snapshots")
        webs = _web_processes()
        done = [_tick(number, crowds, mints, webs) for number in range(ticks + _WARM_UP_TICKS)][_WARM_UP_TICKS:]
    return Row(
        f"{clients} clients, price -> last client",
        [item.last_ms for item in done if not item.missing],
        sum(item.missing for item in done),
        {
            "bytes/tick": round(sum(item.received_bytes for item in done) / ticks),
            "web_cpu_ms/tick": sum(item.web_cpu_ms for item in done) / ticks,
            "client_cpu_ms/tick": sum(item.clients_cpu_ms for item in done) / ticks,
            "web_processes": len(webs),
        },
    )


def _paths(traders: Sequence[Trader], clients: int) -> list[str]:
    paths = []
    for trader in traders:
        token = sessions.open_session(user=trader.user, remember=False).access_token
        for place in range(_SOCKETS_EACH):
            agent = "*" if place % 2 else str(trader.agent_ids[place // 2 % _AGENTS_EACH])
            paths.append(f"/ws?token={token}&agentId={agent}")
    return paths[:clients]


class _Crowd:
    """A process of clients (`feed_clients`)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._orders, self._answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)

    def say(self, line: str) -> None:
        self._orders.write(line + "\n")
        self._orders.flush()

    def hear(self) -> dict[str, Any]:
        """Return the next answer; the process has said on standard error why there is none."""
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the bench's clients have ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _crowd(paths: Sequence[str]) -> Iterator[_Crowd]:
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.console.bench.feed_clients"],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    crowd = _Crowd(process)
    crowd.say(json.dumps({"port": settings.PORT, "paths": list(paths)}))
    try:
        yield crowd
    finally:
        process.kill()
        process.wait()


def _tick(number: int, crowds: Sequence[_Crowd], mints: Sequence[str], webs: Sequence[int]) -> Reception:
    tick = _FIRST_TICK + number
    for crowd in crowds:
        crowd.say(f'"tick":{tick},')
    time.sleep(_PAUSE_SECONDS)
    updates = _updates(mints, number, tick)
    cpu = _cpu_ns(webs)
    started = time.perf_counter_ns()
    feed.publish_prices(updates)
    answers = [crowd.hear() for crowd in crowds]
    return Reception(
        last_ms=(max(answer["last_ns"] for answer in answers) - started) / 1e6,
        missing=sum(answer["missing"] for answer in answers),
        received_bytes=sum(answer["bytes"] for answer in answers),
        clients_cpu_ms=sum(answer["cpu_ns"] for answer in answers) / 1e6,
        web_cpu_ms=(_cpu_ns(webs) - cpu) / 1e6,
    )


def _updates(mints: Sequence[str], number: int, tick: int) -> list[feed.PriceUpdate]:
    """Return prices a hair beside the last ones, as a watch would tell them."""
    points = prices.latest_prices(mints)
    step = Decimal(1) + Decimal(number + 1) / 1_000_000
    return [
        feed.PriceUpdate(
            mint=mint,
            price_sol=points[mint].price_sol * step,
            price_usd=points[mint].price_usd,
            source="jupiter",
            at=datetime.now(UTC),
            tick=tick,
        )
        for mint in mints
    ]


def _web_processes() -> list[int]:
    """Return the processes that serve the desk's port; not the one that only watches over several."""
    found: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
        if b"config.web" in command and f"PORT={settings.PORT}".encode() in environment.split(b"\0"):
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            found[int(entry.name)] = int(parent)
    return [pid for pid, parent in found.items() if parent in found] or list(found)


def _cpu_ns(pids: Sequence[int]) -> int:
    """Return the time the event loops of these processes have computed: their first threads, in nanoseconds."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids)
