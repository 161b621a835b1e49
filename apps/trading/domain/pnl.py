"""What a sale earned (trading.md 10): full closes by cash flow, partial sales against their share of the cost.

SOL in, SOL out, all fees in. USD figures are None while SOL/USD is unknown. Remaining cost is `cost_basis`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from apps.core.money import MONEY

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Profit:
    """A result in SOL, in percent, and in USD at the SOL price of the moment. `cost_sol` is what the sold part cost."""

    profit_sol: Decimal
    change_percent: Decimal
    profit_usd: Decimal | None
    cost_sol: Decimal


def full_sale(
    *, invested_sol: Decimal, received_sol: Decimal, original_cost_sol: Decimal, sol_usd: Decimal | None
) -> Profit:
    """Return the result of a whole position: all it brought in minus all it cost, fees included.

    `original_cost_sol` (average price times tokens bought) is what the percentage is of; 0 or less gives 0 %.

    >>> result = full_sale(invested_sol=Decimal(2), received_sol=Decimal(3), original_cost_sol=Decimal(2),
    ...                    sol_usd=Decimal(100))
    >>> result.profit_sol, result.change_percent, result.profit_usd
    (Decimal('1'), Decimal('50.0'), Decimal('100'))
    """
    with localcontext(MONEY):
        profit = received_sol - invested_sol
        change = profit / original_cost_sol * _HUNDRED if original_cost_sol > 0 else Decimal(0)
        return Profit(profit, change, _in_usd(profit, sol_usd), invested_sol)


@dataclass(frozen=True, slots=True)
class Ended:
    """The figures of a position that is sold out, exact: its closed trade rounds them to its columns.

    `sale_price_sol` is what a token brought on average, fees and earlier sales in; USD at the SOL price of the end.
    """

    sale_price_sol: Decimal
    change_percent: Decimal
    profit_sol: Decimal
    profit_usd: Decimal | None


def ended(*, invested_sol: Decimal, received_sol: Decimal, bought_tokens: Decimal, sol_usd: Decimal | None) -> Ended:
    """Return how a position ended: all its sales brought in against all its buys cost, fees in both.

    The percentage is of all that was invested, which is the trigger average times all tokens bought.

    >>> result = ended(invested_sol=Decimal("1.5"), received_sol=Decimal("2.25"), bought_tokens=Decimal(2000),
    ...                sol_usd=Decimal(100))
    >>> result.profit_sol, result.profit_usd, result.change_percent, result.sale_price_sol
    (Decimal('0.75'), Decimal('75.00'), Decimal('50.0'), Decimal('0.001125'))
    """
    result = full_sale(
        invested_sol=invested_sol, received_sol=received_sol, original_cost_sol=invested_sol, sol_usd=sol_usd
    )
    return Ended(
        sale_price_sol=MONEY.divide(received_sol, bought_tokens),
        change_percent=result.change_percent,
        profit_sol=result.profit_sol,
        profit_usd=result.profit_usd,
    )


def partial_sale(
    *,
    invested_sol: Decimal,
    bought_tokens: Decimal,
    sold_tokens: Decimal,
    net_sol: Decimal,
    average_price: Decimal,
    sale_price: Decimal,
    sol_usd: Decimal | None,
) -> Profit:
    """Return the result of selling part of a position that was bought once.

    The cost is the sold share of all that was invested (0 when nothing was bought); the percentage is the price's
    change over the average (see `price_change`). Where sales and buys alternate, `cost_basis` gives the true cost.

    >>> result = partial_sale(invested_sol=Decimal(1), bought_tokens=Decimal(1000), sold_tokens=Decimal(250),
    ...                       net_sol=Decimal("0.4"), average_price=Decimal("0.001"), sale_price=Decimal("0.0016"),
    ...                       sol_usd=None)
    >>> result.cost_sol, result.profit_sol, result.change_percent
    (Decimal('0.25'), Decimal('0.15'), Decimal('60.0'))
    """
    with localcontext(MONEY):
        cost = sold_tokens / bought_tokens * invested_sol if bought_tokens > 0 else Decimal(0)
        profit = net_sol - cost
        return Profit(profit, price_change(average_price, sale_price), _in_usd(profit, sol_usd), cost)


def price_change(average_price: Decimal, price: Decimal) -> Decimal:
    """Return the change from an average to a price in percent; 0 when the average is not above 0.

    >>> price_change(Decimal(2), Decimal(3))
    Decimal('50.0')
    """
    if average_price <= 0:
        return Decimal(0)
    with localcontext(MONEY):
        return (price - average_price) / average_price * _HUNDRED


def _in_usd(sol: Decimal, sol_usd: Decimal | None) -> Decimal | None:
    return None if sol_usd is None else sol * sol_usd
