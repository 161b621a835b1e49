"""An agent's summary figures from its closed trades and open positions (trading.md 10).

SOL throughout; win rate and return in percent. Costs are remaining costs, so realised and unrealised add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from apps.core.money import MONEY

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    profit_sol: Decimal
    change_percent: Decimal


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """An open position: tokens left, what they cost, what was realised so far, its average and last known price."""

    remaining_tokens: Decimal
    remaining_cost_sol: Decimal
    average_price: Decimal
    realised_sol: Decimal = _ZERO
    price: Decimal | None = None

    @property
    def value_sol(self) -> Decimal:
        """Worth at the last known price, at the average while there is none."""
        with localcontext(MONEY):
            return self.remaining_tokens * (self.average_price if self.price is None else self.price)


@dataclass(frozen=True, slots=True)
class Performance:
    portfolio_sol: Decimal
    total_profit_sol: Decimal
    realised_profit_sol: Decimal
    unrealised_profit_sol: Decimal
    average_return_percent: Decimal
    win_rate_percent: Decimal
    closed_trades: int
    open_positions: int


def summarise(balance_sol: Decimal, closed: Sequence[ClosedTrade], open_: Sequence[OpenPosition]) -> Performance:
    """Return the summary. Break-even is not a win; without closed trades rate and return are 0.

    >>> trades = [ClosedTrade(Decimal(1), Decimal(50)), ClosedTrade(Decimal(0), Decimal(0))]
    >>> held = OpenPosition(Decimal(10), Decimal(1), Decimal("0.1"), price=Decimal("0.2"))
    >>> result = summarise(Decimal(4), trades, [held])
    >>> result.portfolio_sol, result.total_profit_sol, result.win_rate_percent, result.average_return_percent
    (Decimal('6.0'), Decimal('2.0'), Decimal('50'), Decimal('25'))
    """
    with localcontext(MONEY):
        count = len(closed)
        value = sum((position.value_sol for position in open_), _ZERO)
        unrealised = value - sum((position.remaining_cost_sol for position in open_), _ZERO)
        realised = sum((trade.profit_sol for trade in closed), _ZERO)
        realised += sum((position.realised_sol for position in open_), _ZERO)
        wins = sum(1 for trade in closed if trade.profit_sol > 0)
        return Performance(
            portfolio_sol=balance_sol + value,
            total_profit_sol=realised + unrealised,
            realised_profit_sol=realised,
            unrealised_profit_sol=unrealised,
            average_return_percent=sum((trade.change_percent for trade in closed), _ZERO) / count if count else _ZERO,
            win_rate_percent=Decimal(wins * 100) / count if count else _ZERO,
            closed_trades=count,
            open_positions=len(open_),
        )
