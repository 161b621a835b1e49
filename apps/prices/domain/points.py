"""What a price is: a positive number, from a named source, seen at a time. Null and zero are no prices.

Pure. A source's adapter makes points; `trust.py` decides which of them may decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from apps.core.money import MONEY, PRICE_QUANTUM, quantize_price, quantize_usd

#: Columns hold numeric(40,24); what does not fit is no price.
PRICE_LIMIT = Decimal(10) ** 16
#: Half a unit of their last place: this and less is stored as zero (ties go to even).
_LEAST_PRICE = PRICE_QUANTUM / 2


class PriceSource(StrEnum):
    """Who says so."""

    JUPITER = "jupiter"
    DEXSCREENER = "dexscreener"
    PYTH = "pyth"


@dataclass(frozen=True, slots=True)
class PricePoint:
    """One price of one token as a source gave it.

    `price_sol` is SOL per whole token and always positive; `price_usd` is None when the source gave none.
    `provider_at` is the provider's own time, where it gives one; `received_at` is ours.
    """

    mint: str
    price_sol: Decimal
    price_usd: Decimal | None
    source: str
    provider_at: datetime | None
    received_at: datetime

    @property
    def at(self) -> datetime:
        """The moment the price was true as far as known: the provider's time, else the receipt."""
        return self.provider_at or self.received_at

    def age(self, now: datetime) -> timedelta:
        """Return how old the price is at `now`."""
        return now - self.at


@dataclass(frozen=True, slots=True)
class SolUsd:
    """US dollars per SOL; `at` is the provider's time where it gives one."""

    value: Decimal
    at: datetime
    source: str
    is_stale: bool = False


def usable_price(value: Decimal | int | None) -> Decimal | None:
    """Return the price to 24 places, or None for what is no price: null, not finite, not positive, out of range.

    >>> usable_price(Decimal("6.632e-11")), usable_price(Decimal(0)), usable_price(None)
    (Decimal('6.6320000000000E-11'), None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    price = Decimal(value)
    if not price.is_finite() or not 0 < price < PRICE_LIMIT:
        return None
    price = quantize_price(price)
    return price or None


def usable_usd(value: Decimal | int | None) -> Decimal | None:
    """Return a dollar price as given, or None for what is no price; tiny ones keep their digits.

    >>> usable_usd(Decimal("164.1482")), usable_usd(Decimal("-1"))
    (Decimal('164.1482'), None)
    """
    if value is None or isinstance(value, bool):
        return None
    price = Decimal(value)
    return price if price.is_finite() and _LEAST_PRICE < price < PRICE_LIMIT else None


def price_in_sol(price_usd: Decimal, sol_usd: Decimal) -> Decimal | None:
    """Return SOL per token from two dollar prices of one response; None when the quotient is no price.

    >>> price_in_sol(Decimal("0.5"), Decimal("200"))
    Decimal('0.002500000000000000000000')
    """
    return usable_price(MONEY.divide(price_usd, sol_usd))


def price_in_usd(price_sol: Decimal, sol_usd: Decimal) -> Decimal:
    """Return dollars per token from its SOL price, to 8 places.

    >>> price_in_usd(Decimal("0.0025"), Decimal("200"))
    Decimal('0.50000000')
    """
    return quantize_usd(MONEY.multiply(price_sol, sol_usd))
