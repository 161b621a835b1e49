"""The trading configuration as the engine reads it: typed, exact, immutable.

Names carry units: `_sol`, `_usd`, `_percent` (0-100 scale), `_fraction` (0-1), `_seconds`, `_minutes`.
`trading_config.load` builds it from a stored document; nothing here validates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class TokenFilterMode(StrEnum):
    """How `token_list` is read."""

    NONE = "none"
    BLACKLIST = "blacklist"
    WHITELIST = "whitelist"


class StopLossMode(StrEnum):
    """Which formula raises the stop behind the peak."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    ZONES = "zones"
    CUSTOM = "custom"


class PresetMode(StrEnum):
    """Which ready-made set of levels DCA or take profit uses; `custom` uses the document's own."""

    AGGRESSIVE = "aggressive"
    MODERATE = "moderate"
    CONSERVATIVE = "conservative"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class PurchaseLimits:
    minimum_agent_balance_sol: Decimal
    max_purchase_per_token_sol: Decimal
    max_price_impact_fraction: Decimal | None


@dataclass(frozen=True, slots=True)
class SignalRules:
    """Which signals an agent wants. `bounded` tells whether token metrics are needed to decide."""

    min_score: int = 1
    allowed_signal_types: tuple[str, ...] = ()
    token_filter_mode: str = TokenFilterMode.NONE
    token_list: tuple[str, ...] = ()
    market_cap_min_usd: Decimal | None = None
    market_cap_max_usd: Decimal | None = None
    liquidity_min_usd: Decimal | None = None
    liquidity_max_usd: Decimal | None = None
    holder_count_min: int | None = None
    holder_count_max: int | None = None
    bounded: bool = field(init=False, repr=False, compare=False)
    tokens: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bounds = (
            self.market_cap_min_usd,
            self.market_cap_max_usd,
            self.liquidity_min_usd,
            self.liquidity_max_usd,
            self.holder_count_min,
            self.holder_count_max,
        )
        object.__setattr__(self, "bounded", any(bound is not None for bound in bounds))
        object.__setattr__(self, "tokens", frozenset(self.token_list))


@dataclass(frozen=True, slots=True)
class TrailingLevel:
    """Once the peak gain reaches `change_percent`, the stop stands at `stop_percent` over the trigger average."""

    change_percent: Decimal
    stop_percent: Decimal


@dataclass(frozen=True, slots=True)
class StopLoss:
    enabled: bool
    default_percent: Decimal
    mode: str
    trailing_levels: tuple[TrailingLevel, ...] = ()


@dataclass(frozen=True, slots=True)
class SizeRange:
    minimum_sol: Decimal
    maximum_sol: Decimal


@dataclass(frozen=True, slots=True)
class PositionCalculator:
    """Balance thresholds choose a category, the category's range the size of a first buy."""

    minimum_balance_sol: Decimal
    medium_balance_sol: Decimal
    large_balance_sol: Decimal
    small: SizeRange
    medium: SizeRange
    large: SizeRange
    randomized: bool


@dataclass(frozen=True, slots=True)
class StaleTrade:
    enabled: bool
    min_hold_minutes: Decimal
    min_profit_percent: Decimal
    max_profit_percent: Decimal


@dataclass(frozen=True, slots=True)
class DcaLevel:
    """At `drop_percent` (negative) from the trigger average, buy `buy_percent` of the position's value."""

    drop_percent: Decimal
    buy_percent: Decimal


@dataclass(frozen=True, slots=True)
class Dca:
    """`levels` is what the engine acts on; `custom_levels` what the document holds for the custom mode."""

    enabled: bool
    mode: str
    levels: tuple[DcaLevel, ...]
    custom_levels: tuple[DcaLevel, ...]
    max_count: Decimal
    cooldown_seconds: Decimal


@dataclass(frozen=True, slots=True)
class TakeProfitLevel:
    """At a gain of `target_percent` sell `sell_percent` of all tokens ever bought."""

    target_percent: Decimal
    sell_percent: Decimal


@dataclass(frozen=True, slots=True)
class MoonBag:
    """Part of the position kept through every take profit once the gain reaches `trigger_percent`."""

    enabled: bool
    trigger_percent: Decimal
    retain_percent: Decimal


@dataclass(frozen=True, slots=True)
class TakeProfit:
    """`levels` and `moon_bag` are what the engine acts on; the `custom_` pair is what the document holds."""

    enabled: bool
    mode: str
    levels: tuple[TakeProfitLevel, ...]
    moon_bag: MoonBag
    custom_levels: tuple[TakeProfitLevel, ...]
    custom_moon_bag: MoonBag


@dataclass(frozen=True, slots=True)
class TradingConfig:
    """One agent's rules, presets resolved. Shared freely between threads and agents."""

    purchase_limits: PurchaseLimits
    signals: SignalRules
    stop_loss: StopLoss
    position_calculator: PositionCalculator
    stale_trade: StaleTrade
    dca: Dca
    take_profit: TakeProfit
