"""The audit of the books: everything that can be worked out a second time is, in one consistent snapshot.

Reads only. It prints zero differences, always; the questions are in `book_checks`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db import transaction as database

from apps.core import bulk
from apps.core.money import lamports_to_sol, sol_to_lamports, to_base_units
from apps.trading.domain.cost_basis import Holding
from apps.trading.selectors import undone_fills
from apps.trading.services import book_checks


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not add up: what the books say (`found`) and what follows from their entries (`expected`)."""

    subject: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} should be {self.expected}, is {self.found}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check with how many rows it looked at."""

    name: str
    title: str
    rows: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Every check of one audit."""

    checks: tuple[CheckResult, ...]
    took_seconds: float

    @property
    def differences(self) -> list[Difference]:
        return [difference for check in self.checks for difference in check.differences]


def audit_books() -> AuditReport:
    """Recompute balances, positions, profits, counters and verdicts, and return what differs.

    One REPEATABLE READ snapshot: what is booked meanwhile is not half seen. Inside a caller's transaction it sees what
    that transaction sees.
    """
    started = time.monotonic()
    with _snapshot():
        checks = []
        for check in book_checks.CHECKS:
            ((rows,),) = bulk.fetch_all(check.rows)
            found = [
                Difference(row[0], row[1], _text(row[2]), _text(row[3])) for row in bulk.fetch_all(check.differences)
            ]
            if check.name == "positions":
                found += _replay_costs()
            checks.append(CheckResult(check.name, check.title, rows, tuple(found)))
    return AuditReport(tuple(checks), time.monotonic() - started)


@contextmanager
def _snapshot() -> Iterator[None]:
    nested = connection.in_atomic_block
    with database.atomic():
        if not nested:
            bulk.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Whole tables against whole tables: without fresh statistics the planner would try them row by row.
            bulk.execute("SET LOCAL work_mem = '64MB'; SET LOCAL enable_nestloop = off; SET LOCAL jit = off")
        yield


# The ledger's numbers rise in the order of booking, under the wallet's lock; times of transactions need not.
_PARTLY_SOLD = f"""
SELECT p.id, p.decimals, p.remaining_cost_sol, t.output_mint = p.mint,
       CASE WHEN t.output_mint = p.mint THEN t.output_amount ELSE t.input_amount END,
       CASE WHEN t.output_mint = p.mint THEN t.input_amount + COALESCE(t.network_fee_sol, 0)
            ELSE COALESCE(t.output_amount, 0) - COALESCE(t.protocol_fee_sol, 0) - COALESCE(t.network_fee_sol, 0) END
FROM position p
JOIN transaction t ON t.position_id = p.id
JOIN LATERAL (SELECT min(id) AS place FROM ledger_entry WHERE transaction_id = t.id) AS booked ON true
WHERE p.remaining_amount > 0 AND p.remaining_amount < p.purchase_amount AND t.id NOT IN ({undone_fills.IDS})
ORDER BY p.id, booked.place
"""


def _replay_costs() -> list[Difference]:
    """Replay the fills of positions that were sold in part, and compare the cost of what is left."""
    fills: dict[tuple[UUID, int, Decimal], list[tuple[bool, Decimal, Decimal]]] = defaultdict(list)
    for position_id, decimals, cost, is_buy, amount, sol in bulk.fetch_all(_PARTLY_SOLD):
        fills[position_id, decimals, cost].append((is_buy, amount, sol))
    differences = []
    for (position_id, decimals, cost), rows in fills.items():
        expected = _remaining_cost(rows, decimals)
        if expected != cost:
            differences.append(Difference(f"position {position_id}", "remaining cost", _text(expected), _text(cost)))
    return differences


def _remaining_cost(fills: list[tuple[bool, Decimal, Decimal]], decimals: int) -> Decimal:
    holding = Holding(0, 0)
    for is_buy, amount, sol in fills:
        units, lamports = to_base_units(amount, decimals), sol_to_lamports(sol)
        holding = holding.bought(units, lamports) if is_buy else holding.sold(units, lamports).holding
    return lamports_to_sol(holding.cost_lamports)


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return str(value)
