"""Adapters for take_profit, take_profit_sequences and dca."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from apps.agents.domain import presets, reading
from apps.agents.domain.model import DcaLevel, MoonBag, TakeProfit, TakeProfitLevel
from apps.trading.domain import dca as dca_rules
from apps.trading.domain import take_profit as rules
from apps.trading.domain.cost_basis import Holding
from apps.trading.domain.pnl import price_change
from apps.trading.vector_checks.values import number, optional_number

#: A sequence is walked without lamports, so that rounding does not hide what the rule gives.
_TOKEN_PLACES = 18
_SOL_PLACES = 18


def take_profit(given: dict[str, Any]) -> dict[str, Any]:
    return _TAKE_PROFIT[given["fn"]](given)


def _evaluate(given: dict[str, Any]) -> dict[str, Any]:
    position = rules.TakeProfitView(
        average_price=number(given["purchasePrice"]),
        bought_tokens=number(given["originalAmount"]),
        remaining_tokens=optional_number(given.get("remainingAmount")),
        levels_hit=given["levelsHit"],
        batch_start=given.get("tpBatchStartLevel") or 0,
        total_levels=given.get("totalTakeProfitLevels"),
        moon_bag_active=given["moonBagActivated"],
        moon_bag_tokens=optional_number(given.get("currentMoonBagAmount")),
    )
    try:
        decision = rules.evaluate(position, number(given["currentPrice"]), _as_given(given["config"]))
    except rules.CorruptProgress:
        return {"error": "type_error"}
    return {
        "shouldExecute": decision.allowed,
        "levelsToExecute": _levels(decision.levels),
        "sellAmount": decision.sell_tokens,
        "activateMoonBag": decision.activates_moon_bag,
        "moonBagAmount": decision.moon_bag_tokens,
        "newRemainingAmount": decision.remaining_tokens,
        "reasonCode": decision.code,
    }


def _as_given(section: dict[str, Any]) -> TakeProfit:
    """Read a section for the pure evaluation: levels and bag as listed, whatever the mode."""
    return reading.take_profit({**section, "mode": "custom"})


def _gain_percent(given: dict[str, Any]) -> dict[str, Any]:
    return {"gainPercent": price_change(number(given["purchasePrice"]), number(given["currentPrice"]))}


def _triggered_levels(given: dict[str, Any]) -> dict[str, Any]:
    levels = reading.take_profit_levels(given["levels"])
    return {"levels": _levels(rules.triggered_levels(number(given["gainPercent"]), levels, given["levelsHit"]))}


def _should_activate(given: dict[str, Any]) -> dict[str, Any]:
    activate = rules.activates_moon_bag(
        reading.moon_bag(given["moonBag"]),
        number(given["gainPercent"]),
        final=given["isFinalLevel"],
        active=given["alreadyActivated"],
    )
    return {"activate": activate}


def _sell_amount(given: dict[str, Any]) -> dict[str, Any]:
    levels = reading.take_profit_levels(given["levels"])
    return {
        "sellAmount": rules.sell_tokens(number(given["originalAmount"]), levels),
        "totalSellPercent": rules.sell_percent(levels),
    }


def _moon_bag_amount(given: dict[str, Any]) -> dict[str, Any]:
    bag = MoonBag(enabled=True, trigger_percent=Decimal(1), retain_percent=number(given["retainPercent"]))
    return {"moonBagAmount": rules.moon_bag_tokens(number(given["originalAmount"]), bag)}


def _allocation(given: dict[str, Any]) -> dict[str, Any]:
    bag = reading.moon_bag(given["config"]["moonBag"])
    sold = rules.sell_percent(reading.take_profit_levels(given["config"]["levels"]))
    kept = bag.retain_percent if bag.enabled else Decimal(0)
    return {
        "valid": sold + kept <= 100,
        "totalSellPercent": sold,
        "moonBagPercent": kept,
        "totalAllocation": sold + kept,
    }


def _sort_levels(given: dict[str, Any]) -> dict[str, Any]:
    levels = reading.take_profit_levels(given["levels"])
    return {"levels": _levels(sorted(levels, key=lambda level: level.target_percent))}


def _take_profit_preset(given: dict[str, Any]) -> dict[str, Any]:
    levels, bag = presets.take_profit_template(given["mode"])
    return {
        "levels": _levels(levels),
        "moonBag": {
            "enabled": bag.enabled,
            "triggerPercent": bag.trigger_percent,
            "retainPercent": bag.retain_percent,
        },
    }


def _levels(levels: Iterable[TakeProfitLevel]) -> list[dict[str, Decimal]]:
    return [{"targetPercent": level.target_percent, "sellPercent": level.sell_percent} for level in levels]


_TAKE_PROFIT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "evaluate": _evaluate,
    "gainPercent": _gain_percent,
    "triggeredLevels": _triggered_levels,
    "shouldActivateMoonBag": _should_activate,
    "sellAmount": _sell_amount,
    "moonBagAmount": _moon_bag_amount,
    "allocation": _allocation,
    "sortLevels": _sort_levels,
    "preset": _take_profit_preset,
}


def take_profit_sequences(given: dict[str, Any]) -> dict[str, Any]:
    sequence = _Sequence(given)
    steps = []
    for step in given["steps"]:
        steps.append(sequence.dca(step) if "dcaSol" in step else sequence.price(step))
        if steps[-1].get("closes"):
            break
    return {"steps": steps}


class _Sequence:
    """One position walked through prices and DCA buys; a sale fills at the tick's price without fees."""

    def __init__(self, given: dict[str, Any]) -> None:
        position = given["position"]
        self._rules = _as_given(given["takeProfit"])
        self._average = number(position["purchasePrice"])
        self._bought = number(position["purchaseAmount"])
        self._invested = number(position["totalInvestedSol"])
        self._remaining = optional_number(position.get("remainingAmount"))
        self._levels_hit: int = position.get("takeProfitLevelsHit", position.get("levelsHit")) or 0
        self._batch_start: int = position.get("tpBatchStartLevel") or 0
        self._total_levels: int | None = position.get("totalTakeProfitLevels")
        self._bag_active: bool = position.get("moonBagActivated") or False
        self._bag = optional_number(position.get("moonBagAmount"))
        self._dca_count: int = position.get("dcaCount") or 0
        self._realised = optional_number(position.get("realizedProfitSol")) or Decimal(0)
        held = self._bought if self._remaining is None else self._remaining
        self._holding = Holding(_units(held, _TOKEN_PLACES), _units(self._invested, _SOL_PLACES))

    def price(self, step: dict[str, Any]) -> dict[str, Any]:
        price = number(step["price"])
        decision = rules.evaluate(self._view(), price, self._rules)
        outcome: dict[str, Any] = {
            "op": "price",
            "gainPercent": price_change(self._average, price),
            "shouldExecute": decision.allowed,
            "levels": [level.target_percent for level in decision.levels],
            "sellAmount": decision.sell_tokens,
            "activateMoonBag": decision.activates_moon_bag,
            "moonBagAmount": decision.moon_bag_tokens,
            "newRemainingAmount": decision.remaining_tokens,
            "reasonCode": decision.code,
        }
        if decision.allowed:
            profit = self._sell(decision, price)
            outcome |= {"profitLossSol": profit, "after": self._after_sale(), "closes": decision.closes}
        return outcome

    def _view(self) -> rules.TakeProfitView:
        return rules.TakeProfitView(
            average_price=self._average,
            bought_tokens=self._bought,
            remaining_tokens=self._remaining,
            levels_hit=self._levels_hit,
            batch_start=self._batch_start,
            total_levels=self._total_levels,
            moon_bag_active=self._bag_active,
            moon_bag_tokens=self._bag,
        )

    def _sell(self, decision: rules.TakeProfitDecision, price: Decimal) -> Decimal:
        sold = min(_units(decision.sell_tokens, _TOKEN_PLACES), self._holding.base_units)
        realised = self._holding.sold(sold, _units(decision.sell_tokens * price, _SOL_PLACES))
        profit = Decimal(realised.profit_lamports).scaleb(-_SOL_PLACES)
        self._holding = realised.holding
        self._remaining = decision.remaining_tokens
        self._levels_hit += len(decision.levels)
        self._realised += profit
        if decision.activates_moon_bag:
            self._bag_active, self._bag = True, decision.moon_bag_tokens
        return profit

    def _after_sale(self) -> dict[str, Any]:
        return {
            "remainingAmount": self._remaining,
            "levelsHit": self._levels_hit,
            "moonBagActivated": self._bag_active,
            "moonBagAmount": self._bag,
            "realizedProfitSol": self._realised,
        }

    def dca(self, step: dict[str, Any]) -> dict[str, Any]:
        sol, tokens = number(step["dcaSol"]), number(step["dcaTokens"])
        totals = dca_rules.new_average(self._invested, self._bought, sol, tokens)
        batch = rules.batch_after_dca(self._levels_hit, self._rules)
        self._average, self._bought, self._invested = totals.average_price, totals.bought_tokens, totals.invested_sol
        self._remaining = None if self._remaining is None else self._remaining + tokens
        self._holding = self._holding.bought(_units(tokens, _TOKEN_PLACES), _units(sol, _SOL_PLACES))
        self._batch_start, self._total_levels = batch.batch_start, batch.total_levels
        self._dca_count += 1
        after = {
            "purchasePrice": self._average,
            "purchaseAmount": self._bought,
            "totalInvestedSol": self._invested,
            "remainingAmount": self._remaining,
            "dcaCount": self._dca_count,
            "tpBatchStartLevel": self._batch_start,
            "totalTakeProfitLevels": self._total_levels,
            "levelsHit": self._levels_hit,
            "moonBagActivated": self._bag_active,
            "moonBagAmount": self._bag,
        }
        return {"op": "dca", "after": after}


