"""Whether what was lost today, what is at stake or a fresh stop loss bars an agent from buying.

Pure: the caller reads the figures, under lock when it books. Sales are never asked about here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.core.money import MONEY, ZERO

DAILY_LOSS_REACHED = "DAILY_LOSS_REACHED"
MAX_EXPOSURE_REACHED = "MAX_EXPOSURE_REACHED"
COOLDOWN_AFTER_STOP = "COOLDOWN_AFTER_STOP"
MESSAGES = {
    DAILY_LOSS_REACHED: "Today's losses have reached the limit: nothing is bought until midnight UTC.",
    MAX_EXPOSURE_REACHED: "The buy would put more at stake than the limit allows.",
    COOLDOWN_AFTER_STOP: "A stop loss was sold a moment ago: nothing is bought until the cooldown is over.",
}
CODES = frozenset(MESSAGES)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an agent or the desk may lose and have at stake; None bounds nothing."""

    max_daily_loss_sol: Decimal | None = None
    max_exposure_sol: Decimal | None = None
    cooldown_seconds: int | None = None

    @property
    def any(self) -> bool:
        """Whether anything is bounded."""
        return any(item is not None for item in (self.max_daily_loss_sol, self.max_exposure_sol, self.cooldown_seconds))


@dataclass(frozen=True, slots=True)
class Use:
    """How much of it is used: today's net result, SOL at stake, seconds since the last stop loss (None: long ago)."""

    realised_today_sol: Decimal = ZERO
    exposure_sol: Decimal = ZERO
    seconds_since_stop: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a buy is refused, and the figures that say so."""

    code: str
    inputs: dict[str, str | int]


def refusal(scope: str, bounds: Bounds, use: Use, *, spending_sol: Decimal = ZERO) -> Refusal | None:
    """Return why a buy of `spending_sol`, fees included, is refused, or None. `scope` names whose limit it is.

    With nothing to spend yet it says what would bar any buy. What is at stake may reach its limit, not pass it; a loss
    that reaches its limit has used it up.

    >>> refusal("agent", Bounds(max_exposure_sol=Decimal(5)), Use(exposure_sol=Decimal(4)), spending_sol=Decimal(1))
    >>> refusal("desk", Bounds(max_daily_loss_sol=Decimal(1)), Use(realised_today_sol=Decimal(-1))).code
    'DAILY_LOSS_REACHED'
    """
    if bounds.max_daily_loss_sol is not None and use.realised_today_sol <= bounds.max_daily_loss_sol.copy_negate():
        figures = {"maxDailyLossSol": bounds.max_daily_loss_sol, "realisedTodaySol": use.realised_today_sol}
        return Refusal(DAILY_LOSS_REACHED, {"limitOf": scope, **_plain(figures)})
    since = use.seconds_since_stop
    if bounds.cooldown_seconds is not None and since is not None and since < bounds.cooldown_seconds:
        seconds = {"cooldownSeconds": bounds.cooldown_seconds, "secondsSinceStop": since}
        return Refusal(COOLDOWN_AFTER_STOP, {"limitOf": scope, **seconds})
    at_stake = MONEY.add(use.exposure_sol, spending_sol)
    if bounds.max_exposure_sol is not None and at_stake > bounds.max_exposure_sol:
        figures = {
            "maxExposureSol": bounds.max_exposure_sol,
            "exposureSol": use.exposure_sol,
            "spendingSol": spending_sol,
        }
        return Refusal(MAX_EXPOSURE_REACHED, {"limitOf": scope, **_plain(figures)})
    return None


def _plain(figures: dict[str, Decimal]) -> dict[str, str]:
    return {name: format(value.normalize(), "f") for name, value in figures.items()}
