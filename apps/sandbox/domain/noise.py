"""Randomness without state: every draw is a function of the seed and a name, so a run can be repeated tick by tick.

Nothing here remembers what was drawn before; the order of calls changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import cos, log, pi, sqrt
from typing import TypeVar

Choice = TypeVar("Choice")

_TWO_TO_64 = 2**64


def digest(*name: object, size: int = 32) -> bytes:
    """Return `size` bytes that depend on every part of `name`."""
    return blake2b("\x1f".join(map(str, name)).encode(), digest_size=size).digest()


def uniform(*name: object) -> float:
    """Return a number in [0, 1)."""
    return (int.from_bytes(digest(*name, size=8), "big") >> 11) / 2**53


def between(low: float, high: float, *name: object) -> float:
    """Return a number in [low, high)."""
    return low + (high - low) * uniform(*name)


def gauss(*name: object) -> float:
    """Return a draw of the standard normal distribution (Box-Muller on two uniforms of one digest)."""
    raw = digest(*name, size=16)
    first = (int.from_bytes(raw[:8], "big") + 1) / (_TWO_TO_64 + 1)
    second = int.from_bytes(raw[8:], "big") / _TWO_TO_64
    return sqrt(-2.0 * log(first)) * cos(2.0 * pi * second)


def pick(choices: Sequence[Choice], *name: object) -> Choice:
    """Return one of `choices`, each as likely as the others."""
    return choices[int(uniform(*name) * len(choices))]


def weighted(choices: Sequence[Choice], weights: Sequence[float], *name: object) -> Choice:
    """Return one of `choices`, each as likely as its weight says."""
    point = uniform(*name) * sum(weights)
    for choice, weight in zip(choices, weights, strict=True):
        point -= weight
        if point < 0:
            return choice
    return choices[-1]
