"""JSON numbers in and out of the exact world.

The only place of the configuration where a float is met: it is read by its shortest decimal form, never computed with.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def as_number(value: Any) -> Decimal | None:
    """Return a JSON number exactly as it was written, or None for anything that is not a finite number.

    What a double cannot hold is read as JSON readers do: too large is not a number, too small is zero.

    >>> as_number(0.1), as_number(2), as_number(Decimal("1e-9"))
    (Decimal('0.1'), Decimal('2'), Decimal('1E-9'))
    >>> as_number(True), as_number("1"), as_number(float("nan")), as_number(10**400)
    (None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or number.adjusted() > 307:
        return None
    return number if number.adjusted() >= -300 else Decimal(0)


def json_number(number: Decimal) -> int | float:
    """Return a number as JSON writes it: an integer where it is one, else the nearest double.

    >>> json_number(Decimal("2.0")), json_number(Decimal("0.05"))
    (2, 0.05)
    """
    return int(number) if number == number.to_integral_value() else float(number)


def utf16_length(text: str) -> int:
    """Return the length of a text in UTF-16 units, as front ends count it.

    >>> utf16_length("a"), utf16_length("\U0001f600")
    (1, 2)
    """
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def is_storable_text(value: Any) -> bool:
    """Tell whether a value is text a JSON column can keep (no NUL, no half of a surrogate pair)."""
    return isinstance(value, str) and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
