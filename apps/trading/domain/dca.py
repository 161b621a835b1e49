"""When a fallen position is added to, with how much, and its average after (trading.md 8).

The balance, purchase and impact limits of decision 7 are applied by `affordable` before a quote is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext

from apps.agents.domain.model import Dca, DcaLevel, PurchaseLimits
from apps.core.errors import Invalid
from apps.core.money import MONEY
from apps.trading.domain.pnl import price_change

DISABLED = "disabled"
ONLY_MOON_BAG = "only_moon_bag"
MAX_COUNT = "max_count"
COOLDOWN = "cooldown"
NO_LEVELS = "no_levels"
LEVELS_EXHAUSTED = "levels_exhausted"
NOT_REACHED = "not_reached"
TRIGGERED = "triggered"

_BAG_TOLERANCE_TOKENS = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class DcaView:
    """What DCA looks at: trigger average (SOL per token), tokens, the moon bag, past buys and their age in seconds.

    `remaining_tokens` None means nothing was sold yet; `seconds_since_last` None that nothing was added yet.
    """

    average_price: Decimal
    bought_tokens: Decimal
    remaining_tokens: Decimal | None = None
    moon_bag_active: bool = False
    moon_bag_tokens: Decimal | None = None
    count: int = 0
    seconds_since_last: Decimal | None = None

    @property
    def held_tokens(self) -> Decimal:
        return self.bought_tokens if self.remaining_tokens is None else self.remaining_tokens


@dataclass(frozen=True, slots=True)
class DcaDecision:
    """Whether to buy more. `buy_sol` is a share of the position's present value, before limits."""

    allowed: bool
    code: str
    level: DcaLevel | None = None
    buy_sol: Decimal | None = None
    cooldown_remaining_seconds: int | None = None


def evaluate(position: DcaView, price: Decimal, rules: Dca) -> DcaDecision:
    """Decide whether a price (SOL per token) adds to a position; the first check that fails is the code.

    >>> from apps.agents.domain.presets import dca_levels
    >>> rules = Dca(True, "moderate", dca_levels("moderate"), (), Decimal(3), Decimal(30))
    >>> decision = evaluate(DcaView(Decimal("0.001"), Decimal(1000)), Decimal("0.0008"), rules)
    >>> decision.code, decision.buy_sol
    ('triggered', Decimal('0.6'))
    """
    if not rules.enabled:
        return DcaDecision(False, DISABLED)
    if _only_moon_bag(position):
        return DcaDecision(False, ONLY_MOON_BAG)
    if position.count >= rules.max_count:
        return DcaDecision(False, MAX_COUNT)
    since = position.seconds_since_last
    if since is not None and since < rules.cooldown_seconds:
        wait = int((rules.cooldown_seconds - since).to_integral_value(rounding=ROUND_CEILING))
        return DcaDecision(False, COOLDOWN, cooldown_remaining_seconds=wait)
    if not rules.levels:
        return DcaDecision(False, NO_LEVELS)
    if position.count >= len(rules.levels):
        return DcaDecision(False, LEVELS_EXHAUSTED)
    level = rules.levels[position.count]
    if position.average_price <= 0 or price_change(position.average_price, price) > level.drop_percent:
        return DcaDecision(False, NOT_REACHED)
    with localcontext(MONEY):
        buy = price * position.held_tokens * level.buy_percent / 100
        return DcaDecision(True, TRIGGERED, level, buy.normalize())


def affordable(buy_sol: Decimal, balance_sol: Decimal, limits: PurchaseLimits) -> Decimal | None:
    """Return what a DCA buy may spend: clipped to the largest buy; None when the wallet cannot bear it.

    It cannot when it holds less than the rule wants to spend, or would be left with less than the minimum balance.

    >>> limits = PurchaseLimits(Decimal("0.5"), Decimal(2), None)
    >>> [affordable(Decimal(wanted), Decimal("3.5"), limits) for wanted in (1, 3, 4)]
    [Decimal('1'), Decimal('2'), None]
    >>> affordable(Decimal(1), Decimal("1.4"), limits) is None
    True
    """
    if buy_sol > balance_sol:
        return None
    size = min(buy_sol, limits.max_purchase_per_token_sol)
    with localcontext(MONEY):
        left = balance_sol - size
    return size if size > 0 and left >= limits.minimum_agent_balance_sol else None


@dataclass(frozen=True, slots=True)
class NewAverage:
    """Totals after a buy: all SOL ever invested (fees in), all tokens ever bought, and their quotient."""

    invested_sol: Decimal
    bought_tokens: Decimal
    average_price: Decimal


def new_average(
    invested_sol: Decimal, bought_tokens: Decimal, debit_sol: Decimal, filled_tokens: Decimal
) -> NewAverage:
    """Return the totals after a DCA fill that cost `debit_sol`, fees in.

    Raises:
        Invalid: INVALID_PRICE when the average would not be above zero.

    >>> str(new_average(Decimal(1), Decimal(1000), Decimal("0.6"), Decimal(750)).average_price)[:13]
    '0.00091428571'
    """
    with localcontext(MONEY):
        invested = invested_sol + debit_sol
        bought = bought_tokens + filled_tokens
        if invested <= 0 or bought <= 0:
            raise Invalid("INVALID_PRICE", "The position would have no average price.")
        return NewAverage(invested, bought, invested / bought)


def _only_moon_bag(position: DcaView) -> bool:
    if not position.moon_bag_active or position.moon_bag_tokens is None:
        return False
    return abs(position.held_tokens - position.moon_bag_tokens) < _BAG_TOLERANCE_TOKENS
