"""Numbers of a vector file as exact decimals."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from apps.agents.domain.numbers import as_number


def number(value: Any) -> Decimal:
    """Return a JSON number, or a text holding one, exactly.

    Raises:
        ValueError: it is neither.
    """
    found = optional_number(value)
    if found is None:
        raise ValueError(f"not a number: {value!r}")
    return found


def optional_number(value: Any) -> Decimal | None:
    """Return a JSON number, or a text holding one, exactly; None for anything else."""
    if isinstance(value, str):
        try:
            value = Decimal(value.strip())
        except InvalidOperation:
            return None
    return as_number(value)
