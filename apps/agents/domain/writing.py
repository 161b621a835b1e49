"""The typed configuration back into the document that is stored."""

from __future__ import annotations

from typing import Any

from apps.agents.domain.merge import clean
from apps.agents.domain.model import TradingConfig


def to_document(config: TradingConfig) -> dict[str, Any]:
    """Return the storable document of a configuration: `trading_config.load(to_document(config)) == config`."""
    limits, signals, stop, sizes = config.purchase_limits, config.signals, config.stop_loss, config.position_calculator
    stale, dca, profit = config.stale_trade, config.dca, config.take_profit
    bounds = {
        "marketCapMin": signals.market_cap_min_usd,
        "marketCapMax": signals.market_cap_max_usd,
        "liquidityMin": signals.liquidity_min_usd,
        "liquidityMax": signals.liquidity_max_usd,
        "holderCountMin": signals.holder_count_min,
        "holderCountMax": signals.holder_count_max,
    }
    document = {
        "purchaseLimits": {
            "minimumAgentBalance": limits.minimum_agent_balance_sol,
            "maxPurchasePerToken": limits.max_purchase_per_token_sol,
            "maxPriceImpact": limits.max_price_impact_fraction,
        },
        "signals": {
            "minScore": signals.min_score,
            "allowedSignalTypes": list(signals.allowed_signal_types),
            "tokenFilterMode": str(signals.token_filter_mode),
            "tokenList": list(signals.token_list),
            **{key: bound for key, bound in bounds.items() if bound is not None},
        },
        "stopLoss": {
            "enabled": stop.enabled,
            "defaultPercentage": stop.default_percent,
            "mode": str(stop.mode),
            "trailingLevels": [
                {"change": level.change_percent, "stopLoss": level.stop_percent} for level in stop.trailing_levels
            ],
        },
        "positionCalculator": {
            "solBalanceThresholds": {
                "minimum": sizes.minimum_balance_sol,
                "medium": sizes.medium_balance_sol,
                "large": sizes.large_balance_sol,
            },
            "positionSizes": {
                name: {"min": size.minimum_sol, "max": size.maximum_sol}
                for name, size in (("small", sizes.small), ("medium", sizes.medium), ("large", sizes.large))
            },
            "randomization": {"enabled": sizes.randomized},
        },
        "staleTrade": {
            "enabled": stale.enabled,
            "minHoldTimeMinutes": stale.min_hold_minutes,
            "minProfitPercent": stale.min_profit_percent,
            "maxProfitPercent": stale.max_profit_percent,
        },
        "dca": {
            "enabled": dca.enabled,
            "mode": str(dca.mode),
            "levels": [
                {"dropPercent": level.drop_percent, "buyPercent": level.buy_percent} for level in dca.custom_levels
            ],
            "maxDCACount": dca.max_count,
            "cooldownSeconds": dca.cooldown_seconds,
        },
        "takeProfit": {
            "enabled": profit.enabled,
            "mode": str(profit.mode),
            "levels": [
                {"targetPercent": level.target_percent, "sellPercent": level.sell_percent}
                for level in profit.custom_levels
            ],
            "moonBag": {
                "enabled": profit.custom_moon_bag.enabled,
                "triggerPercent": profit.custom_moon_bag.trigger_percent,
                "retainPercent": profit.custom_moon_bag.retain_percent,
            },
        },
    }
    cleaned: dict[str, Any] = clean(document)
    return cleaned
