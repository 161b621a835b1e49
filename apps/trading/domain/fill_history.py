"""What each booked fill of a position cost, earned and left: its fills replayed through the house's one cost basis.

Pure: the rows come from `selectors.story`. Nothing here raises on odd books; saying so is the audit's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.core.money import from_base_units, lamports_to_sol, sol_to_lamports, to_base_units
from apps.trading.domain.cost_basis import Holding, trigger_average

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class BookedFill:
    """A fill as its transaction has it: whole tokens, SOL of the swap before fees, the fees, SOL per token.

    `burned` tokens left without a sale.
    """

    id: UUID
    at: datetime
    is_buy: bool
    tokens: Decimal
    swap_sol: Decimal
    network_fee_sol: Decimal = ZERO
    protocol_fee_sol: Decimal = ZERO
    price_sol: Decimal | None = None
    price_impact: Decimal | None = None
    is_dca: bool = False
    is_take_profit: bool = False
    burned: bool = False

    @property
    def fees_sol(self) -> Decimal:
        return self.network_fee_sol + self.protocol_fee_sol

    @property
    def moved_sol(self) -> Decimal:
        """What a buy took from the wallet, or what a sale brought it: fees included in both."""
        if self.is_buy:
            return self.swap_sol + self.network_fee_sol
        return self.swap_sol - self.fees_sol


@dataclass(frozen=True, slots=True)
class FillResult:
    """A fill with what it did to the position. Cost and profit are of the tokens it sold; zero for a buy.

    `average_sol` is the trigger average after it, `former_average_sol` before (zero before the first).
    """

    fill: BookedFill
    cost_sol: Decimal
    profit_sol: Decimal
    remaining_tokens: Decimal
    remaining_cost_sol: Decimal
    average_sol: Decimal
    former_average_sol: Decimal

    @property
    def sells_out(self) -> bool:
        return not self.fill.is_buy and self.remaining_tokens <= 0


def replay(fills: Iterable[BookedFill], *, token_decimals: int) -> list[FillResult]:
    """Return what each fill cost and earned, in the order they were booked.

    >>> from datetime import UTC
    >>> at, one = datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1)
    >>> buy = BookedFill(one, at, True, Decimal(1000), Decimal(1))
    >>> half = BookedFill(one, at, False, Decimal(500), Decimal("0.76"), Decimal("0.01"))
    >>> more = BookedFill(one, at, True, Decimal(1000), Decimal("0.5"))
    >>> rest = BookedFill(one, at, False, Decimal(1500), Decimal("1.5"))
    >>> [f"{result.profit_sol.normalize():f}" for result in replay([buy, half, more, rest], token_decimals=0)]
    ['0', '0.25', '0', '0.5']
    """
    holding, average = Holding(0, 0), ZERO
    bought = invested = 0
    results = []
    for fill in fills:
        units, lamports, former = to_base_units(fill.tokens, token_decimals), sol_to_lamports(fill.moved_sol), average
        cost = profit = 0
        if fill.is_buy:
            holding = holding.bought(units, lamports)
            bought, invested = bought + units, invested + lamports
            average = trigger_average(invested, bought, token_decimals)
        elif units > 0:
            sale = holding.sold(min(units, holding.base_units), lamports) if holding.base_units else None
            cost = 0 if sale is None else sale.cost_lamports
            profit = lamports - cost
            holding = holding if sale is None else sale.holding
        results.append(
            FillResult(
                fill=fill,
                cost_sol=lamports_to_sol(cost),
                profit_sol=lamports_to_sol(profit),
                remaining_tokens=from_base_units(holding.base_units, token_decimals),
                remaining_cost_sol=lamports_to_sol(holding.cost_lamports),
                average_sol=average,
                former_average_sol=former,
            )
        )
    return results
