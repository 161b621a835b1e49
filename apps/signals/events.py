"""What signals tells the rest of the house."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SignalCreated:
    """A signal was accepted, and may be committed already: nothing can be vetoed. `trading` takes it from here."""

    signal_id: int
    user_id: UUID
