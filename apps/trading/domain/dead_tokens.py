"""When a token counts as dead, and when its positions may be written off. Pure.

One check is evidence when every price source answered, none with a price, and a sale of a real holding was refused for
good. A failed call is none, and says nothing against it either. A price or a quote ends the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.trading.domain.exit_decision import (
    ALLOWED,
    EXITS_HALTED,
    POSITION_CLOSED,
    WALLET_RESET,
    Action,
    CloseDecision,
)

#: Checks of one token are at least this far apart.
CHECK_EVERY = timedelta(seconds=30)
#: Nobody knows what a token did while it was not checked: after such a gap the evidence starts over.
LONGEST_GAP = timedelta(minutes=10)

#: A refusal that speaks of the amount: less of the token may well find a buyer.
_ABOUT_THE_AMOUNT = frozenset({"ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT"})

NOT_DEAD = "NOT_DEAD"
EVIDENCE_TOO_OLD = "EVIDENCE_TOO_OLD"
NOT_AUTOMATIC = "NOT_AUTOMATIC"
TOO_FEW_CHECKS = "TOO_FEW_CHECKS"
TOO_SHORT = "TOO_SHORT"
TOKEN_LIVES = "TOKEN_LIVES"  # noqa: S105 - a code


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks against a token now: how many checks counted, the first and the last of them."""

    checks: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rule:
    """The operator's settings: `after` zero never writes off without being asked to."""

    after: timedelta
    minimum_checks: int


@dataclass(frozen=True, slots=True)
class WriteOffDecision:
    """Whether a token's positions may be written off now, and the stable code of why."""

    allowed: bool
    code: str


def decide(evidence: Evidence, rule: Rule, *, asked_by_operator: bool, now: datetime) -> WriteOffDecision:
    """Decide whether to write off; the first rule that forbids it gives the code.

    An operator needs one check that counted; the desk by itself needs as many as the rule says, over as long.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> seen = Evidence(5, noon - timedelta(minutes=12), noon)
    >>> decide(seen, Rule(timedelta(0), 5), asked_by_operator=False, now=noon).code
    'NOT_AUTOMATIC'
    >>> decide(seen, Rule(timedelta(0), 5), asked_by_operator=True, now=noon).code
    'ALLOWED'
    >>> decide(seen, Rule(timedelta(minutes=15), 5), asked_by_operator=False, now=noon).code
    'TOO_SHORT'
    """
    if evidence.checks < 1 or evidence.first_seen_at is None or evidence.last_seen_at is None:
        return WriteOffDecision(False, NOT_DEAD)
    if is_too_old(evidence.last_seen_at, now):
        return WriteOffDecision(False, EVIDENCE_TOO_OLD)
    if asked_by_operator:
        return WriteOffDecision(True, ALLOWED)
    if rule.after <= timedelta(0):
        return WriteOffDecision(False, NOT_AUTOMATIC)
    if evidence.checks < rule.minimum_checks:
        return WriteOffDecision(False, TOO_FEW_CHECKS)
    if evidence.last_seen_at - evidence.first_seen_at < rule.after:
        return WriteOffDecision(False, TOO_SHORT)
    return WriteOffDecision(True, ALLOWED)


def is_too_old(last_seen_at: datetime, now: datetime) -> bool:
    """Tell whether evidence is so old that it needs another check before it may cost anybody anything."""
    return now - last_seen_at > LONGEST_GAP


def speaks_of_the_token(refusal: str) -> bool:
    """Tell whether the aggregator's reason for refusing a sale is about the token, not about the amount.

    >>> speaks_of_the_token("TOKEN_NOT_TRADABLE"), speaks_of_the_token("ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT")
    (True, False)
    """
    return refusal not in _ABOUT_THE_AMOUNT


def decide_booking(
    *, is_open: bool, wallet_current: bool, exits_allowed: bool, evidence: Evidence | None, now: datetime
) -> CloseDecision:
    """Decide a fired write-off under lock; `evidence` None means that nothing speaks against the token any more.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> held = dict(is_open=True, wallet_current=True, exits_allowed=True, now=noon)
    >>> decide_booking(evidence=None, **held)
    CloseDecision(action=<Action.CANCEL: 'cancel'>, code='TOKEN_LIVES')
    >>> decide_booking(evidence=Evidence(3, noon, noon), **held).allowed
    True
    """
    if not is_open:
        return CloseDecision(Action.CANCEL, POSITION_CLOSED)
    if not wallet_current:
        return CloseDecision(Action.CANCEL, WALLET_RESET)
    if evidence is None or evidence.last_seen_at is None:
        return CloseDecision(Action.CANCEL, TOKEN_LIVES)
    if not exits_allowed:
        return CloseDecision(Action.WAIT, EXITS_HALTED)
    if is_too_old(evidence.last_seen_at, now):
        return CloseDecision(Action.WAIT, EVIDENCE_TOO_OLD)
    return CloseDecision(Action.BOOK, ALLOWED)
