"""Verdicts of (signal, agent) pairs: exactly one each, written in the transaction that books or refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction as database

from apps.core import bulk, outbox
from apps.core.errors import Conflict
from apps.signals.queue import LeasedSignal
from apps.trading import metrics
from apps.trading.domain.fills import Fill
from apps.trading.models import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one agent's wish to buy, with the figures that decided it."""

    agent_id: UUID
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    inputs: dict[str, Any] | None = None
    transaction_id: UUID | None = None
    position_id: UUID | None = None
    fill: Fill | None = None
    order_id: UUID | None = None

    @property
    def code(self) -> str:
        """The first reason, or nothing."""
        return self.reasons[0] if self.reasons else ""

    @classmethod
    def skipped(cls, agent_id: UUID, reasons: Iterable[str], inputs: dict[str, Any] | None = None) -> Outcome:
        """We said no."""
        return cls(agent_id, Verdict.SKIPPED, tuple(reasons), inputs)

    @classmethod
    def failed(cls, agent_id: UUID, code: str, inputs: dict[str, Any] | None = None) -> Outcome:
        """We tried and something broke."""
        return cls(agent_id, Verdict.FAILED, (code,), inputs)

    @classmethod
    def executed(
        cls, agent_id: UUID, transaction_id: UUID, position_id: UUID, inputs: dict[str, Any], fill: Fill
    ) -> Outcome:
        return cls(agent_id, Verdict.EXECUTED, (), inputs, transaction_id, position_id, fill)

    @classmethod
    def pending(cls, agent_id: UUID, order_id: UUID, inputs: dict[str, Any]) -> Outcome:
        """An order of a live wallet is under way; its end is the verdict's."""
        return cls(agent_id, Verdict.PENDING, (), {**inputs, "orderId": str(order_id)}, order_id=order_id)


class VerdictTaken(Conflict):
    """Somebody else decided one of these pairs meanwhile: nothing of the transaction may stand."""

    def __init__(self) -> None:
        super().__init__("VERDICT_TAKEN", "The signal was decided for one of these agents meanwhile")


def claim(signal_id: int, outcomes: Sequence[Outcome]) -> set[UUID]:
    """Write the verdicts of pairs that have none, in the order of agents; return the agents whose pair was free.

    The unique key decides between two writers: the second waits for the first to commit and then writes nothing.
    """
    ordered = sorted(outcomes, key=lambda item: item.agent_id)
    rows = bulk.fetch_all(
        "INSERT INTO signal_execution (id, signal_id, agent_id, verdict, code, inputs, reasons, transaction_id,"
        " position_id, executed_at)"
        " SELECT gen_random_uuid(), %s, agent_id, verdict, COALESCE(reasons[1], ''), inputs, reasons, transaction_id,"
        " position_id, clock_timestamp()"
        " FROM jsonb_to_recordset(%s::jsonb) AS v(agent_id uuid, verdict text, inputs jsonb, reasons text[],"
        " transaction_id uuid, position_id uuid)"
        " ON CONFLICT (signal_id, agent_id) DO NOTHING RETURNING agent_id",
        [signal_id, orjson.dumps([_row(item) for item in ordered]).decode()],
    )
    return {row[0] for row in rows}


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "agent_id": outcome.agent_id,
        "verdict": str(outcome.verdict),
        "inputs": outcome.inputs,
        "reasons": outcome.reasons,
        "transaction_id": outcome.transaction_id,
        "position_id": outcome.position_id,
    }


def claim_all(signal_id: int, outcomes: Sequence[Outcome]) -> None:
    """Write the verdicts of a booking.

    Raises:
        VerdictTaken: one of the pairs was decided meanwhile; the booking must roll back and look again.
    """
    if outcomes and len(claim(signal_id, outcomes)) != len(outcomes):
        raise VerdictTaken()


def record(signal: LeasedSignal, outcomes: Sequence[Outcome]) -> None:
    """Write verdicts that book nothing, and tell of those that were the first of their pair."""
    if not outcomes:
        return
    with database.atomic():
        claimed = claim(signal.id, outcomes)
        fresh = [item for item in outcomes if item.agent_id in claimed]
        if fresh:
            outbox.append([message(signal, fresh)])
    measure(fresh, since=signal.created_at)


def measure(outcomes: Sequence[Outcome], *, since: datetime) -> None:
    """Count buys that were booked or failed, once their transaction stands; `since` is when they were asked for."""
    seconds = (datetime.now(UTC) - since).total_seconds()
    metrics.entries_booked(sum(item.verdict is Verdict.EXECUTED for item in outcomes), seconds)
    metrics.entries_failed([item.code for item in outcomes if item.verdict is Verdict.FAILED], seconds)


def count(signal_id: int) -> dict[str, int]:
    """Return how many pairs of a signal ended in each verdict."""
    rows = bulk.fetch_all(
        "SELECT verdict, count(*) FROM signal_execution WHERE signal_id = %s GROUP BY verdict", [signal_id]
    )
    return dict.fromkeys(Verdict.values, 0) | dict(rows)


_SETTLE = """
UPDATE signal_execution e
SET verdict = v.verdict, code = COALESCE(v.reasons[1], ''), reasons = v.reasons, transaction_id = v.transaction_id,
    position_id = v.position_id, executed_at = clock_timestamp(), inputs = COALESCE(e.inputs, '{}') || v.inputs
FROM jsonb_to_recordset(%s::jsonb) AS v(signal_id bigint, agent_id uuid, verdict text, inputs jsonb, reasons text[],
     transaction_id uuid, position_id uuid)
WHERE e.signal_id = v.signal_id AND e.agent_id = v.agent_id AND e.verdict = 'pending'
"""


def settle(outcomes: Sequence[tuple[int, Outcome]]) -> None:
    """Give pending pairs (signal id, outcome) the verdict their orders ended in; a pair that has one keeps it."""
    if outcomes:
        rows = [{**_row(item), "signal_id": signal_id, "inputs": item.inputs or {}} for signal_id, item in outcomes]
        bulk.execute(_SETTLE, [orjson.dumps(rows).decode()])


def message(signal: LeasedSignal, outcomes: Sequence[Outcome]) -> outbox.Message:
    """Tell the owner's feed what became of some pairs."""
    return told(signal.user_id, signal.id, outcomes)


def told(user_id: UUID, signal_id: int, outcomes: Sequence[Outcome]) -> outbox.Message:
    """Tell a user's feed what became of some pairs of a signal."""
    return outbox.Message(
        f"user:{user_id}",
        "executions",
        {
            "signalId": signal_id,
            "executions": [
                {
                    "agentId": str(item.agent_id),
                    "verdict": str(item.verdict),
                    "code": item.code,
                    "reasons": list(item.reasons),
                    "positionId": None if item.position_id is None else str(item.position_id),
                }
                for item in outcomes
            ],
        },
    )
