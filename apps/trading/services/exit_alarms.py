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
FIRST_AT = 3
_SECOND_AT = 10
_THEN_EVERY = 30


def is_raised_at(attempts: int) -> bool:
    """Tell whether the failure with this number is one people hear of.

    >>> [number for number in range(1, 100) if is_raised_at(number)]
    [3, 10, 30, 60, 90]
    """
    return attempts in (FIRST_AT, _SECOND_AT) or attempts % _THEN_EVERY == 0


def was_raised(leased: LeasedExit) -> bool:
    """Tell whether people have heard of failures of this close."""
    return not leased.is_adjust and leased.attempts > FIRST_AT


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
        order_stuck(
            user_id=user_id,
            position_id=item.exit.position_id,
            mint=item.exit.mint,
            symbol=symbol,
            attempts=item.exit.attempts,
            code=item.code,
        )
        for item in told
        for user_id, symbol in [owners[item.exit.position_id]]
    ]


def order_stuck(
    *, user_id: UUID, position_id: UUID, mint: str, symbol: str, attempts: int, code: str
) -> outbox.Message:
    """Return the alert of a close that has failed `attempts` times, the last time with `code`."""
    message = f"{symbol or mint} could not be sold {attempts} times; it is tried again and again."
    return _alert(STUCK, message, user_id, position_id, mint, symbol, attempts, lastError=code)


def recovered(leased: LeasedExit, user_id: UUID, symbol: str) -> outbox.Message:
    """Return the message that a close people had heard of is sold."""
    return order_recovered(
        user_id=user_id,
        position_id=leased.position_id,
        mint=leased.mint,
        symbol=symbol,
        attempts=leased.attempts,
    )


def order_recovered(*, user_id: UUID, position_id: UUID, mint: str, symbol: str, attempts: int) -> outbox.Message:
    """Return the message that a close people had heard of is sold, at its `attempts`-th attempt."""
    message = f"{symbol or mint} is sold, at the {attempts}th attempt."
    return _alert(RECOVERED, message, user_id, position_id, mint, symbol, attempts)


def _alert(
    code: str, message: str, user_id: UUID, position_id: UUID, mint: str, symbol: str, attempts: int, **more: str
) -> outbox.Message:
    payload = {
        "code": code,
        "message": message,
        "positionId": str(position_id),
        "mint": mint,
        "symbol": symbol,
        "attempts": attempts,
        **more,
    }
    return outbox.Message(outbox.user_stream(user_id), "alert", payload)
