"""What a recorded run says of its one position, followed step by step: cash, tokens, prices seen.

From it `restated` works out what the run amounts to by the decisions (the recorded balances are the cash flows, the
cost of what was sold is the domain's) and what the recorded engine's own rule gives, which alone may be restated.
Amounts are integers of lamports and base units.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.core.money import (
    ROUND_HALF_EVEN,
    from_base_units,
    lamports_to_sol,
    sol_to_lamports,
    to_base_units,
)
from apps.trading.domain.cost_basis import Holding, trigger_average
from apps.trading.vector_checks.values import number, optional_number

_NOTHING = Holding(0, 0)


class Recorded:
    """One position of a recorded run. `drifted`: it was added to after a sale in part, and costs no longer add up."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.decimals: int = given["decimals"]
        self.sol_usd = optional_number(given.get("solPriceUsd"))
        self._sol = sol_to_lamports(number(given["solBalance"]))
        self._tokens = 0
        self.fills = 0
        self._begin()

    def _begin(self) -> None:
        self.holding = _NOTHING
        self.invested_lamports = 0
        self.bought_units = 0
        self.received_lamports = 0
        self.realised_lamports = 0
        self.sold_profit_lamports = 0
        self.sales = 0
        self.buys = 0
        self.drifted = False
        self.entry_price: Decimal | None = None
        self.peak: Decimal | None = None
        self.prices: list[Decimal] = []
        self.own_realised_sol = self.own_profit_sol = Decimal(0)

    @property
    def average(self) -> Decimal:
        return trigger_average(self.invested_lamports, self.bought_units, self.decimals)

    @property
    def invested_sol(self) -> Decimal:
        return lamports_to_sol(self.invested_lamports)

    @property
    def bought_tokens(self) -> Decimal:
        return from_base_units(self.bought_units, self.decimals)

    def see(self, price: Decimal) -> None:
        """A tick: it raises the peak of a position that is open."""
        self.prices.append(price)
        if self.peak is not None:
            self.peak = max(self.peak, price)

    def settle(self, balances: dict[str, Any], fill_price: Decimal | None) -> None:
        """A step's balances: what they changed by was bought or sold.

        `fill_price` (SOL per token) excludes fees; None where there are none.
        """
        sol = sol_to_lamports(number(balances["SOL"]), rounding=ROUND_HALF_EVEN)
        tokens = to_base_units(number(balances.get("TOK", 0)), self.decimals, rounding=ROUND_HALF_EVEN)
        came, went = tokens - self._tokens, self._sol - sol
        self._sol, self._tokens = sol, tokens
        if came > 0:
            self._bought(came, went, fill_price)
        elif came < 0:
            self._sold(-came, -went)

    def end(self) -> None:
        """The position is closed; another may begin."""
        self._begin()

    def _bought(self, units: int, debit_lamports: int, fill_price: Decimal | None) -> None:
        self.fills += 1
        self.buys += 1
        self.drifted = self.drifted or self.sales > 0
        self.holding = self.holding.bought(units, debit_lamports)
        self.invested_lamports += debit_lamports
        self.bought_units += units
        paid = trigger_average(debit_lamports, units, self.decimals) if fill_price is None else fill_price
        if self.buys == 1:
            self.entry_price, self.peak = paid, self.average
            self.prices.append(paid)
        else:
            self.peak = paid

    def _sold(self, units: int, net_lamports: int) -> None:
        self.fills += 1
        self.sales += 1
        self.received_lamports += net_lamports
        if not 0 < units <= self.holding.base_units:
            return
        sale = self.holding.sold(units, net_lamports)
        self.holding = sale.holding
        self.sold_profit_lamports = sale.profit_lamports
        self.realised_lamports += sale.profit_lamports
        own_cost = self.invested_sol * units / self.bought_units
        self.own_profit_sol = lamports_to_sol(net_lamports) - own_cost
        self.own_realised_sol += self.own_profit_sol
