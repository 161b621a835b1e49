"""What signals tells the rest of the house."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SignalCreated:
    """A signal was accepted, in this transaction; `trading` takes it from here."""

    signal_id: int
    user_id: UUID
