"""Figures in templates, written as everywhere else (`apps.core.formatting`, `apps.core.adminkit.cells`).

`sol`, `sol_signed`, `price`, `amount`, `usd` and `percent` give markup with units and the exact value on hover, `when`
a time in the reader's zone, `duration` text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template
from django.utils.safestring import SafeString

from apps.core import formatting
from apps.core.adminkit import cells
from apps.core.enums import Badge

register = template.Library()


@register.filter
def sol(value: Decimal | None) -> SafeString:
    return cells.sol(value)


@register.filter
def sol_signed(value: Decimal | None) -> SafeString:
    return cells.sol(value, signed=True)


@register.filter
def price(value: Decimal | None) -> SafeString:
    return cells.price(value)


@register.filter
def amount(value: Decimal | None) -> SafeString:
    return cells.amount(value)


@register.filter
def usd(value: Decimal | None) -> SafeString:
    return cells.usd(value)


@register.filter
def percent(value: Decimal | None) -> SafeString:
    return cells.percent(value, toned=True)


@register.filter
def when(value: Any) -> SafeString:
    return cells.when(value)


@register.filter
def duration(seconds: float | None) -> str:
    return formatting.duration(seconds)


@register.filter
def badge(value: Badge | None) -> SafeString:
    return cells.badge(value)


@register.filter
def code_words(code: str) -> str:
    """Return a stable code as words: INSUFFICIENT_BALANCE -> insufficient balance."""
    return code.replace("_", " ").lower()
