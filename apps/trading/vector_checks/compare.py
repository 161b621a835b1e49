"""How an outcome is held against an expectation.

Numbers: one part in 10^9, or 10^-12 near zero; prices by the relative rule alone; SOL to one lamport. All else exactly.
Where a topic's figures are rounded to whole base units or to columns, its units say what that may come to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

from apps.core.money import MONEY

_RELATIVE = Decimal("1e-9")
_NEAR_ZERO = Decimal("1e-12")
_LAMPORT = Decimal("1e-9")
_LONGEST_SHOWN = 160
_NON_FINITE = {"NaN", "Infinity", "-Infinity"}


class Anything:
    """In an expectation: this value is not compared."""

    def __repr__(self) -> str:
        return "(not compared)"


ANYTHING = Anything()


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an outcome is not what was expected."""

    path: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.path or 'outcome'}: expected {shown(self.expected)}, got {shown(self.actual)}"


@dataclass(frozen=True, slots=True)
class Units:
    """Which keys hold SOL amounts (compared to a lamport) and which prices (compared relatively only).

    `slack` allows more for a key, absolutely, and `price_part` more for prices, as a part of them.
    """

    sol: frozenset[str] = frozenset()
    price: frozenset[str] = frozenset()
    price_part: Decimal = Decimal(0)
    slack: Mapping[str, Decimal] = field(default_factory=dict)


NO_UNITS = Units()


def differences(expected: Any, actual: Any, units: Units = NO_UNITS, path: str = "", key: str = "") -> list[Difference]:
    """Return every difference, in the expectation's order; an empty list means they agree.

    >>> [str(found) for found in differences({"size": 1, "code": "a"}, {"size": Decimal("1.0000000001"), "code": "b"})]
    ['code: expected "a", got "b"']
    """
    if expected is ANYTHING:
        return []
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return [
            found
            for name in [*expected, *(name for name in actual if name not in expected)]
            for found in differences(
                expected.get(name, "(absent)"), actual.get(name, "(absent)"), units, _join(path, name), name
            )
        ]
    if _is_list(expected) and _is_list(actual) and len(expected) == len(actual):
        return [
            found
            for index, (left, right) in enumerate(zip(expected, actual, strict=True))
            for found in differences(left, right, units, _join(path, str(index)), key)
        ]
    return [] if _agree(expected, actual, units, key) else [Difference(path, expected, actual)]


def shown(value: Any) -> str:
    """Return a value as a reader wants to see it in one line."""
    text = json.dumps(value, default=_plain)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else repr(value)


def _agree(expected: Any, actual: Any, units: Units, key: str) -> bool:
    left, right = _number(expected), _number(actual)
    if left is None or right is None:
        return type(expected) is type(actual) and bool(expected == actual)
    if not (left.is_finite() and right.is_finite()):
        return str(left) == str(right)
    with localcontext(MONEY):
        difference, scale = abs(left - right), max(abs(left), abs(right))
        if difference <= scale * _RELATIVE or difference <= units.slack.get(key, 0):
            return True
        if key in units.sol:
            return difference <= _LAMPORT
        return difference <= (scale * units.price_part if key in units.price else _NEAR_ZERO)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, str) and value in _NON_FINITE else None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
