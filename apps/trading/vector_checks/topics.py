"""Which topics there are, what turns their inputs into outcomes, and how those are held against expectations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from apps.trading.vector_checks import configuration, entries, executor, levels, money, scenarios, stops
from apps.trading.vector_checks.compare import NO_UNITS, Units
from apps.trading.vector_checks.restated import Outcome, Restated


@dataclass(frozen=True, slots=True)
class Topic:
    """`run` gives the outcome of an input; `restate` what it is compared with, where that is not what was recorded."""

    name: str
    run: Callable[[Outcome], Outcome]
    units: Units = NO_UNITS
    restate: Callable[[Outcome, Outcome, Outcome], Restated] | None = None

    def expectation(self, given: Outcome, expected: Outcome, actual: Outcome) -> Restated:
        """Return what the outcome of an input is held against."""
        return Restated(expected, self.units) if self.restate is None else self.restate(given, expected, actual)


def _units(sol: str = "", price: str = "") -> Units:
    return Units(frozenset(sol.split()), frozenset(price.split()))


def _sorted_issues(given: Outcome, expected: Outcome, actual: Outcome) -> Restated:
    return Restated(configuration.sorted_issues(expected), NO_UNITS)


def _exact_balances(given: Outcome, expected: Outcome, actual: Outcome) -> Restated:
    return Restated(money.exact_balances(expected), _units("SOL"))


def _stored_peaks(given: Outcome, expected: Outcome, actual: Outcome) -> Restated:
    lenient = stops.without_unstored_peaks(expected, actual)
    units = replace(_units(price="stopLossPrice storedPeak"), slack=dict.fromkeys(stops.PERCENTS, stops.EIGHT_PLACES))
    return Restated(lenient, units, frozenset(["W4"] if lenient != expected else []))


_TOPICS = (
    Topic("config_validation", configuration.config_validation, restate=_sorted_issues),
    Topic("config_merge", configuration.config_merge, restate=_sorted_issues),
    Topic("eligibility", entries.eligibility),
    Topic("position_size", entries.position_size, _units("size")),
    Topic("trade_validation", entries.trade_validation, _units("currentSolBalance positionSize")),
    Topic("stop_loss_percentage", stops.stop_loss_percentage),
    Topic("stop_loss_paths", stops.stop_loss_paths, restate=_stored_peaks),
    Topic("take_profit", levels.take_profit),
    Topic(
        "take_profit_sequences",
        levels.take_profit_sequences,
        _units("profitLossSol realizedProfitSol totalInvestedSol", "purchasePrice"),
    ),
    Topic("dca", levels.dca, _units("buyAmountSol newTotalInvested", "newAveragePrice")),
    Topic("pnl", money.pnl, _units("profitLossSol costBasis")),
    Topic("swap_fees", money.swap_fees, _units("protocolFeeSol networkFeeSol")),
    Topic("balances", money.balances, restate=_exact_balances),
    Topic(
        "performance",
        money.performance,
        _units("portfolioBalanceSol totalProfitLossSol realizedProfitLossSol unrealizedProfitLossSol"),
    ),
    Topic("executor_simulation", executor.executor_simulation, restate=executor.restate),
    Topic("scenarios", scenarios.scenarios, restate=scenarios.restate),
)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in _TOPICS}
