"""A signal as work: leased by who handles it, due again when the lease runs out, done once all agents have verdicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from apps.core import bulk

#: Longer than a round of quotes may take; a worker that died costs this much.
LEASE_SECONDS = 10
_RENEW_BELOW_SECONDS = 6
RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class LeasedSignal:
    """A signal in the hands of one worker until `lease_until`."""

    id: int
    user_id: UUID
    token_address: str
    symbol: str | None
    signal_type: str
    signal_strength: int
    created_at: datetime
    attempts: int
    lease_until: datetime


_COLUMNS = "id, user_id, token_address, symbol, signal_type, signal_strength, created_at, attempts, lease_until"


def lease(signal_id: int) -> LeasedSignal | None:
    """Take a due signal, or one whose lease ran out; None when it is done or in other hands."""
    rows = bulk.fetch_all(
        "UPDATE trading_signal SET status = 'leased', lease_until = clock_timestamp() + %s, attempts = attempts + 1"
        " WHERE id = %s AND (status = 'due' AND due_at <= clock_timestamp()"
        " OR status = 'leased' AND lease_until < clock_timestamp()) RETURNING " + _COLUMNS,
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


def keep(signal: LeasedSignal) -> LeasedSignal:
    """Return the signal with enough of its lease left for a booking, renewed where it is not.

    Raises:
        LeaseLost: it ran out and was taken.
    """
    if (signal.lease_until - timezone.now()).total_seconds() > _RENEW_BELOW_SECONDS:
        return signal
    rows = bulk.fetch_all(
        "UPDATE trading_signal SET lease_until = clock_timestamp() + %s"
        " WHERE id = %s AND status = 'leased' AND lease_until = %s RETURNING lease_until",
        [timedelta(seconds=LEASE_SECONDS), signal.id, signal.lease_until],
    )
    if not rows:
        raise LeaseLost
    return replace(signal, lease_until=rows[0][0])


def finish(signal: LeasedSignal) -> bool:
    """Mark the signal done; False when the lease was lost meanwhile (its new holder will finish it)."""
    return (
        bulk.execute(
            "UPDATE trading_signal SET status = 'done', lease_until = NULL, finished_at = clock_timestamp()"
            " WHERE id = %s AND status = 'leased' AND lease_until = %s",
            [signal.id, signal.lease_until],
        )
        == 1
    )


def give_back(signal: LeasedSignal) -> None:
    """Make the signal due again shortly: something passing was in the way."""
    bulk.execute(
        "UPDATE trading_signal SET status = 'due', lease_until = NULL, due_at = clock_timestamp() + %s"
        " WHERE id = %s AND status = 'leased' AND lease_until = %s",
        [timedelta(seconds=RETRY_SECONDS), signal.id, signal.lease_until],
    )