def _units(amount: Decimal, places: int) -> int:
    return int(amount.scaleb(places).to_integral_value())


def dca(given: dict[str, Any]) -> dict[str, Any]:
    return _DCA[given["fn"]](given)


def _dca_evaluate(given: dict[str, Any]) -> dict[str, Any]:
    position = given["position"]
    view = dca_rules.DcaView(
        average_price=number(position["purchasePrice"]),
        bought_tokens=number(position["purchaseAmount"]),
        remaining_tokens=optional_number(position.get("remainingAmount")),
        moon_bag_active=position.get("moonBagActivated") or False,
        moon_bag_tokens=optional_number(position.get("moonBagAmount")),
        count=position.get("dcaCount") or 0,
        seconds_since_last=optional_number(position.get("secondsSinceLastDca")),
    )
    decision = dca_rules.evaluate(view, number(given["currentPrice"]), reading.dca(given["dca"]))
    outcome: dict[str, Any] = {
        "shouldTrigger": decision.allowed,
        "triggerLevel": None if decision.level is None else _dca_level(decision.level),
        "buyAmountSol": decision.buy_sol,
        "reasonCode": decision.code,
    }
    if decision.cooldown_remaining_seconds is not None:
        outcome["cooldownRemainingSeconds"] = decision.cooldown_remaining_seconds
    return outcome


def _dca_level(level: DcaLevel) -> dict[str, Decimal]:
    return {"dropPercent": level.drop_percent, "buyPercent": level.buy_percent}


def _new_average(given: dict[str, Any]) -> dict[str, Any]:
    totals = dca_rules.new_average(
        number(given["existingTotalSol"]),
        number(given["existingTokenAmount"]),
        number(given["newSolSpent"]),
        number(given["newTokensAcquired"]),
    )
    return {
        "newAveragePrice": totals.average_price,
        "newTotalAmount": totals.bought_tokens,
        "newTotalInvested": totals.invested_sol,
    }


def _dca_preset(given: dict[str, Any]) -> dict[str, Any]:
    return {"levels": [_dca_level(level) for level in presets.dca_levels(given["mode"])]}


_DCA: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "evaluate": _dca_evaluate,
    "newAverage": _new_average,
    "preset": _dca_preset,
}
