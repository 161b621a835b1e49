"""Open positions as a person sees them: valued at their mark (`marks`), in a constant number of queries.

No provider is called; USD is None while SOL/USD is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from django.db.models import F

from apps.agents.models import Agent
from apps.core.money import MONEY, ZERO, divide, quantize_percent, quantize_price, quantize_sol, quantize_usd
from apps.prices import selectors as prices
from apps.trading import presentation
from apps.trading.errors import PositionNotFound
from apps.trading.models import Position
from apps.trading.selectors import fills, marks

_HUNDRED = Decimal(100)


@dataclass
class PositionView:
    """An open position with the prices it is shown at; prices in SOL per token, `sol_usd` in US dollars."""

    position: Position
    price_sol: Decimal
    sol_usd: Decimal | None
    take_profit_transaction_ids: Sequence[UUID] = ()

    @cached_property
    def worth(self) -> presentation.Valuation:
        return presentation.value(self.position, self.price_sol)

    @property
    def purchase_price_usd(self) -> Decimal | None:
        return self._price_usd(self.position.purchase_price)

    @property
    def current_price_usd(self) -> Decimal | None:
        return self._price_usd(self.worth.price_sol)

    @property
    def value_sol(self) -> Decimal:
        return quantize_sol(self.worth.value_sol)

    @property
    def value_usd(self) -> Decimal | None:
        return self._usd(self.worth.value_sol)

    @property
    def profit_sol(self) -> Decimal:
        return quantize_sol(self.worth.profit_sol)

    @property
    def profit_usd(self) -> Decimal | None:
        return self._usd(self.worth.profit_sol)

    @property
    def profit_percent(self) -> Decimal:
        return quantize_percent(self.worth.profit_percent)

    @property
    def price_change_percent(self) -> Decimal:
        return quantize_percent(self.worth.price_change_percent)

    @property
    def remaining_percent(self) -> Decimal:
        """Share of all tokens ever bought that is still held."""
        bought = self.position.purchase_amount
        return quantize_percent(divide(self.position.remaining_amount * _HUNDRED, bought)) if bought > 0 else ZERO

    @property
    def sold_percent(self) -> Decimal:
        return _HUNDRED - self.remaining_percent if self.position.purchase_amount > 0 else ZERO

    def _usd(self, sol: Decimal) -> Decimal | None:
        return None if self.sol_usd is None else quantize_usd(MONEY.multiply(sol, self.sol_usd))

    def _price_usd(self, price: Decimal) -> Decimal | None:
        return None if self.sol_usd is None else quantize_price(MONEY.multiply(price, self.sol_usd))


def list_open(*, agent: Agent, wallet_address: str | None = None) -> list[PositionView]:
    """Return the agent's open positions, newest first, of all its wallets or of one."""
    found = Position.objects.select_related("wallet", "purchase_transaction").filter(agent=agent, closed_at=None)
    if wallet_address is not None:
        found = found.filter(wallet__address=wallet_address, wallet__released_at=None)
    rows = list(found.order_by("-created_at", "-id"))
    filled = fills.of_positions(rows)
    marked = marks.of_positions(rows, filled)
    sol_usd = prices.sol_usd()
    return [
        PositionView(
            position=row,
            price_sol=marked[row.pk].price_sol,
            sol_usd=None if sol_usd is None else sol_usd.value,
            take_profit_transaction_ids=filled[row.pk].take_profit_transaction_ids,
        )
        for row in rows
    ]


def get_open(*, agent: Agent, position_id: UUID) -> Position:
    """Return one open position of the agent.

    Raises:
        PositionNotFound: unknown, closed, or another agent's.
    """
    position = Position.objects.filter(pk=position_id, agent=agent, closed_at=None).first()
    if position is None:
        raise PositionNotFound
    return position


@dataclass(frozen=True, slots=True)
class TakeProfitSummary:
    """What take profit has done for an agent's open positions; `hit` are those with a level hit, latest first."""

    total_positions: int
    active_moon_bags: int
    total_levels_hit: int
    hit: list[PositionView]


def take_profit_summary(*, agent: Agent) -> TakeProfitSummary:
    """Return the take-profit progress of the agent's open positions."""
    latest_first = F("last_take_profit_at").desc(nulls_last=True)
    rows = Position.objects.filter(agent=agent, closed_at=None).order_by(latest_first, "-id")
    views = [PositionView(position=row, price_sol=row.purchase_price, sol_usd=None) for row in rows]
    return TakeProfitSummary(
        total_positions=len(views),
        active_moon_bags=sum(view.position.moon_bag_activated for view in views),
        total_levels_hit=sum(view.position.take_profit_levels_hit for view in views),
        hit=[view for view in views if view.position.take_profit_levels_hit > 0],
    )
