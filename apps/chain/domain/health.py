"""How good a node is just now, in seconds: the lower the better. Only an order of preference, never a verdict.

A node that lies about its slot may come first, and that must not matter: what counts is asked of two nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_high

_WEIGHT = 0.2  # of the newest call in the running means
_SECONDS_PER_FAILURE = 5.0
_SECONDS_PER_SLOT_BEHIND = 0.2
_SLOTS_THAT_DO_NOT_COUNT = 3
#: What each place in the configured order costs, so that chance does not overrule the operator's preference.
_SECONDS_PER_PLACE = 0.05


@dataclass(slots=True)
class Health:
    """The running means of one node's calls and how far it is behind the others.

    >>> health = Health(place=0)
    >>> health.answered(0.1); health.score()
    0.1
    >>> health.failed(); health.score() > 1
    True
    """

    place: int
    latency_seconds: float | None = None
    failing: float = 0.0
    slot: int | None = None
    slots_behind: int = 0

    def answered(self, seconds: float) -> None:
        """Learn from an answer."""
        known = self.latency_seconds
        self.latency_seconds = seconds if known is None else known + _WEIGHT * (seconds - known)
        self.failing -= _WEIGHT * self.failing

    def failed(self) -> None:
        """Learn from a call without an answer."""
        self.failing += _WEIGHT * (1 - self.failing)

    def score(self) -> float:
        """Return the seconds this node seems to cost."""
        behind = max(0, self.slots_behind - _SLOTS_THAT_DO_NOT_COUNT)
        return (
            (self.latency_seconds or 0.0)
            + _SECONDS_PER_FAILURE * self.failing
            + _SECONDS_PER_SLOT_BEHIND * behind
            + _SECONDS_PER_PLACE * self.place
        )


def compare_slots(told: Iterable[tuple[Health, int]]) -> None:
    """Note how far each node is behind the rest, from slots told at about the same time."""
    rows = list(told)
    if not rows:
        return
    reference = median_high(slot for _, slot in rows)
    for health, slot in rows:
        health.slot = slot
        health.slots_behind = max(0, reference - slot)
