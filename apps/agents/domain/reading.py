"""Valid documents and their sections read into the typed configuration.

Nothing is validated here: callers pass what `validation.validate` found sound. A section may be read on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.agents.domain.model import (
    Dca,
    DcaLevel,
    MoonBag,
    PositionCalculator,
    PresetMode,
    PurchaseLimits,
    SignalRules,
    SizeRange,
    StaleTrade,
    StopLoss,
    StopLossMode,
    TakeProfit,
    TakeProfitLevel,
    TokenFilterMode,
    TradingConfig,
    TrailingLevel,
)
from apps.agents.domain.numbers import as_number
from apps.agents.domain.presets import dca_levels, take_profit_plan

Section = Mapping[str, Any]


def trading_config(document: Section) -> TradingConfig:
    """Read a whole, valid document, presets resolved."""
    return TradingConfig(
        purchase_limits=purchase_limits(document["purchaseLimits"]),
        signals=signal_rules(document["signals"]),
        stop_loss=stop_loss(document["stopLoss"]),
        position_calculator=position_calculator(document["positionCalculator"]),
        stale_trade=stale_trade(document["staleTrade"]),
        dca=dca(document["dca"]),
        take_profit=take_profit(document["takeProfit"]),
    )


def purchase_limits(section: Section) -> PurchaseLimits:
    return PurchaseLimits(
        minimum_agent_balance_sol=_number(section["minimumAgentBalance"]),
        max_purchase_per_token_sol=_number(section["maxPurchasePerToken"]),
        max_price_impact_fraction=as_number(section.get("maxPriceImpact")),
    )


def signal_rules(section: Section) -> SignalRules:
    """Read the signal conditions; what is absent is unbounded, as in the defaults."""
    return SignalRules(
        min_score=int(_number(section.get("minScore", 1))),
        allowed_signal_types=tuple(section.get("allowedSignalTypes", ())),
        token_filter_mode=section.get("tokenFilterMode", TokenFilterMode.NONE),
        token_list=tuple(section.get("tokenList", ())),
        market_cap_min_usd=as_number(section.get("marketCapMin")),
        market_cap_max_usd=as_number(section.get("marketCapMax")),
        liquidity_min_usd=as_number(section.get("liquidityMin")),
        liquidity_max_usd=as_number(section.get("liquidityMax")),
        holder_count_min=_count(section.get("holderCountMin")),
        holder_count_max=_count(section.get("holderCountMax")),
    )


def stop_loss(section: Section) -> StopLoss:
    """Read the stop-loss section; an absent or empty mode is fixed."""
    return StopLoss(
        enabled=section["enabled"],
        default_percent=_number(section["defaultPercentage"]),
        mode=section.get("mode") or StopLossMode.FIXED,
        trailing_levels=tuple(
            TrailingLevel(_number(level["change"]), _number(level["stopLoss"]))
            for level in section.get("trailingLevels", ())
        ),
    )


def position_calculator(section: Section) -> PositionCalculator:
    thresholds, sizes = section["solBalanceThresholds"], section["positionSizes"]
    return PositionCalculator(
        minimum_balance_sol=_number(thresholds["minimum"]),
        medium_balance_sol=_number(thresholds["medium"]),
        large_balance_sol=_number(thresholds["large"]),
        small=_size_range(sizes["small"]),
        medium=_size_range(sizes["medium"]),
        large=_size_range(sizes["large"]),
        randomized=section["randomization"]["enabled"],
    )


def stale_trade(section: Section) -> StaleTrade:
    return StaleTrade(
        enabled=section["enabled"],
        min_hold_minutes=_number(section["minHoldTimeMinutes"]),
        min_profit_percent=_number(section["minProfitPercent"]),
        max_profit_percent=_number(section["maxProfitPercent"]),
    )


def dca(section: Section) -> Dca:
    """Read the DCA section and resolve its mode to levels; an absent mode is moderate."""
    mode = section.get("mode", PresetMode.MODERATE)
    custom_levels = tuple(
        DcaLevel(_number(level["dropPercent"]), _number(level["buyPercent"])) for level in section["levels"]
    )
    return Dca(
        enabled=section["enabled"],
        mode=mode,
        levels=dca_levels(mode, custom_levels),
        custom_levels=custom_levels,
        max_count=_number(section["maxDCACount"]),
        cooldown_seconds=_number(section["cooldownSeconds"]),
    )


def take_profit(section: Section) -> TakeProfit:
    """Read the take-profit section and resolve its mode to levels and bag; an absent mode is moderate."""
    mode = section.get("mode", PresetMode.MODERATE)
    custom_levels = take_profit_levels(section["levels"])
    custom_moon_bag = moon_bag(section["moonBag"])
    levels, bag = take_profit_plan(mode, custom_levels, custom_moon_bag)
    return TakeProfit(
        enabled=section["enabled"],
        mode=mode,
        levels=levels,
        moon_bag=bag,
        custom_levels=custom_levels,
        custom_moon_bag=custom_moon_bag,
    )


def take_profit_levels(levels: Any) -> tuple[TakeProfitLevel, ...]:
    return tuple(TakeProfitLevel(_number(level["targetPercent"]), _number(level["sellPercent"])) for level in levels)


def moon_bag(section: Section) -> MoonBag:
    return MoonBag(
        enabled=section["enabled"],
        trigger_percent=_number(section["triggerPercent"]),
        retain_percent=_number(section["retainPercent"]),
    )


def _size_range(section: Section) -> SizeRange:
    return SizeRange(_number(section["min"]), _number(section["max"]))


def _count(value: Any) -> int | None:
    number = as_number(value)
    return None if number is None else int(number)


def _number(value: Any) -> Decimal:
    number = as_number(value)
    if number is None:
        raise TypeError(f"not a number: {value!r}")
    return number
