"""Figures as a position's story writes them: `core.formatting`'s, without zeros at the end, with unit and sign."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from apps.core import formatting

_BILLION = Decimal(1_000_000_000)
_MILLION = Decimal(1_000_000)


def sol(value: Decimal) -> str:
    """Return an amount of SOL with its unit.

    >>> sol(Decimal("1.45")), sol(Decimal("0.000005"))
    ('1.45 SOL', '0.000005 SOL')
    """
    return f"{_trimmed(formatting.sol(value))} SOL"


def price(value: Decimal) -> str:
    """Return a price in SOL per token."""
    return formatting.price(value)


def percent(value: Decimal) -> str:
    """Return a signed percentage.

    >>> percent(Decimal("46.2")), percent(Decimal(-32))
    ('+46.2\\u202f%', '−32\\u202f%')
    """
    return _trimmed_percent(formatting.percent(value))


def share(value: Decimal) -> str:
    """Return a percentage that is a share, not a change: without a sign."""
    return _trimmed_percent(formatting.percent(value, signed=False))


def tokens(value: Decimal) -> str:
    """Return whole tokens, in full up to a billion.

    >>> tokens(Decimal(1250000)), tokens(Decimal("1500.25")), tokens(Decimal("2.5e9"))
    ('1,250,000', '1,500.25', '2.500B')
    """
    if abs(value) >= _BILLION:
        return formatting.amount(value)
    if abs(value) >= _MILLION:
        return f"{value.to_integral_value():,f}"
    return formatting.amount(value)


def profit(value: Decimal) -> str:
    """Return what was earned.

    >>> profit(Decimal("0.43")), profit(Decimal("-0.1")), profit(Decimal(0))
    ('profit 0.43 SOL', 'loss 0.1 SOL', 'neither profit nor loss')
    """
    if value == 0:
        return "neither profit nor loss"
    return f"{'profit' if value > 0 else 'loss'} {sol(abs(value))}"


def clock(at: datetime) -> str:
    """Return the time of day in UTC.

    >>> clock(datetime(2026, 1, 2, 14, 3, 7, 900_000, tzinfo=UTC))
    '14:03:07 UTC'
    """
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _trimmed_percent(text: str) -> str:
    return f"{_trimmed(text.removesuffix('%').rstrip(formatting.THIN_SPACE))}{formatting.THIN_SPACE}%"
