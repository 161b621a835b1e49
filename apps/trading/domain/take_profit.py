"""Selling parts of a position as it gains, and keeping a moon bag (trading.md 7, decisions 4 and 6).

Levels count from the batch that began at the last DCA; percentages are of all tokens ever bought. Tokens are Decimals
of whole tokens; rounding to base units is the seller's. Presets are resolved when the configuration is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from apps.agents.domain.model import MoonBag, TakeProfit, TakeProfitLevel
from apps.core.errors import Conflict
from apps.core.money import MONEY
from apps.trading.domain.pnl import price_change

DISABLED = "disabled"
EXHAUSTED = "exhausted"
BATCH_EXHAUSTED = "batch_exhausted"
BELOW_NEXT_LEVEL = "below_next_level"
NOTHING_TO_SELL = "nothing_to_sell"
TRIGGERED = "triggered"

_ZERO = Decimal(0)
_CLOSED_BELOW_TOKENS = Decimal("1e-9")


class CorruptProgress(Conflict):
    """A position whose take-profit counters contradict each other: fewer levels hit than its batch began with."""

    def __init__(self) -> None:
        super().__init__("CORRUPT_TAKE_PROFIT", "The position's take-profit progress is inconsistent.")

    def __reduce__(self) -> tuple[type[CorruptProgress], tuple[()]]:
        return CorruptProgress, ()


@dataclass(frozen=True, slots=True)
class TakeProfitView:
    """What take profit looks at. `bought_tokens` never shrinks; `remaining_tokens` None means nothing was sold yet.

    `levels_hit` counts all levels ever sold, `batch_start` those before the last DCA, `total_levels` (None: the list's
    length) where the position is through.
    """

    average_price: Decimal
    bought_tokens: Decimal
    remaining_tokens: Decimal | None = None
    levels_hit: int = 0
    batch_start: int = 0
    total_levels: int | None = None
    moon_bag_active: bool = False
    moon_bag_tokens: Decimal | None = None

    @property
    def held_tokens(self) -> Decimal:
        return self.bought_tokens if self.remaining_tokens is None else self.remaining_tokens


@dataclass(frozen=True, slots=True)
class TakeProfitDecision:
    """What to sell at a price. `moon_bag_tokens` is the bag this very sale sets aside (0 when it sets none aside).

    A decision that is not `allowed` may still name an activation; nothing of it is stored.
    """

    allowed: bool
    code: str
    remaining_tokens: Decimal
    levels: tuple[TakeProfitLevel, ...] = ()
    sell_tokens: Decimal = _ZERO
    activates_moon_bag: bool = False
    moon_bag_tokens: Decimal = _ZERO

    @property
    def closes(self) -> bool:
        """Whether this sale leaves nothing worth keeping open."""
        return self.allowed and self.remaining_tokens < _CLOSED_BELOW_TOKENS and not self.activates_moon_bag


def evaluate(position: TakeProfitView, price: Decimal, rules: TakeProfit) -> TakeProfitDecision:
    """Decide what a price (SOL per token) sells of a position.

    Raises:
        CorruptProgress: the position's counters contradict each other.

    >>> from apps.agents.domain.presets import take_profit_template
    >>> levels, bag = take_profit_template("moderate")
    >>> rules = TakeProfit(True, "moderate", levels, bag, (), bag)
    >>> decision = evaluate(TakeProfitView(Decimal(1), Decimal(1000)), Decimal(5), rules)
    >>> decision.sell_tokens, decision.remaining_tokens, decision.moon_bag_tokens
    (Decimal('900'), Decimal('100'), Decimal('100'))
    """
    held = position.held_tokens
    if not rules.enabled:
        return TakeProfitDecision(False, DISABLED, held)
    total = len(rules.levels) if position.total_levels is None else position.total_levels
    if position.levels_hit >= total:
        return TakeProfitDecision(False, EXHAUSTED, held)
    gain = price_change(position.average_price, price)
    index = position.levels_hit - position.batch_start
    if index < 0:
        raise CorruptProgress
    triggered = triggered_levels(gain, rules.levels, index)
    if not triggered:
        return TakeProfitDecision(False, BATCH_EXHAUSTED if index >= len(rules.levels) else BELOW_NEXT_LEVEL, held)
    final = position.levels_hit + len(triggered) >= total
    activates = activates_moon_bag(rules.moon_bag, gain, final=final, active=position.moon_bag_active)
    bag = moon_bag_tokens(position.bought_tokens, rules.moon_bag) if activates else _ZERO
    return _sale(position, triggered, activates, bag)


def _sale(
    position: TakeProfitView, triggered: tuple[TakeProfitLevel, ...], activates: bool, bag: Decimal
) -> TakeProfitDecision:
    held = position.held_tokens
    reserved = bag if activates else (position.moon_bag_tokens or _ZERO) if position.moon_bag_active else _ZERO
    with localcontext(MONEY):
        sell = min(sell_tokens(position.bought_tokens, triggered), max(_ZERO, held - reserved))
        remaining = held - sell
    if sell <= 0:
        return TakeProfitDecision(False, NOTHING_TO_SELL, held, activates_moon_bag=activates, moon_bag_tokens=bag)
    return TakeProfitDecision(True, TRIGGERED, remaining, triggered, sell, activates, bag)


def triggered_levels(
    gain_percent: Decimal, levels: Sequence[TakeProfitLevel], first: int
) -> tuple[TakeProfitLevel, ...]:
    """Return the consecutive levels from index `first` on that a gain reaches, in list order, up to the first miss."""
    reached = []
    for level in levels[first:]:
        if gain_percent < level.target_percent:
            break
        reached.append(level)
    return tuple(reached)


def activates_moon_bag(bag: MoonBag, gain_percent: Decimal, *, final: bool, active: bool) -> bool:
    """Tell whether a sale sets the moon bag aside: at its gain, or with the last level."""
    return bag.enabled and not active and (gain_percent >= bag.trigger_percent or final)


def sell_percent(levels: Iterable[TakeProfitLevel]) -> Decimal:
    """Return what a number of levels sell together, in percent of all tokens bought."""
    return sum((level.sell_percent for level in levels), _ZERO)


def sell_tokens(bought_tokens: Decimal, levels: Iterable[TakeProfitLevel]) -> Decimal:
    """Return the tokens a number of levels sell together, before what remains and the bag limit it."""
    with localcontext(MONEY):
        return bought_tokens * sell_percent(levels) / 100


def moon_bag_tokens(bought_tokens: Decimal, bag: MoonBag) -> Decimal:
    """Return the tokens a moon bag keeps."""
    with localcontext(MONEY):
        return bought_tokens * bag.retain_percent / 100


@dataclass(frozen=True, slots=True)
class Batch:
    """Where a position's list of levels begins and ends."""

    batch_start: int
    total_levels: int


def batch_after_dca(levels_hit: int, rules: TakeProfit) -> Batch:
    """Return the batch after a DCA: the list starts over, measured from the new average.

    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG
    >>> batch_after_dca(1, DEFAULT_CONFIG.take_profit)
    Batch(batch_start=1, total_levels=5)
    """
    return Batch(levels_hit, levels_hit + len(rules.levels))
