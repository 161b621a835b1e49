"""What the signer has done since it was started, in numbers: kept in its memory, told over its socket, written nowhere.

Every name here is one of a few known beforehand, never a wallet, a token or an order. The web process puts the numbers
on its metrics page (`apps.console.signer_watch`). Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from apps.wallets.signer.reasons import Reason

Kind = Literal["buy", "sell", "reclaim"]
KINDS: tuple[Kind, ...] = ("buy", "sell", "reclaim")
#: Upper bounds in seconds: from a request that was granted to its signature.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Reach:
    """Whether something outside answered when it was last asked; None before the first time."""

    up: bool | None = None
    failures: int = 0

    def answered(self) -> None:
        self.up = True

    def failed(self) -> None:
        """Count one that did not answer, or not usefully."""
        self.failures += 1

    def lost(self) -> None:
        """Note that nobody is left to ask."""
        self.up = False

    def told(self) -> dict[str, Any]:
        return {"up": self.up, "failures": self.failures}


@dataclass(slots=True)
class Tally:
    """One event loop counts here."""

    _signed: Counter[Kind] = field(default_factory=Counter)
    _refused: Counter[Reason] = field(default_factory=Counter)
    _took: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    _seconds: float = 0.0

    def signed(self, kind: Kind) -> None:
        """Count a signature that had not been given before."""
        self._signed[kind] += 1

    def refused(self, reason: Reason) -> None:
        self._refused[reason] += 1

    def took(self, seconds: float) -> None:
        """Note how long a request took that got its signature."""
        self._took[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds

    def told(self) -> dict[str, Any]:
        """Return all of it; `took` holds how many ended within each of BOUNDS, and how many later than the last."""
        return {
            "signed": {kind: self._signed[kind] for kind in KINDS},
            "refused": {str(reason): count for reason, count in sorted(self._refused.items())},
            "took": list(self._took),
            "seconds": self._seconds,
        }
