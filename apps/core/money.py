"""Exact money arithmetic: one decimal context, units and named rounding.

Pure: standard library only. Nothing here knows a wallet or a price; everything that handles an amount imports this.
Floats are refused at the door: convert them where JSON is parsed, never later.
"""

from __future__ import annotations

import decimal
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    FloatOperation,
    Inexact,
)

SOL_MINT = "So11111111111111111111111111111111111111112"
SOL_DECIMALS = 9
LAMPORTS_PER_SOL = 1_000_000_000

#: 60 significant digits; mixing in a float raises FloatOperation.
MONEY = Context(prec=60, rounding=ROUND_HALF_EVEN)
MONEY.traps[FloatOperation] = True
MONEY.traps[Inexact] = False

# Plain `+`, `-` and unary minus round to the thread's context, 28 digits by default: less than a column holds. Threads
# started from now on copy DefaultContext, this one is told itself.
decimal.DefaultContext.prec = MONEY.prec
decimal.getcontext().prec = MONEY.prec

AMOUNT_QUANTUM = Decimal(1).scaleb(-18)
PRICE_QUANTUM = Decimal(1).scaleb(-24)
SOL_QUANTUM = Decimal(1).scaleb(-9)
USD_QUANTUM = Decimal(1).scaleb(-8)
PERCENT_QUANTUM = Decimal(1).scaleb(-8)

ZERO = Decimal(0)


def D(value: int | str | Decimal) -> Decimal:  # noqa: N802 - the short name is what makes exact formulas readable
    """Return `value` as an exact Decimal.

    Raises:
        TypeError: for a float or a bool, which have no exact decimal meaning.

    >>> D("0.1") + D(1)
    Decimal('1.1')
    """
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise TypeError(f"money must be int, str or Decimal, not {type(value).__name__}")
    return Decimal(value)


def divide(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Divide in the 60-digit context; the caller names the rounding when it quantises."""
    return MONEY.divide(numerator, denominator)


def lamports_to_sol(lamports: int) -> Decimal:
    """Return whole SOL for an integer number of lamports, exactly.

    >>> lamports_to_sol(1_500_000_000)
    Decimal('1.500000000')
    """
    return Decimal(lamports).scaleb(-SOL_DECIMALS)


def sol_to_lamports(sol: Decimal, *, rounding: str = ROUND_DOWN) -> int:
    """Return integer lamports for an amount of SOL; `rounding` decides what happens below one lamport."""
    return to_base_units(sol, SOL_DECIMALS, rounding=rounding)


def to_base_units(amount: Decimal, decimals: int, *, rounding: str = ROUND_DOWN) -> int:
    """Return the integer the chain counts in for `amount` whole tokens with `decimals` places.

    >>> to_base_units(Decimal("1.2345678"), 6)
    1234567
    """
    return int(amount.scaleb(decimals, context=MONEY).to_integral_value(rounding=rounding, context=MONEY))


def from_base_units(base_units: int, decimals: int) -> Decimal:
    """Return whole tokens for an integer amount of base units, exactly.

    >>> from_base_units(1_234_567, 6)
    Decimal('1.234567')
    """
    return Decimal(base_units).scaleb(-decimals, context=MONEY)


def quantize_sol(value: Decimal, *, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round an amount of SOL to the lamport."""
    return value.quantize(SOL_QUANTUM, rounding=rounding, context=MONEY)


def quantize_amount(value: Decimal, *, rounding: str = ROUND_DOWN) -> Decimal:
    """Round a token amount to the 18 places the books keep."""
    return value.quantize(AMOUNT_QUANTUM, rounding=rounding, context=MONEY)


def quantize_price(value: Decimal, *, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round a price in SOL per token to the 24 places the books keep."""
    return value.quantize(PRICE_QUANTUM, rounding=rounding, context=MONEY)


def quantize_usd(value: Decimal, *, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round an amount of US dollars to 8 places."""
    return value.quantize(USD_QUANTUM, rounding=rounding, context=MONEY)


def quantize_percent(value: Decimal, *, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round a percentage (0-100 scale) to 8 places."""
    return value.quantize(PERCENT_QUANTUM, rounding=rounding, context=MONEY)


__all__ = [
    "AMOUNT_QUANTUM",
    "LAMPORTS_PER_SOL",
    "MONEY",
    "PERCENT_QUANTUM",
    "PRICE_QUANTUM",
    "ROUND_CEILING",
    "ROUND_DOWN",
    "ROUND_FLOOR",
    "ROUND_HALF_EVEN",
    "SOL_DECIMALS",
    "SOL_MINT",
    "SOL_QUANTUM",
    "USD_QUANTUM",
    "ZERO",
    "D",
    "divide",
    "from_base_units",
    "lamports_to_sol",
    "quantize_amount",
    "quantize_percent",
    "quantize_price",
    "quantize_sol",
    "quantize_usd",
    "sol_to_lamports",
    "to_base_units",
]
