"""Which topics there are, what turns their inputs into outcomes, and how those are held against expectations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.trading.vector_checks import configuration, entries, levels, money, stops
from apps.trading.vector_checks.compare import NO_UNITS, Units

Outcome = dict[str, Any]


def _as_expected(expected: Outcome, actual: Outcome) -> Outcome:
    return expected


@dataclass(frozen=True, slots=True)
class Topic:
    """`run` gives the outcome of an input; `expectation` may loosen or normalise what it is compared with."""

    name: str
    run: Callable[[dict[str, Any]], Outcome]
    units: Units = NO_UNITS
    expectation: Callable[[Outcome, Outcome], Outcome] = _as_expected


def _units(sol: str = "", price: str = "") -> Units:
    return Units(frozenset(sol.split()), frozenset(price.split()))


def _sorted_issues(expected: Outcome, actual: Outcome) -> Outcome:
    return configuration.sorted_issues(expected)


def _exact_balances(expected: Outcome, actual: Outcome) -> Outcome:
    return money.exact_balances(expected)


_TOPICS = (
    Topic("config_validation", configuration.config_validation, expectation=_sorted_issues),
    Topic("config_merge", configuration.config_merge, expectation=_sorted_issues),
    Topic("eligibility", entries.eligibility),
    Topic("position_size", entries.position_size, _units("size")),
    Topic("trade_validation", entries.trade_validation, _units("currentSolBalance positionSize")),
    Topic("stop_loss_percentage", stops.stop_loss_percentage),
    Topic(
        "stop_loss_paths",
        stops.stop_loss_paths,
        _units(price="stopLossPrice storedPeak"),
        stops.without_unstored_peaks,
    ),
    Topic("take_profit", levels.take_profit),
    Topic(
        "take_profit_sequences",
        levels.take_profit_sequences,
        _units("profitLossSol realizedProfitSol totalInvestedSol", "purchasePrice"),
    ),
    Topic("dca", levels.dca, _units("buyAmountSol newTotalInvested", "newAveragePrice")),
    Topic("pnl", money.pnl, _units("profitLossSol costBasis")),
    Topic("swap_fees", money.swap_fees, _units("protocolFeeSol networkFeeSol")),
    Topic("balances", money.balances, _units("SOL"), _exact_balances),
    Topic(
        "performance",
        money.performance,
        _units("portfolioBalanceSol totalProfitLossSol realizedProfitLossSol unrealizedProfitLossSol"),
    ),
)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in _TOPICS}
