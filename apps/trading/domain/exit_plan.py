"""What the rules hold for an open position from here: stop, ladder of take profit, moon bag, next DCA, stale close.

Pure, for people to look at: it decides nothing. Prices are SOL per token, measured from the trigger average.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from apps.agents.domain.model import Dca, StaleTrade, StopLoss, TakeProfit, TradingConfig
from apps.core.money import quantize_amount, quantize_price
from apps.trading.domain import dca, stop_loss, take_profit
from apps.trading.domain.dca import DcaView
from apps.trading.domain.take_profit import TakeProfitView


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a position: what take profit and DCA look at, and the times their rules count from.

    `dca` leaves the time since the last one out: a cooldown passes by itself, `ready_at` says when.
    """

    take_profit: TakeProfitView
    dca: DcaView
    opened_at: datetime
    last_dca_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """One take-profit level of the present list; `tokens` is what it sells, before bag and remainder limit it."""

    number: int
    target_percent: Decimal
    sell_percent: Decimal
    price_sol: Decimal
    tokens: Decimal
    hit: bool


@dataclass(frozen=True, slots=True)
class TakeProfitPlan:
    """The ladder from the last DCA on. `earlier_levels` were sold before it; `next_price_sol` None: nothing is left."""

    enabled: bool
    mode: str
    levels: tuple[Rung, ...]
    levels_hit: int
    earlier_levels: int
    next_price_sol: Decimal | None
    moon_bag_enabled: bool
    moon_bag_trigger_percent: Decimal
    moon_bag_tokens: Decimal
    moon_bag_active: bool


@dataclass(frozen=True, slots=True)
class DcaPlan:
    """How often was and may be added, and where next. `code` says why not, "" when the price alone decides.

    `ready_at` is when the cooldown ends, None when there was no DCA yet.
    """

    enabled: bool
    mode: str
    count: int
    maximum: int
    next_drop_percent: Decimal | None
    next_buy_percent: Decimal | None
    next_price_sol: Decimal | None
    ready_at: datetime | None
    code: str


@dataclass(frozen=True, slots=True)
class StalePlan:
    """From `from_at` on the position closes while its gain is within the range, ends included."""

    enabled: bool
    from_at: datetime
    min_profit_percent: Decimal
    max_profit_percent: Decimal


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """Everything that may still happen to an open position by rule."""

    stop_enabled: bool
    stop_mode: str
    stop_default_percent: Decimal
    take_profit: TakeProfitPlan
    dca: DcaPlan
    stale: StalePlan


def plan(position: Progress, config: TradingConfig) -> ExitPlan:
    """Return what an agent's rules, as they are now, hold for a position."""
    return ExitPlan(
        stop_enabled=config.stop_loss.enabled,
        stop_mode=_mode(config.stop_loss),
        stop_default_percent=config.stop_loss.default_percent,
        take_profit=_take_profit(position.take_profit, config.take_profit),
        dca=_dca(position, config.dca),
        stale=_stale(position, config.stale_trade),
    )


def _mode(rules: StopLoss) -> str:
    return str(rules.mode or "fixed")


def _take_profit(view: TakeProfitView, rules: TakeProfit) -> TakeProfitPlan:
    """A configuration that grew since the list began does not lengthen it: progress is kept by level count."""
    total = len(rules.levels) if view.total_levels is None else view.total_levels
    length = max(0, min(len(rules.levels), total - view.batch_start))
    hit = max(0, view.levels_hit - view.batch_start)
    rungs = tuple(
        Rung(
            number=number,
            target_percent=level.target_percent,
            sell_percent=level.sell_percent,
            price_sol=_at(view.average_price, level.target_percent),
            tokens=quantize_amount(take_profit.sell_tokens(view.bought_tokens, [level])),
            hit=number <= hit,
        )
        for number, level in enumerate(rules.levels[:length], start=1)
    )
    bag = view.moon_bag_tokens if view.moon_bag_active else None
    return TakeProfitPlan(
        enabled=rules.enabled,
        mode=str(rules.mode),
        levels=rungs,
        levels_hit=min(hit, len(rungs)),
        earlier_levels=view.batch_start,
        next_price_sol=next((rung.price_sol for rung in rungs if not rung.hit), None) if rules.enabled else None,
        moon_bag_enabled=rules.moon_bag.enabled,
        moon_bag_trigger_percent=rules.moon_bag.trigger_percent,
        moon_bag_tokens=quantize_amount(take_profit.moon_bag_tokens(view.bought_tokens, rules.moon_bag))
        if bag is None
        else bag,
        moon_bag_active=view.moon_bag_active,
    )


def _dca(position: Progress, rules: Dca) -> DcaPlan:
    view = position.dca
    # At a price of nothing every level is reached: what still speaks against a DCA is not the price.
    code = dca.evaluate(view, Decimal(0), rules).code
    level = rules.levels[view.count] if code == dca.TRIGGERED else None
    cooldown = timedelta(seconds=int(rules.cooldown_seconds))
    return DcaPlan(
        enabled=rules.enabled,
        mode=str(rules.mode),
        count=view.count,
        maximum=dca_maximum(rules),
        next_drop_percent=None if level is None else level.drop_percent,
        next_buy_percent=None if level is None else level.buy_percent,
        next_price_sol=None if level is None else _at(view.average_price, level.drop_percent),
        ready_at=None if position.last_dca_at is None else position.last_dca_at + cooldown,
        code="" if code == dca.TRIGGERED else code,
    )


def dca_maximum(rules: Dca) -> int:
    """Return how often a position may be added to: by its count, and by how many levels there are."""
    return min(int(rules.max_count), len(rules.levels))


def _stale(position: Progress, rules: StaleTrade) -> StalePlan:
    return StalePlan(
        enabled=rules.enabled,
        from_at=position.opened_at + timedelta(seconds=int(rules.min_hold_minutes * 60)),
        min_profit_percent=rules.min_profit_percent,
        max_profit_percent=rules.max_profit_percent,
    )


def _at(average: Decimal, percent: Decimal) -> Decimal:
    return quantize_price(stop_loss.level(average, percent))
