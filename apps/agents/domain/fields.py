"""The one table of the trading configuration's fields, in the order of the form.

Validation, the admin form and the OpenAPI schema are generated from it. Rules between fields are in `validation`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.agents.domain.field_spec import Choice, FieldSpec, Kind, Section


def _choices(*pairs: tuple[str, str]) -> tuple[Choice, ...]:
    return tuple(Choice(value, label) for value, label in pairs)


def _number(path: str, label: str, help_text: str, unit: str, default: Any, **more: Any) -> FieldSpec:
    return FieldSpec(path, Kind.NUMBER, label, help_text, unit, default, **_exact(more))


def _integer(path: str, label: str, help_text: str, unit: str, default: Any, **more: Any) -> FieldSpec:
    return FieldSpec(path, Kind.INTEGER, label, help_text, unit, default, **_exact(more))


def _exact(limits: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, bool) else Decimal(value) for name, value in limits.items()}


def _switch(path: str, label: str, help_text: str, default: bool) -> FieldSpec:
    return FieldSpec(path, Kind.BOOLEAN, label, help_text, default=default)


_PRESETS = _choices(
    ("aggressive", "Aggressive"), ("moderate", "Moderate"), ("conservative", "Conservative"), ("custom", "Custom")
)

SECTIONS: tuple[Section, ...] = (
    Section("purchaseLimits", "Purchase limits", "How much may be spent, and how much must stay in the wallet."),
    Section("signals", "Signals", "Which signals the agent trades. All conditions must hold."),
    Section("stopLoss", "Stop loss", "Sells everything when the price falls to the stop. The stop only ever rises."),
    Section("positionCalculator", "Position size", "The wallet's SOL balance chooses a category and its size range."),
    Section("staleTrade", "Stale trades", "Closes positions that are old and moved little."),
    Section("dca", "Cost averaging (DCA)", "Buys more of a position that fell, up to a number of times."),
    Section("takeProfit", "Take profit", "Sells parts of a position as it gains, and may keep a moon bag."),
)

FIELDS: tuple[FieldSpec, ...] = (
    _number(
        "purchaseLimits.minimumAgentBalance",
        "Minimum balance",
        "SOL that must be left in the wallet after every buy; it also pays network fees.",
        "SOL",
        0.5,
        minimum="0.1",
    ),
    _number(
        "purchaseLimits.maxPurchasePerToken", "Largest buy", "Most SOL spent in one buy.", "SOL", 2, exclusive_minimum=0
    ),
    _number(
        "purchaseLimits.maxPriceImpact",
        "Largest price impact",
        "A buy that would move the price against itself by this fraction or more is retried smaller, then refused. "
        "0.05 is 5 %. Empty switches the check off; 0 refuses every buy.",
        "fraction",
        0.05,
        minimum=0,
        maximum=1,
        optional=True,
        nullable=True,
    ),
    _integer(
        "signals.minScore", "Lowest score", "Signals weaker than this are refused.", "1 to 5", 1, minimum=1, maximum=5
    ),
    FieldSpec(
        "signals.allowedSignalTypes",
        Kind.TEXT_LIST,
        "Signal types",
        "Only these types are traded, spelled exactly so. Empty means any type.",
        default=(),
        min_length=1,
        max_length=50,
    ),
    FieldSpec(
        "signals.tokenFilterMode",
        Kind.CHOICE,
        "Token filter",
        "Whether the token list is ignored, refused or the only thing traded.",
        default="none",
        choices=_choices(
            ("none", "No filter"), ("blacklist", "Never these tokens"), ("whitelist", "Only these tokens")
        ),
    ),
    FieldSpec(
        "signals.tokenList",
        Kind.TEXT_LIST,
        "Token list",
        "Mint addresses, compared exactly. An empty list as the only tokens traded blocks everything.",
        default=(),
        min_length=32,
        max_length=44,
    ),
    _number(
        "signals.marketCapMin",
        "Market cap from",
        "Tokens worth less are refused. Empty means no bound.",
        "USD",
        None,
        exclusive_minimum=0,
        optional=True,
    ),
    _number(
        "signals.marketCapMax",
        "Market cap to",
        "Tokens worth more are refused. Empty means no bound.",
        "USD",
        None,
        exclusive_minimum=0,
        optional=True,
    ),
    _number(
        "signals.liquidityMin",
        "Liquidity from",
        "Tokens with less in their pools are refused. Empty means no bound.",
        "USD",
        None,
        exclusive_minimum=0,
        optional=True,
    ),
    _number(
        "signals.liquidityMax",
        "Liquidity to",
        "Tokens with more in their pools are refused. Empty means no bound.",
        "USD",
        None,
        exclusive_minimum=0,
        optional=True,
    ),
    _integer(
        "signals.holderCountMin",
        "Holders from",
        "Tokens with fewer holders are refused. Empty means no bound.",
        "holders",
        None,
        minimum=0,
        optional=True,
    ),
    _integer(
        "signals.holderCountMax",
        "Holders to",
        "Tokens with more holders are refused. Empty means no bound.",
        "holders",
        None,
        minimum=0,
        optional=True,
    ),
    _switch("stopLoss.enabled", "Stop loss on", "Off means positions are never sold by a falling price.", True),
    _number(
        "stopLoss.defaultPercentage",
        "Starting stop",
        "Where the stop stands until the position gains, measured from its average price. -32 sells at 32 % below.",
        "%",
        -32,
        minimum=-100,
        maximum=0,
    ),
    FieldSpec(
        "stopLoss.mode",
        Kind.CHOICE,
        "Trailing",
        "How the stop follows the peak: 10 points below it, along a curve, by zones of gain, or by your own levels.",
        default="fixed",
        optional=True,
        choices=_choices(
            ("fixed", "Fixed distance"), ("exponential", "Exponential"), ("zones", "Zones"), ("custom", "Custom levels")
        ),
    ),
    FieldSpec(
        "stopLoss.trailingLevels",
        Kind.LEVEL_LIST,
        "Trailing levels",
        "For custom trailing: at a gain, where the stop stands. Highest gain first.",
        default=(),
        items=(
            _number("change", "Gain", "Peak gain over the average price.", "%", None, exclusive_minimum=0),
            _number(
                "stopLoss",
                "Stop at",
                "Where the stop then stands, over the average price.",
                "%",
                None,
                exclusive_minimum=0,
                maximum=1000,
            ),
        ),
    ),
    _number(
        "positionCalculator.solBalanceThresholds.minimum",
        "Smallest balance",
        "Below this balance nothing is bought.",
        "SOL",
        0.2,
        exclusive_minimum=0,
    ),
    _number(
        "positionCalculator.solBalanceThresholds.medium",
        "Medium from",
        "From this balance on, medium sizes are used.",
        "SOL",
        5,
        exclusive_minimum=0,
    ),
    _number(
        "positionCalculator.solBalanceThresholds.large",
        "Large from",
        "From this balance on, large sizes are used.",
        "SOL",
        10,
        exclusive_minimum=0,
    ),
    _number("positionCalculator.positionSizes.small.min", "Small, from", "Smallest small buy.", "SOL", 0.1, minimum=0),
    _number("positionCalculator.positionSizes.small.max", "Small, to", "Largest small buy.", "SOL", 0.1, minimum=0),
    _number(
        "positionCalculator.positionSizes.medium.min", "Medium, from", "Smallest medium buy.", "SOL", 0.5, minimum=0
    ),
    _number("positionCalculator.positionSizes.medium.max", "Medium, to", "Largest medium buy.", "SOL", 1, minimum=0),
    _number("positionCalculator.positionSizes.large.min", "Large, from", "Smallest large buy.", "SOL", 1.5, minimum=0),
    _number("positionCalculator.positionSizes.large.max", "Large, to", "Largest large buy.", "SOL", 2, minimum=0),
    _switch(
        "positionCalculator.randomization.enabled",
        "Random size",
        "On draws the size within its range; off always takes the upper end.",
        True,
    ),
    _switch("staleTrade.enabled", "Close stale trades", "Off leaves old positions alone.", True),
    _number(
        "staleTrade.minHoldTimeMinutes",
        "Age from",
        "Only positions at least this old are closed.",
        "minutes",
        60,
        minimum=1,
    ),
    _number(
        "staleTrade.minProfitPercent",
        "Profit from",
        "Only positions gaining at least this are closed; may be negative.",
        "%",
        1,
    ),
    _number(
        "staleTrade.maxProfitPercent",
        "Profit to",
        "Only positions gaining at most this are closed; may be negative.",
        "%",
        10,
    ),
    _switch("dca.enabled", "Cost averaging on", "On buys more when a position falls to a level.", False),
    FieldSpec(
        "dca.mode",
        Kind.CHOICE,
        "Levels",
        "A ready-made set of levels, or your own.",
        default="moderate",
        optional=True,
        choices=_PRESETS,
    ),
    FieldSpec(
        "dca.levels",
        Kind.LEVEL_LIST,
        "Own levels",
        "For custom levels: smallest drop first.",
        default=(),
        items=(
            _number("dropPercent", "Drop", "Price change from the average price.", "%", None, minimum=-99, maximum=-1),
            _number(
                "buyPercent", "Buy", "Share of the position's present value to buy.", "%", None, minimum=1, maximum=500
            ),
        ),
    ),
    _number("dca.maxDCACount", "Most buys", "How often a position may be added to.", "buys", 3, minimum=1, maximum=10),
    _number(
        "dca.cooldownSeconds",
        "Pause between buys",
        "Shortest time between two buys of one position.",
        "seconds",
        30,
        minimum=10,
        maximum=3600,
    ),
    _switch("takeProfit.enabled", "Take profit on", "On sells parts of a position as it gains.", False),
    FieldSpec(
        "takeProfit.mode",
        Kind.CHOICE,
        "Levels",
        "A ready-made set of levels with its moon bag, or your own levels and bag below.",
        default="moderate",
        optional=True,
        choices=_PRESETS,
    ),
    FieldSpec(
        "takeProfit.levels",
        Kind.LEVEL_LIST,
        "Own levels",
        "For custom levels: smallest gain first.",
        default=(
            {"targetPercent": 50, "sellPercent": 25},
            {"targetPercent": 150, "sellPercent": 25},
            {"targetPercent": 300, "sellPercent": 25},
            {"targetPercent": 400, "sellPercent": 15},
        ),
        max_items=10,
        items=(
            _number("targetPercent", "Gain", "Gain over the average price.", "%", None, minimum=1, maximum=10000),
            _number("sellPercent", "Sell", "Share of all tokens ever bought.", "%", None, minimum=1, maximum=100),
        ),
    ),
    _switch("takeProfit.moonBag.enabled", "Moon bag on", "On keeps a last part through every take profit.", True),
    _number(
        "takeProfit.moonBag.triggerPercent",
        "Moon bag at",
        "From this gain on the bag is set aside.",
        "%",
        300,
        minimum=1,
        maximum=10000,
    ),
    _number(
        "takeProfit.moonBag.retainPercent",
        "Moon bag size",
        "Share of all tokens ever bought that is kept.",
        "%",
        10,
        minimum=1,
        maximum=50,
    ),
)
