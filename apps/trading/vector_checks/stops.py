"""Adapters for stop_loss_percentage and stop_loss_paths: the formulas, and a stop followed as the watch follows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.agents.domain import reading, trading_config
from apps.agents.domain.model import StopLoss
from apps.trading.domain import stop_loss, watch_rules
from apps.trading.domain.position_changes import Books
from apps.trading.domain.stop_loss import StopState
from apps.trading.domain.watch_rules import Watched
from apps.trading.vector_checks.compare import ANYTHING
from apps.trading.vector_checks.values import number, optional_number

_NOBODY = UUID(int=0)
#: A position that was just opened: the stale close is far away.
_NOW = datetime(2026, 1, 1, tzinfo=UTC)

#: A stop is kept in percent to eight places.
PERCENTS = ("stopLossPercentage", "storedStop")
EIGHT_PLACES = Decimal("1e-8")
#: The original stores a risen peak only past this many SOL; ours stores any rise, so neither figure is compared below.
_PEAK_GRANULARITY = Decimal("0.0001")


def stop_loss_percentage(given: dict[str, Any]) -> dict[str, Any]:
    rules = reading.stop_loss(given["config"])
    return {"stopLossPercentage": stop_loss.stop_percent(number(given["changePercent"]), rules)}


def stop_loss_paths(given: dict[str, Any]) -> dict[str, Any]:
    path = _Path(given)
    return {"steps": path.begin() + [path.step(step) for step in given["steps"]]}


class _Path:
    """One position's stop, walked through the steps of a case."""

    def __init__(self, given: dict[str, Any]) -> None:
        position = given["position"]
        self._section: dict[str, Any] = given["stopLoss"]
        self._initialise: bool = position.get("initialise", False)
        self._average = number(position["purchasePrice"])
        self._last_price = self._average
        self._state = StopState(
            optional_number(position.get("peakPrice")), optional_number(position.get("currentStopLossPercentage"))
        )

    @property
    def _rules(self) -> StopLoss:
        return reading.stop_loss(self._section)

    def begin(self) -> list[dict[str, Any]]:
        if not self._initialise:
            return []
        self._state = stop_loss.at_buy(self._average, self._rules)
        return [{"op": "initialise", "returned": self._state.stop_percent, **self._stored()}]

    def step(self, step: dict[str, Any]) -> dict[str, Any]:
        if "setStopLoss" in step:
            self._section = {**self._section, **step["setStopLoss"]}
            return {"op": "setStopLoss"}
        if "setPurchasePrice" in step:
            self._average = number(step["setPurchasePrice"])
            self._state = stop_loss.after_dca(self._last_price, self._rules)
            return {"op": "setPurchasePrice"}
        return {"op": "price", **self._price(step), **self._stored()}

    def _price(self, step: dict[str, Any]) -> dict[str, Any]:
        if step.get("closed"):
            return _outcome(None)
        if step.get("lockBusy"):
            return _outcome(self._state.stop_percent)
        price = self._last_price = number(step["price"])
        peak = max(price, self._average if self._state.peak_price is None else self._state.peak_price)
        verdict = watch_rules.judge(self._watched(peak), price, now=_NOW)
        stop = verdict.stop
        if stop is None:
            return _outcome(None)
        risen = StopState(peak, stop.percent)
        updated, self._state = risen != self._state, risen
        return {
            "shouldTrigger": verdict.reason == watch_rules.STOP_LOSS,
            "stopLossPercentage": stop.percent,
            "stopLossPrice": stop.price,
            "updated": updated,
        }

    def _watched(self, peak: Decimal) -> Watched:
        return Watched(
            id=_NOBODY,
            agent_id=_NOBODY,
            mint="",
            books=Books(0, 1, 1, 0, 0, self._average),
            stop_percent=self._state.stop_percent,
            generation=1,
            opened_at=_NOW,
            config=replace(trading_config.DEFAULT_CONFIG, stop_loss=self._rules),
            peak_price=peak,
        )

    def _stored(self) -> dict[str, Any]:
        return {"storedStop": self._state.stop_percent, "storedPeak": self._state.peak_price}


def _outcome(stop_percent: Decimal | None) -> dict[str, Any]:
    return {"shouldTrigger": False, "stopLossPercentage": stop_percent, "stopLossPrice": None, "updated": False}


def without_unstored_peaks(expected: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    """Return the expectation without the peaks the original did not bother to store (W4).

    Where its stored peak lags ours by no more than its granularity, the peak is not compared, nor whether anything was
    stored in a step in which it stored nothing.
    """
    return {**expected, "steps": [_lenient(*pair) for pair in zip(expected["steps"], actual["steps"], strict=False)]}


def _lenient(expected: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    theirs, ours = optional_number(expected.get("storedPeak")), optional_number(actual.get("storedPeak"))
    if theirs is None or ours is None or not 0 < ours - theirs <= _PEAK_GRANULARITY:
        return expected
    lenient = {**expected, "storedPeak": ANYTHING}
    if expected.get("updated") is False:
        lenient["updated"] = ANYTHING
    return lenient
