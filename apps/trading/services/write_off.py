"""Writing off positions in dead tokens: asked for by an operator, or by itself where the settings say so.

Three steps, each a row that survives the process: the wish (or the rule) on the token's evidence, a close intent with
reason `write_off` per position, the booking (`write_off_booking`). Nothing is sold and nobody is asked for a quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.core import bulk, wake
from apps.core.money import ZERO
from apps.trading import errors
from apps.trading.domain import dead_tokens as rules
from apps.trading.domain.dead_tokens import Evidence, Rule
from apps.trading.models import CloseReason
from apps.trading.presentation import timestamp
from apps.trading.selectors import dead_tokens
from apps.trading.selectors.dead_tokens import Case
from apps.trading.services import exit_intents, write_off_booking
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.exit_outcomes import Outcome

log = structlog.get_logger(__name__)

TASK = "trading.write_off"


@dataclass(frozen=True, slots=True)
class Stake:
    """What a write-off would cost: simulated positions that are open, and what their tokens had cost in SOL."""

    positions: int
    cost_sol: Decimal


def rule() -> Rule:
    """Return the operator's settings."""
    return Rule(timedelta(minutes=settings.WRITE_OFF_AFTER_MINUTES), settings.WRITE_OFF_MINIMUM_CHECKS)


def request(*, mint: str, actor: User | None) -> Stake:
    """Write a dead token off because a person wants it, and return what that costs; workers do it within seconds.

    The wish ends with the evidence: should the token live before it is booked, nothing is written off.

    Raises:
        TokenNotDead: not one check found the token dead, or the last one is too long ago.
        NothingToWriteOff: nobody holds the token in a simulated wallet.
    """
    with database.atomic():
        case = dead_tokens.lock_case(mint)
        now = _now()
        evidence = Evidence(0, None, None) if case is None else case.evidence
        decision = rules.decide(evidence, rule(), asked_by_operator=True, now=now)
        if case is None or not decision.allowed:
            raise errors.TokenNotDead(decision.code)
        stake = stake_of(mint)
        if not stake.positions:
            raise errors.NothingToWriteOff
        bulk.execute(
            "UPDATE dead_token SET write_off_requested_at = %s, write_off_requested_by_id = %s WHERE mint = %s",
            [now, None if actor is None else actor.pk, mint],
        )
        audit.record(
            actor=actor,
            action="dead_token.write_off_requested",
            object_type="dead_token",
            object_id=mint,
            before=_facts(case),
            after={"positions": stake.positions, "cost_sol": stake.cost_sol},
        )
    wake.wake_on_commit(TASK)
    return stake


def stake_of(mint: str) -> Stake:
    """Return what writing a token off would cost now."""
    ((positions, cost),) = bulk.fetch_all(
        f"SELECT count(*), COALESCE(sum(p.remaining_cost_sol), 0) {_OPEN_POSITIONS}", {"mint": mint}
    )
    return Stake(positions, cost or ZERO)


def run() -> list[Outcome]:
    """Fire what may be written off, book what is fired, and return what became of each intent that was due."""
    fire_due()
    return write_off_booking.book_due()


def fire_due() -> int:
    """Fire close intents for the open positions of every token that may be written off; return how many.

    What is being sold this moment is left to that attempt, and taken by a later round.
    """
    now, fired = _now(), 0
    for case in dead_tokens.list_cases():
        asked = case.requested_at is not None
        if rules.decide(case.evidence, rule(), asked_by_operator=asked, now=now).allowed:
            fired += _fire(case)
    return fired


#: Tokens of a live wallet are on the chain, and stay in the books as long as they are there.
_OPEN_POSITIONS = """
FROM position p JOIN wallet w ON w.id = p.wallet_id AND w.wallet_type = 'simulation'
WHERE p.mint = %(mint)s AND p.closed_at IS NULL
"""
_WITHOUT_CLOSE = f"""
SELECT p.id, p.generation {_OPEN_POSITIONS}
AND NOT EXISTS (SELECT 1 FROM exit_intent i
                WHERE i.position_id = p.id AND i.kind = 'close' AND i.status IN ('due', 'leased'))
"""
# A stop nobody buys becomes the write-off; what it was is kept, for the token may yet live.
_TAKE_OVER = f"""
WITH due AS (
    SELECT i.id FROM exit_intent i
    WHERE i.position_id IN (SELECT p.id {_OPEN_POSITIONS}) AND i.kind = 'close' AND i.reason <> 'write_off'
      AND (i.status = 'due' OR i.status = 'leased' AND i.lease_until < clock_timestamp())
    ORDER BY i.id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE exit_intent i
SET reason = 'write_off', needs_confirmation = false, requested_by_id = %(actor)s, status = 'due', lease_until = NULL,
    due_at = clock_timestamp(), attempts = 0, last_error = '',
    details = COALESCE(i.details, '{{}}') || %(details)s::jsonb || jsonb_build_object('insteadOf', jsonb_build_object(
        'reason', i.reason, 'needsConfirmation', i.needs_confirmation, 'requestedBy', i.requested_by_id))
FROM due WHERE i.id = due.id
"""


def _fire(case: Case) -> int:
    """Fire for the token's positions: anew where nothing is open, by taking over where a close waits."""
    details = {"evidence": {**_facts(case), "requested": case.requested_at is not None}}
    actor = None if case.requested_at is None else case.requested_by_id
    with database.atomic():
        taken = bulk.execute(_TAKE_OVER, {"mint": case.mint, "actor": actor, "details": orjson.dumps(details).decode()})
        fired = exit_intents.fire(
            FiredExit(
                position_id=position_id,
                reason=CloseReason.WRITE_OFF,
                generation=generation,
                mint=case.mint,
                details=details,
                requested_by_id=actor,
            )
            for position_id, generation in bulk.fetch_all(_WITHOUT_CLOSE, {"mint": case.mint})
        )
    if taken or fired:
        log.warning("write_off_fired", mint=case.mint, fired=len(fired), taken_over=taken)
    return taken + len(fired)


def _facts(case: Case) -> dict[str, Any]:
    """Return the evidence as the audit log and a position's story keep it."""
    return {
        "checks": case.evidence.checks,
        "firstSeenAt": timestamp(case.evidence.first_seen_at),
        "lastSeenAt": timestamp(case.evidence.last_seen_at),
        "code": case.last_code,
    }


def _now() -> datetime:
    """The database's time, by which evidence is written."""
    ((now,),) = bulk.fetch_all("SELECT clock_timestamp()")
    return now
