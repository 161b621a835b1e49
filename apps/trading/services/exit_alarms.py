"""Closes that fail again and again: their owners hear of the third, the tenth and every thirtieth failure, and the end.

A close stays due whatever happens; an alert says that somebody should look. Take profits and DCAs raise none.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.core import bulk, outbox
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_outcomes import Outcome

STUCK = "EXIT_STUCK"
RECOVERED = "EXIT_RECOVERED"
_FIRST_AT = 3
_SECOND_AT = 10
_THEN_EVERY = 30


def is_raised_at(attempts: int) -> bool:
    """Tell whether the failure with this number is one people hear of.

    >>> [number for number in range(1, 100) if is_raised_at(number)]
    [3, 10, 30, 60, 90]
    """
    return attempts in (_FIRST_AT, _SECOND_AT) or attempts % _THEN_EVERY == 0


def was_raised(leased: LeasedExit) -> bool:
    """Tell whether people have heard of failures of this close."""
    return not leased.is_adjust and leased.attempts > _FIRST_AT


_OWNERS = """
SELECT p.id, a.user_id, p.symbol FROM position p JOIN agent a ON a.id = p.agent_id WHERE p.id = ANY(%s)
"""


def stuck(failed: Sequence[Outcome]) -> list[outbox.Message]:
    """Return the alerts of failed closes that are due one, for `outbox.append`; one query, none when none is."""
    told = [item for item in failed if not item.exit.is_adjust and is_raised_at(item.exit.attempts)]
    if not told:
        return []
    rows = bulk.fetch_all(_OWNERS, [[item.exit.position_id for item in told]])
    owners: dict[UUID, tuple[UUID, str]] = {row[0]: (row[1], row[2]) for row in rows}
    return [
        _alert(
            STUCK,
            f"{symbol or item.exit.mint} could not be sold {item.exit.attempts} times; it is tried again and again.",
            item.exit,
            user_id,
            symbol,
            lastError=item.code,
        )
        for item in told
        for user_id, symbol in [owners[item.exit.position_id]]
    ]


def recovered(leased: LeasedExit, user_id: UUID, symbol: str) -> outbox.Message:
    """Return the message that a close people had heard of is sold."""
    message = f"{symbol or leased.mint} is sold, at the {leased.attempts}th attempt."
    return _alert(RECOVERED, message, leased, user_id, symbol)


def _alert(code: str, message: str, leased: LeasedExit, user_id: UUID, symbol: str, **more: str) -> outbox.Message:
    payload = {
        "code": code,
        "message": message,
        "positionId": str(leased.position_id),
        "mint": leased.mint,
        "symbol": symbol,
        "attempts": leased.attempts,
        **more,
    }
    return outbox.Message(outbox.user_stream(user_id), "alert", payload)
