"""A signal as work: leased by who handles it, due again when the lease runs out, done once all agents have verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from apps.core import bulk

#: What a worker that died costs; who needs longer renews it on the way (`keep`).
LEASE_SECONDS = 10
RENEW_BELOW_SECONDS = 6
RETRY_SECONDS = 1
LONGEST_RETRY_SECONDS = 30


@dataclass(slots=True)
class LeasedSignal:
    """A signal in the hands of one worker until `lease_until`, which `keep` moves on.

    `attempts` is the number of the lease: once it was taken over, what its former holder says of it counts no more.
    """

    id: int
    user_id: UUID
    token_address: str
    symbol: str | None
    signal_type: str
    signal_strength: int
    created_at: datetime
    attempts: int
    lease_until: datetime
    is_deleted: bool


_RETURNED = (
    "id, user_id, token_address, symbol, signal_type, signal_strength, created_at, attempts, lease_until,"
    " deleted_at IS NOT NULL"
)
_HELD = " WHERE id = %s AND status = 'leased' AND attempts = %s"


def lease(signal_id: int) -> LeasedSignal | None:
    """Take a due signal, or one whose lease ran out; None when it is done or in other hands."""
    rows = bulk.fetch_all(
        "UPDATE trading_signal SET status = 'leased', lease_until = clock_timestamp() + %s, attempts = attempts + 1"
        " WHERE id = %s AND (status = 'due' AND due_at <= clock_timestamp()"
        " OR status = 'leased' AND lease_until < clock_timestamp()) RETURNING " + _RETURNED,
        [timedelta(seconds=LEASE_SECONDS), signal_id],
    )
    return LeasedSignal(*rows[0]) if rows else None


def due_ids(limit: int = 50) -> list[int]:
    """Return signals nobody is working on, oldest first."""
    rows = bulk.fetch_all(
        "SELECT id FROM trading_signal WHERE status = 'due' AND due_at <= clock_timestamp()"
        " OR status = 'leased' AND lease_until < clock_timestamp() ORDER BY id LIMIT %s",
        [limit],
    )
    return [row[0] for row in rows]


class LeaseLost(Exception):
    """Somebody else works on the signal now."""


def keep(signal: LeasedSignal) -> None:
    """Renew the lease unless enough of it is left for a booking.

    Raises:
        LeaseLost: it ran out and was taken.
    """
    if (signal.lease_until - timezone.now()).total_seconds() > RENEW_BELOW_SECONDS:
        return
    rows = bulk.fetch_all(
        "UPDATE trading_signal SET lease_until = clock_timestamp() + %s" + _HELD + " RETURNING lease_until",
        [timedelta(seconds=LEASE_SECONDS), signal.id, signal.attempts],
    )
    if not rows:
        raise LeaseLost
    ((signal.lease_until,),) = rows


def finish(signal: LeasedSignal) -> bool:
    """Mark the signal done; False when the lease was lost meanwhile (its new holder will finish it)."""
    finished = bulk.execute(
        "UPDATE trading_signal SET status = 'done', lease_until = NULL, finished_at = clock_timestamp()" + _HELD,
        [signal.id, signal.attempts],
    )
    return finished == 1


def give_back(signal: LeasedSignal, *, after_seconds: float = RETRY_SECONDS) -> None:
    """Make the signal due again after a pause; nothing happens when the lease was lost meanwhile."""
    bulk.execute(
        "UPDATE trading_signal SET status = 'due', lease_until = NULL, due_at = clock_timestamp() + %s" + _HELD,
        [timedelta(seconds=after_seconds), signal.id, signal.attempts],
    )


def growing_pause_seconds(attempts: int) -> float:
    """Return the pause after a failure that may never pass: a second, doubling with each attempt, at most thirty.

    >>> [growing_pause_seconds(n) for n in (1, 2, 5, 50)]
    [1, 2, 16, 30]
    """
    return min(RETRY_SECONDS * 2 ** min(attempts - 1, 10), LONGEST_RETRY_SECONDS)
