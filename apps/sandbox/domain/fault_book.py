"""What all faults on demand have in common, wherever they strike: when they end, how often, and who switches them off.

`apps.sandbox.faults` is the book of the market's HTTP, `apps.sandbox.chain.faults` that of the chain's nodes. Draws are
functions of what a fault is drawn by and of how often it could have struck: the same requests meet the same faults,
whatever else goes on.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from apps.sandbox.domain import noise


@dataclass(slots=True, eq=False, kw_only=True)
class SwitchedOn(ABC):
    """One fault that is on; `remaining` (strikes) and `ends_at` (seconds since 1970) None mean until it is removed."""

    number: int
    probability: float
    ends_at: float | None
    remaining: int | None
    drawn_by: tuple[object, ...]
    chances: int = 0
    hits: int = 0

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it strikes."""

    @abstractmethod
    def end(self) -> None:
        """Tell those it holds up that it is switched off."""

    def strikes(self) -> bool:
        """Draw once, and count."""
        self.chances += 1
        if self.probability < 1 and noise.uniform(*self.drawn_by, self.chances) >= self.probability:
            return False
        self.hits += 1
        if self.remaining is not None:
            self.remaining -= 1
        return True

    def life(self, now: float) -> dict[str, Any]:
        """Return how often and how long it strikes, as the control API shows it."""
        return {
            "probability": self.probability,
            "remaining": self.remaining,
            "seconds_left": None if self.ends_at is None else round(max(0.0, self.ends_at - now), 1),
            "hits": self.hits,
        }


Kept = TypeVar("Kept", bound=SwitchedOn)


class Book(Generic[Kept]):
    """All faults of one kind that are on, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Kept] = []

    @property
    def any_on(self) -> bool:
        """Say whether there is a fault at all, so that a calm sandbox costs nothing."""
        return bool(self._faults)

    def active(self, place: str | None = None) -> list[Kept]:
        """Return the faults that are on, of one place or all, and drop those whose time is over."""
        now = time.time()
        for fault in [fault for fault in self._faults if fault.ends_at is not None and fault.ends_at <= now]:
            self._drop(fault)
        return [fault for fault in self._faults if place is None or fault.place == place]

    def remove(self, number: int) -> bool:
        """Switch one fault off; False when there is none of that number."""
        for fault in self._faults:
            if fault.number == number:
                self._drop(fault)
                return True
        return False

    def clear(self, place: str | None = None) -> int:
        """Switch off all faults, or all of one place; returns how many."""
        cleared = self.active(place)
        for fault in cleared:
            self._drop(fault)
        return len(cleared)

    def _strikes(self, fault: Kept) -> bool:
        """Draw, and take out of the book what has struck for the last time; whom it holds up it still does."""
        struck = fault.strikes()
        if struck and fault.remaining is not None and fault.remaining <= 0:
            self._faults.remove(fault)
        return struck

    def _drop(self, fault: Kept) -> None:
        self._faults.remove(fault)
        fault.end()


def ends_in(seconds: float | None) -> float | None:
    """Return when a fault that lasts so long ends."""
    return None if seconds is None else time.time() + seconds
