"""The one profit of the house: remaining cost (decision 5), and the trigger average beside it.

Cost shrinks by the sold share with each sale and grows with each buy, fees in. Integers throughout, so that the costs
of all sales add up to exactly what was invested. Stops and levels measure from the trigger average instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.core.money import MONEY, SOL_DECIMALS, quantize_price


@dataclass(frozen=True, slots=True)
class Holding:
    """What is left of a position: token base units and the lamports they cost."""

    base_units: int
    cost_lamports: int

    def bought(self, base_units: int, debit_lamports: int) -> Holding:
        """Return the holding after a buy that cost `debit_lamports`, fees in."""
        return Holding(self.base_units + base_units, self.cost_lamports + debit_lamports)

    def sold(self, base_units: int, net_lamports: int) -> Realised:
        """Return what selling `base_units` for `net_lamports` (after fees) realises, and what is left.

        The sold share of the cost is rounded down to the lamport; the last sale takes what is left.

        Raises:
            ValueError: more is sold than is held, or nothing.

        >>> holding = Holding(1000, 1_000_000_000).sold(500, 750_000_000).holding.bought(1000, 500_000_000)
        >>> last = holding.sold(1500, 1_500_000_000)
        >>> holding.cost_lamports, last.profit_lamports, last.holding
        (1000000000, 500000000, Holding(base_units=0, cost_lamports=0))
        """
        if not 0 < base_units <= self.base_units:
            raise ValueError(f"cannot sell {base_units} of {self.base_units} base units")
        cost = self.cost_lamports * base_units // self.base_units
        left = Holding(self.base_units - base_units, self.cost_lamports - cost)
        return Realised(left, cost, net_lamports - cost)


@dataclass(frozen=True, slots=True)
class Realised:
    """The outcome of a sale: what is left, what the sold part cost, what it earned (lamports)."""

    holding: Holding
    cost_lamports: int
    profit_lamports: int


def trigger_average(invested_lamports: int, bought_base_units: int, token_decimals: int) -> Decimal:
    """Return total invested over total bought, in SOL per token to 24 places; 0 when nothing was bought.

    >>> trigger_average(1_600_000_000, 1750, 0)
    Decimal('0.000914285714285714285714')
    """
    if bought_base_units <= 0:
        return Decimal(0)
    tokens = Decimal(bought_base_units).scaleb(-token_decimals, context=MONEY)
    return quantize_price(MONEY.divide(Decimal(invested_lamports).scaleb(-SOL_DECIMALS, context=MONEY), tokens))
