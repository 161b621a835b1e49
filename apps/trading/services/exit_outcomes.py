"""What became of an exit that was tried, whichever way it was booked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.core.errors import SoldeskError
from apps.trading.domain.exit_decision import Action
from apps.trading.services.exit_intents import LeasedExit

#: Bookings take at most this many exits in one transaction.
CHUNK = 250
LEASE_LOST = "LEASE_LOST"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one exit. `code` is "" when it was booked, else why not; LEASE_LOST: another process holds it now.

    `reason` is the one it was booked for, `booked_at` the moment.
    """

    exit: LeasedExit
    action: Action
    code: str = ""
    transaction_id: UUID | None = None
    reason: str = ""
    booked_at: datetime | None = None

    @property
    def booked(self) -> bool:
        return self.transaction_id is not None


def error_code(error: Exception) -> str:
    """Return the code an intent keeps of what went wrong."""
    return error.code if isinstance(error, SoldeskError) else "EXECUTION_FAILED"
