"""What a recorded run amounts to by the decisions of the contract, for cases that no tag of theirs excuses.

Where the recorded engine's figure is one the decisions overrule, the figure they prescribe takes its place, worked out
from the run's own record, and the code of the weakness is noted. Everything else is compared as it was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from apps.core.money import MONEY, lamports_to_sol
from apps.trading.domain.watch_rules import TAKE_PROFIT
from apps.trading.vector_checks.compare import Units, differences
from apps.trading.vector_checks.recorded import Recorded
from apps.trading.vector_checks.rounding import Roundings
from apps.trading.vector_checks.values import number, optional_number

Outcome = dict[str, Any]

_HUNDRED = Decimal(100)
#: A recorded figure this near to its rule's is that rule's: prices are kept to 18 places, sums made in doubles.
_NEAR = Decimal("1e-8")
_STORED = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class Restated:
    """An expectation as the decisions have it, how exactly it is compared, and the codes of what was restated."""

    expected: Outcome
    units: Units
    codes: frozenset[str] = frozenset()


def position_run(given: Outcome, inputs: Sequence[Outcome], expected: Outcome, actual: Outcome) -> Restated:
    """Restate the expectation of a run; `inputs` has what each of its steps was given."""
    run = _Run(given)
    steps = [run.step(*triple) for triple in zip(inputs, expected["steps"], actual["steps"], strict=False)]
    rest = expected["steps"][len(steps) :]
    return Restated(expected | {"steps": steps + rest}, run.units(), frozenset(run.codes))


class _Run:
    """One case, restated step after step; `codes` gathers why."""

    def __init__(self, given: Outcome) -> None:
        self.codes: set[str] = set()
        self._record = Recorded(given)
        self._roundings = Roundings(self._record)

    def step(self, given: Outcome, expected: Outcome, actual: Outcome) -> Outcome:
        with localcontext(MONEY):
            self._follow(given, expected)
            restated = self._asked(expected, actual)
            closed = restated.get("closedTrades") or [restated[key] for key in ("closedTrade",) if key in restated]
            if "result" in restated:
                restated["result"] = self._result(restated["result"], restated.get("position"), closed)
            if restated.get("position") is not None:
                restated["position"] = self._position(restated["position"])
            if "closedTrades" in restated:
                restated["closedTrades"] = [self._closed_trade(trade) for trade in closed]
            if "closedTrade" in restated:
                restated["closedTrade"] = self._closed_trade(restated["closedTrade"])
            if closed:
                self._record.end()
            return restated

    def units(self) -> Units:
        return self._roundings.units()

    def _follow(self, given: Outcome, expected: Outcome) -> None:
        price = optional_number(given.get("price"))
        if price is not None:
            self._record.see(price)
        if "balances" in expected:
            transaction = expected.get("transaction", {})
            bought = transaction.get("inputMint") == "SOL"
            self._record.settle(expected["balances"], number(transaction["outputPrice"]) if bought else None)
        self._roundings.follow(price)

    def _asked(self, expected: Outcome, actual: Outcome) -> Outcome:
        """Take what was asked for as it is here where rounding put it beside."""
        restated = dict(expected)
        for name in ("quotedAmounts", "trades"):
            for index, (theirs, ours) in enumerate(zip(expected.get(name, ()), actual.get(name, ()), strict=False)):
                if not self._roundings.asked(theirs, ours):
                    continue
                self.codes.add("W3")
                restated[name] = [*restated[name][:index], ours, *restated[name][index + 1 :]]
                for part in ("result", "transaction"):
                    if "inputAmount" in restated.get(part, {}):
                        amount = number(restated[part]["inputAmount"]) * ours["amount"] / theirs["amount"]
                        restated[part] = restated[part] | {"inputAmount": amount}
        return restated

    def _position(self, position: Outcome) -> Outcome:
        record = self._record
        changes: Outcome = {}
        if record.buys == 1:
            changes |= self._prescribed("W10", position, "purchasePrice", record.average, record.entry_price)
        if position["peakPrice"] is not None and record.peak is not None:
            code = "W1" if record.buys > 1 else "W10" if record.peak == record.average else "W4"
            changes |= self._prescribed(code, position, "peakPrice", record.peak, *record.prices)
        if record.drifted:
            realised = lamports_to_sol(record.realised_lamports)
            changes |= self._prescribed("W9", position, "realizedProfitSol", realised, record.own_realised_sol)
        return position | changes

    def _result(self, result: Outcome, position: Outcome | None, closed: Sequence[Outcome]) -> Outcome:
        record = self._record
        changes: Outcome = {}
        if "tokensSold" in result and record.drifted:
            profit = lamports_to_sol(record.sold_profit_lamports)
            changes |= self._profit(result, profit, record.own_profit_sol)
        if closed:
            changes |= self._change_of_invested(result, closed[0])
        elif "changePercent" in result and position is not None:
            price, own_average = number(result["salePrice"]), number(position["purchasePrice"])
            changes |= self._prescribed(
                "W10",
                result,
                "changePercent",
                (price / record.average - 1) * _HUNDRED,
                (price / own_average - 1) * _HUNDRED,
            )
        return result | changes

    def _closed_trade(self, trade: Outcome) -> Outcome:
        record = self._record
        changes = self._change_of_invested(trade, trade)
        if trade["closeReason"] == TAKE_PROFIT:
            profit = lamports_to_sol(record.received_lamports - record.invested_lamports)
            changes |= self._profit(trade, profit, record.own_realised_sol)
            brought = lamports_to_sol(record.received_lamports) / record.bought_tokens
            own = number(trade["purchasePrice"]) + number(trade["profitLossSol"]) / record.bought_tokens
            changes |= self._prescribed("W9" if record.drifted else "W10", trade, "salePrice", brought, own)
        if record.buys == 1:
            changes |= self._prescribed("W10", trade, "purchasePrice", record.average, record.entry_price)
        return trade | changes

    def _change_of_invested(self, figures: Outcome, trade: Outcome) -> Outcome:
        """Return a closed trade's percentage as one of all that was invested, fees in, and of all that came back."""
        record = self._record
        own_profit, own_cost = number(trade["profitLossSol"]), number(trade["purchasePrice"]) * record.bought_tokens
        profit = own_profit
        if record.drifted and trade["closeReason"] == TAKE_PROFIT:
            profit = lamports_to_sol(record.received_lamports - record.invested_lamports)
        return self._prescribed(
            "W10" if profit == own_profit else "W9",
            figures,
            "changePercent",
            profit / record.invested_sol * _HUNDRED,
            own_profit / own_cost * _HUNDRED,
        )

    def _profit(self, figures: Outcome, profit_sol: Decimal, own_sol: Decimal) -> Outcome:
        usd = self._record.sol_usd
        changes = self._prescribed("W9", figures, "profitLossSol", profit_sol, own_sol)
        if usd is None:
            return changes
        return changes | self._prescribed("W9", figures, "profitLossUsd", profit_sol * usd, own_sol * usd)

    def _prescribed(self, code: str, figures: Outcome, key: str, prescribed: Decimal, *own: Decimal | None) -> Outcome:
        """Return the prescribed figure in place of a recorded one that is what the recorded engine's rule gives.

        A figure that neither rule gives is left as it is: whatever it stands for, it is not this weakness.
        """
        recorded = number(figures[key])
        if not any(rule is not None and _near(recorded, rule) for rule in own):
            return {}
        if not differences({key: recorded}, {key: prescribed}, self.units()):
            return {}
        self.codes.add(code)
        return {key: prescribed}


def _near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= max(_NEAR * max(abs(one), abs(other)), _STORED)
