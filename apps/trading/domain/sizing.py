"""How much SOL a first buy spends: category by balance, size within its range, limits on top (trading.md 3).

Balances and sizes are SOL; nothing guesses lamports. The size is exact: rounding down to lamports is the quote's.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from hashlib import blake2b

from apps.agents.domain.model import PositionCalculator, PurchaseLimits, SizeRange
from apps.core.money import MONEY

INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
BELOW_MINIMUM_THRESHOLD = "BELOW_MINIMUM_THRESHOLD"
INSUFFICIENT_BALANCE_FOR_MINIMUM = "INSUFFICIENT_BALANCE_FOR_MINIMUM"
INVALID_POSITION_SIZE = "INVALID_POSITION_SIZE"
POSITION_SIZE_EXCEEDS_BALANCE = "POSITION_SIZE_EXCEEDS_BALANCE"

_DRAW_PLACES = 18


@dataclass(frozen=True, slots=True)
class SizeDecision:
    """The size of a buy in SOL, or the code of why there is none. `randomized` tells that the size was drawn."""

    allowed: bool
    code: str
    balance_sol: Decimal
    size_sol: Decimal | None = None
    category: str | None = None
    randomized: bool = False


def draw(signal_id: object, agent_id: object) -> Decimal:
    """Return the uniform draw in [0, 1) that belongs to a pair of signal and agent: the same, however often asked.

    >>> 0 <= draw("s1", "a1") < 1, draw("s1", "a1") == draw("s1", "a1"), draw("s1", "a1") == draw("s1", "a2")
    (True, True, False)
    """
    digest = blake2b(f"{signal_id}:{agent_id}".encode(), digest_size=16).digest()
    return Decimal(int.from_bytes(digest, "big") % 10**_DRAW_PLACES).scaleb(-_DRAW_PLACES)


def position_size(
    balance_sol: Decimal, calculator: PositionCalculator, limits: PurchaseLimits, random: Decimal = Decimal(0)
) -> SizeDecision:
    """Decide the size of a first buy from the wallet's free SOL; `random` is a draw in [0, 1).

    The size never exceeds the largest buy and always leaves the minimum balance, if need be below its category's range.

    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG as c
    >>> position_size(Decimal("5"), c.position_calculator, c.purchase_limits, Decimal("0.5")).size_sol
    Decimal('0.75')
    >>> position_size(Decimal("0.55"), c.position_calculator, c.purchase_limits).size_sol
    Decimal('0.05')
    """
    if balance_sol <= 0:
        return SizeDecision(False, INSUFFICIENT_BALANCE, balance_sol)
    if balance_sol < calculator.minimum_balance_sol:
        return SizeDecision(False, BELOW_MINIMUM_THRESHOLD, balance_sol)
    with localcontext(MONEY):
        category, sizes = _category(balance_sol, calculator)
        size = min(_drawn(sizes, calculator.randomized, random), limits.max_purchase_per_token_sol)
        if balance_sol - size < limits.minimum_agent_balance_sol:
            adjusted = balance_sol - limits.minimum_agent_balance_sol
            if adjusted <= 0:
                return SizeDecision(False, INSUFFICIENT_BALANCE_FOR_MINIMUM, balance_sol)
            size = min(adjusted, limits.max_purchase_per_token_sol)
    if size <= 0:
        return SizeDecision(False, INVALID_POSITION_SIZE, balance_sol)
    if size > balance_sol:
        return SizeDecision(False, POSITION_SIZE_EXCEEDS_BALANCE, balance_sol)
    return SizeDecision(True, "SIZED", balance_sol, size, category, calculator.randomized)


def _category(balance_sol: Decimal, calculator: PositionCalculator) -> tuple[str, SizeRange]:
    if balance_sol >= calculator.large_balance_sol:
        return "large", calculator.large
    if balance_sol >= calculator.medium_balance_sol:
        return "medium", calculator.medium
    return "small", calculator.small


def _drawn(sizes: SizeRange, randomized: bool, random: Decimal) -> Decimal:
    if not randomized:
        return sizes.maximum_sol
    if sizes.minimum_sol >= sizes.maximum_sol:
        return sizes.minimum_sol
    return sizes.minimum_sol + random * (sizes.maximum_sol - sizes.minimum_sol)
