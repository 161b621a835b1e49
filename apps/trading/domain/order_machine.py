"""The states of a live order and the steps between them (DESIGN section 6, CONCURRENCY 16-19). No step is skipped.

`unresolved` is not failed: nobody knows, and nothing new may be signed for the same purpose until somebody does.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.core.errors import Conflict

RESERVED = "reserved"
BUILT = "built"
SIGNED = "signed"
SENT = "sent"
UNRESOLVED = "unresolved"
LANDED = "landed"
FINALIZED = "finalized"
FAILED = "failed"
EXPIRED = "expired"

#: May still move money: funds are held and no other order of the same purpose may begin.
IN_FLIGHT = frozenset((RESERVED, BUILT, SIGNED, SENT, UNRESOLVED))
#: Signed bytes exist and may land, whatever this process does.
MAY_LAND = frozenset((SIGNED, SENT, UNRESOLVED))
#: `sent` is written before the bytes leave: what has not come so far was never sent.
SENT_ONCE = frozenset((SENT, UNRESOLVED, LANDED))
TERMINAL = frozenset((FINALIZED, FAILED, EXPIRED))

#: Steps an order may take. What is not signed may fail freely, what is signed only by the chain's own word: `failed`
#: after it landed with an error or was refused before it could land, `expired` when it can land no more.
STEPS: Mapping[str, frozenset[str]] = {
    RESERVED: frozenset((BUILT, FAILED)),
    BUILT: frozenset((SIGNED, RESERVED, FAILED)),
    SIGNED: frozenset((SENT, UNRESOLVED, LANDED, FAILED, EXPIRED)),
    SENT: frozenset((UNRESOLVED, LANDED, FAILED, EXPIRED)),
    UNRESOLVED: frozenset((LANDED, FAILED, EXPIRED)),
    LANDED: frozenset((FINALIZED, FAILED, UNRESOLVED)),
    FINALIZED: frozenset(),
    FAILED: frozenset(),
    EXPIRED: frozenset(),
}


class ForbiddenStep(Conflict):
    """An order was to take a step the machine does not know."""


def check(before: str, after: str) -> None:
    """Let a step pass or refuse it.

    Raises:
        ForbiddenStep: FORBIDDEN_STEP.

    >>> check(SIGNED, SENT)
    >>> check(FAILED, SENT)
    Traceback (most recent call last):
    apps.trading.domain.order_machine.ForbiddenStep: an order that is failed cannot become sent
    """
    if after not in STEPS[before]:
        raise ForbiddenStep("FORBIDDEN_STEP", f"an order that is {before} cannot become {after}")
