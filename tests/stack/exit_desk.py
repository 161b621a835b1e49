"""A desk of real processes with a trader on it, as the tests of exits need it: hold, move a price, look at the sales.

Everything is seen from outside: the signal API, the sandbox's control API, the database's rows, `manage.py audit`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from tests.desk import ROOT, Desk, wait_until

#: What the machine may need when everything on it runs at once; a quiet one takes a second or two.
RECOVERY_SECONDS = 60.0
#: `make test-stack` repeats what depends on chance, each time with other chances.
REPEATS = int(os.environ.get("STACK_REPEATS", "1"))
SEED = int(os.environ.get("STACK_SEED", "20261121"))
CHANCES = f"STACK_SEED={SEED} STACK_REPEATS={REPEATS}"


def query(desk: Desk, text: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Ask the desk's database; an empty answer while it is away."""
    try:
        with psycopg.connect(desk.record()["DATABASE_URL"], connect_timeout=2) as connection:
            return connection.execute(text, parameters).fetchall()
    except psycopg.OperationalError:
        return []


def post_until_taken(desk: Desk, key: str, mint: str) -> None:
    """Send a signal as a provider does: again until somebody answers; a duplicate means it was taken before."""
    url = f"http://127.0.0.1:{desk.port}/api/v1/trading-signals"
    body = {"tokenAddress": mint, "signalType": "Momentum", "signalStrength": 4}

    def taken() -> bool:
        try:
            answer = httpx.post(url, json=body, headers={"X-API-Key": key}, timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code in (201, 409)

    wait_until(taken, RECOVERY_SECONDS)


_TO_DO = "EXISTS (SELECT 1 FROM exit_intent i WHERE i.position_id = p.id AND i.status IN ('due', 'leased'))"


@dataclass(frozen=True, slots=True)
class Sale:
    """One position as it ended: `sales` counts its transactions that sold, `closes` its closed trades."""

    reason: str
    sales: int
    closes: int
    intents: int
    fired_at: datetime
    sold_at: datetime

    @property
    def took_seconds(self) -> float:
        """Seconds from firing to the committed sale."""
        return (self.sold_at - self.fired_at).total_seconds()


class ExitDesk:
    """A running desk and a trader with `agents` funded agents; new tokens stand still until told otherwise."""

    def __init__(self, desk: Desk, *, agents: int) -> None:
        script = [sys.executable, "-m", "tests.stack.traders", str(agents), "0"]
        told = subprocess.run(script, cwd=ROOT, env=desk.environment, capture_output=True, text=True, check=True)
        self.desk = desk
        self.agents = agents
        self.keys: list[str] = json.loads(told.stdout)["keys"]

    # -- the market

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Steer the sandbox; return its answer."""
        url = f"http://127.0.0.1:{self.desk.environment['SANDBOX_PORT']}/control/{path}"
        answer = httpx.request(method, url, json=body or None, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def price(self, mint: str) -> Decimal:
        """Return a token's price now, SOL per token."""
        tokens = self.control("GET", "state")["tokens"]
        (price,) = [Decimal(token["price_sol"]) for token in tokens if token["mint"] == mint]
        return price

    def set_price(self, mint: str, price: Decimal) -> Decimal:
        """Set a token's price now; return the one its pool really has."""
        return Decimal(self.control("POST", "price", mint=mint, price_sol=str(price))["price_sol"])

    def crash(self, *mints: str) -> None:
        """Let tokens lose 95 % of their price at once: past every stop of the traders that has not risen."""
        for mint in mints:
            self.set_price(mint, self.price(mint) / 20)

    def fault(self, source: str | list[str], kind: str, **options: Any) -> None:
        """Switch a fault of the providers on."""
        self.control("POST", "faults", source=source, kind=kind, **options)

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self.control("DELETE", "faults")

    # -- processes

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process where it stands, as a machine that does not answer; it goes on afterwards, if it lives."""
        pid = wait_until(lambda: self.desk.pid(name))
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if self.desk.pid(name) == pid:
                os.kill(pid, signal.SIGCONT)

    # -- positions

    def list_tokens(self, count: int) -> list[str]:
        """List tokens nobody has had yet, which stand still."""
        prefix = f"X{secrets.token_hex(2)}".upper()
        tokens = self.control("POST", "tokens", count=count, prefix=prefix, scenario="still")["tokens"]
        return [token["mint"] for token in tokens]

    def hold_new(self, count: int) -> list[str]:
        """Let every agent buy `count` new tokens and return them."""
        return self.hold(self.list_tokens(count))

    def hold(self, mints: list[str]) -> list[str]:
        """Let every agent buy these tokens, by a signal for each."""
        for number, mint in enumerate(mints):
            post_until_taken(self.desk, self.keys[number % len(self.keys)], mint)
        wait_until(lambda: self.count(mints, "p.closed_at IS NULL") == self.agents * len(mints), RECOVERY_SECONDS)
        return mints

    # -- what the database says

    def query(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the desk's database; an empty answer while it is away."""
        return query(self.desk, text, *parameters)

    def count(self, mints: Sequence[str], condition: str) -> int | None:
        """Count the tokens' positions that meet a condition on `p`; None while the database is away."""
        rows = self.query(f"SELECT count(*) FROM position p WHERE p.mint = ANY(%s) AND {condition}", list(mints))
        return rows[0][0] if rows else None

    @contextmanager
    def held_rows(self, mint: str) -> Iterator[None]:
        """Lock the token's positions, as a booking does: meanwhile nobody writes to them."""
        with psycopg.connect(self.desk.record()["DATABASE_URL"]) as connection:
            connection.execute("SELECT 1 FROM position WHERE mint = %s AND closed_at IS NULL FOR UPDATE", [mint])
            yield
            connection.rollback()

    def has_fired(self, mints: Sequence[str]) -> bool:
        """Tell whether any position of the tokens was told to close."""
        return bool(self.count(mints, "EXISTS (SELECT 1 FROM exit_intent i WHERE i.position_id = p.id)"))

    def all_sold(self, mints: Sequence[str]) -> bool:
        """Tell whether no position of the tokens is open."""
        return self.count(mints, "p.closed_at IS NULL") == 0

    def wait_sold(self, mints: Sequence[str], seconds: float = RECOVERY_SECONDS) -> None:
        """Wait until no position of the tokens is open."""
        wait_until(lambda: self.all_sold(mints), seconds)

    def ticks_of(self, mint: str) -> list[tuple[Decimal, datetime]]:
        """Return the stored prices of a token and when they were received, oldest first."""
        return self.query("SELECT price_sol, received_at FROM tick WHERE mint = %s ORDER BY id", mint)

    def wait_ticks(self, mint: str, count: int) -> None:
        """Wait until the watch has looked at a token's price `count` times from now on."""
        before = len(self.ticks_of(mint))
        wait_until(lambda: len(self.ticks_of(mint)) >= before + count, RECOVERY_SECONDS)

    def sales(self, mints: Sequence[str]) -> list[Sale]:
        """Return how each position of the tokens ended."""
        rows = self.query(
            "SELECT p.close_reason,"
            " (SELECT count(*) FROM transaction t WHERE t.position_id = p.id AND t.input_mint = p.mint),"
            " (SELECT count(*) FROM closed_trade c WHERE c.position_id = p.id),"
            " (SELECT count(*) FROM exit_intent i WHERE i.position_id = p.id AND i.status <> 'cancelled'),"
            " (SELECT min(created_at) FROM exit_intent i WHERE i.position_id = p.id AND i.status = 'done'),"
            " (SELECT max(finished_at) FROM exit_intent i WHERE i.position_id = p.id AND i.status = 'done')"
            " FROM position p WHERE p.mint = ANY(%s)",
            list(mints),
        )
        return [Sale(*row) for row in rows]

    def check_sold_once(self, mints: Sequence[str], note: str = "") -> list[Sale]:
        """Assert that each agent's position in each token was sold by its stop, once; return the sales.

        A close fired again while its position was being sold is cancelled when its turn comes: that is waited for.
        """
        wait_until(lambda: self.count(mints, _TO_DO) == 0, RECOVERY_SECONDS)
        sales = self.sales(mints)
        assert len(sales) == self.agents * len(mints), note
        ends = Counter((sale.reason, sale.sales, sale.closes, sale.intents) for sale in sales)
        assert set(ends) == {("stop_loss", 1, 1, 1)}, f"{ends} {note}"
        return sales

    def check_books(self) -> None:
        """Assert that `manage.py audit` finds no difference."""
        audit = subprocess.run(
            [sys.executable, "manage.py", "audit"], cwd=ROOT, env=self.desk.environment, capture_output=True, text=True
        )
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert audit.stdout.splitlines()[-1].startswith("0 differences"), audit.stdout


def report(title: str, sales: Sequence[Sale], since: float) -> None:
    """Print how long sales took from firing, and from `since` (unix time) to the last one."""
    times = sorted(sale.took_seconds for sale in sales)
    last = max(sale.sold_at.timestamp() for sale in sales) - since
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(
        f"{title}: {len(times)} sold, fired to sold p50 {p50:.3f} s, p99 {p99:.3f} s; price to last sale {last:.3f} s"
    )
