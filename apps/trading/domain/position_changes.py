"""What each fill makes of a position: opened, added to, sold in part, sold out (trading.md 5, 7, 8; decision 5).

Integers of token base units and lamports throughout, so that the costs of all sales add up to what was invested.
Bookings and the golden vectors both go through here; who decides that there is a fill is not this module's matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from apps.agents.domain.model import TakeProfit
from apps.core.errors import Invalid
from apps.core.money import from_base_units, to_base_units
from apps.trading.domain import take_profit
from apps.trading.domain.cost_basis import Holding, trigger_average
from apps.trading.domain.dca import DcaView
from apps.trading.domain.fills import Fill
from apps.trading.domain.take_profit import TakeProfitDecision, TakeProfitView

#: More than this part of all ever bought is no dust, however few base units it is.
_DUST_SHARE = 10_000


# Not frozen: the watch makes thousands for a batch of prices, and freezing doubles what making one takes.
@dataclass(slots=True)
class Books:
    """What the books hold of one position; nobody changes them, each fill makes new ones.

    `average_price` is the trigger average, SOL per token to 24 places. `bought_units` never shrinks.
    `moon_bag_units` None: no bag was set aside yet; `total_levels` None: no DCA yet.
    """

    token_decimals: int
    bought_units: int
    remaining_units: int
    invested_lamports: int
    remaining_cost_lamports: int
    average_price: Decimal
    realised_lamports: int = 0
    proceeds_lamports: int = 0
    dca_count: int = 0
    levels_hit: int = 0
    batch_start: int = 0
    total_levels: int | None = None
    moon_bag_active: bool = False
    moon_bag_units: int | None = None

    def tokens(self, units: int) -> Decimal:
        """Return base units of this token as whole tokens."""
        return from_base_units(units, self.token_decimals)

    @property
    def moon_bag_tokens(self) -> Decimal | None:
        return None if self.moon_bag_units is None else self.tokens(self.moon_bag_units)

    def for_take_profit(self) -> TakeProfitView:
        """Return what take profit looks at."""
        return TakeProfitView(
            average_price=self.average_price,
            bought_tokens=self.tokens(self.bought_units),
            remaining_tokens=self.tokens(self.remaining_units),
            levels_hit=self.levels_hit,
            batch_start=self.batch_start,
            total_levels=self.total_levels,
            moon_bag_active=self.moon_bag_active,
            moon_bag_tokens=self.moon_bag_tokens,
        )

    def for_dca(self, seconds_since_last: Decimal | None) -> DcaView:
        """Return what DCA looks at; `seconds_since_last` is None before the first DCA."""
        return DcaView(
            average_price=self.average_price,
            bought_tokens=self.tokens(self.bought_units),
            remaining_tokens=self.tokens(self.remaining_units),
            moon_bag_active=self.moon_bag_active,
            moon_bag_tokens=self.moon_bag_tokens,
            count=self.dca_count,
            seconds_since_last=seconds_since_last,
        )


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale's outcome: the books after it, what the sold part had cost and what it earned (lamports)."""

    books: Books
    cost_lamports: int
    profit_lamports: int


def opened(fill: Fill) -> Books:
    """Return the books of a position just bought."""
    return Books(
        token_decimals=fill.token_decimals,
        bought_units=fill.token_base_units,
        remaining_units=fill.token_base_units,
        invested_lamports=fill.debit_lamports,
        remaining_cost_lamports=fill.debit_lamports,
        average_price=trigger_average(fill.debit_lamports, fill.token_base_units, fill.token_decimals),
    )


def added(books: Books, fill: Fill, rules: TakeProfit) -> Books:
    """Return the books after a DCA buy: cost and average grow, the take-profit list starts over.

    >>> from apps.agents.domain.trading_config import DEFAULT_CONFIG
    >>> books = Books(0, 1000, 1000, 10**9, 10**9, Decimal("0.001"))
    >>> fill = Fill("buy", "T", 0, 750, 600_000_000, 0, 0, 600_000_000, 0, Decimal("0.0008"), Decimal(0), 0, "", None)
    >>> after = added(books, fill, DEFAULT_CONFIG.take_profit)
    >>> after.average_price, after.remaining_units, after.batch_start, after.total_levels
    (Decimal('0.000914285714285714285714'), 1750, 0, 4)
    """
    bought = books.bought_units + fill.token_base_units
    invested = books.invested_lamports + fill.debit_lamports
    batch = take_profit.batch_after_dca(books.levels_hit, rules)
    return replace(
        books,
        bought_units=bought,
        remaining_units=books.remaining_units + fill.token_base_units,
        invested_lamports=invested,
        remaining_cost_lamports=books.remaining_cost_lamports + fill.debit_lamports,
        average_price=trigger_average(invested, bought, books.token_decimals),
        dca_count=books.dca_count + 1,
        batch_start=batch.batch_start,
        total_levels=batch.total_levels,
    )


def sold(books: Books, fill: Fill) -> Sold:
    """Return the outcome of selling the fill's tokens; the sold share of the cost goes with them.

    Raises:
        ValueError: the fill sells more than remains, or nothing.
    """
    result = Holding(books.remaining_units, books.remaining_cost_lamports).sold(
        fill.token_base_units, fill.net_lamports
    )
    after = replace(
        books,
        remaining_units=result.holding.base_units,
        remaining_cost_lamports=result.holding.cost_lamports,
        realised_lamports=books.realised_lamports + result.profit_lamports,
        proceeds_lamports=books.proceeds_lamports + fill.net_lamports,
    )
    return Sold(after, result.cost_lamports, result.profit_lamports)


def took_profit(books: Books, fill: Fill, decision: TakeProfitDecision) -> Sold:
    """Return the outcome of a take-profit sale: its levels count as hit, a bag it sets aside is kept from then on.

    The bag is kept in whole base units, rounded up: a sale never leaves less than was promised.
    """
    return progressed(books, fill, levels=len(decision.levels), bag_units=bag_to_set_aside(books, decision))


def progressed(books: Books, fill: Fill, *, levels: int, bag_units: int | None) -> Sold:
    """Return the outcome of a sale that `levels` more levels of take profit asked for, setting a bag aside or not."""
    result = sold(books, fill)
    after = replace(result.books, levels_hit=books.levels_hit + levels)
    if bag_units is not None:
        after = replace(after, moon_bag_active=True, moon_bag_units=bag_units)
    return replace(result, books=after)


def bag_to_set_aside(books: Books, decision: TakeProfitDecision) -> int | None:
    """Return the base units a decision sets aside, None when it begins no bag."""
    return _bag_units(books, decision) if decision.activates_moon_bag else None


def units_to_sell(books: Books, decision: TakeProfitDecision) -> int:
    """Return the base units a take-profit decision sells, rounded down, never touching a bag.

    What earlier levels left by rounding down goes with the sale that would leave nothing else: so no dust keeps a
    position open, or makes it look like more than its bag. Dust is at most a base unit per level, and tiny.

    Raises:
        Invalid: INVALID_SELL_AMOUNT, the decision sells nothing or more than remains: it is not about these books.

    >>> from apps.trading.domain.take_profit import TRIGGERED, TakeProfitDecision
    >>> books = Books(0, 100_005, 100_005, 10**9, 10**9, Decimal("0.001"))
    >>> units_to_sell(books, TakeProfitDecision(True, TRIGGERED, Decimal("75003.75"), (), Decimal("25001.25")))
    25001
    """
    if not 0 < decision.sell_tokens <= books.tokens(books.remaining_units):
        raise Invalid("INVALID_SELL_AMOUNT", "A sale is of more than nothing and at most of what remains.")
    units = to_base_units(decision.sell_tokens, books.token_decimals)
    available = max(0, books.remaining_units - _kept_units(books, decision))
    dust = min(books.levels_hit + len(decision.levels), books.bought_units // _DUST_SHARE)
    return available if available - units <= dust else units


def _kept_units(books: Books, decision: TakeProfitDecision) -> int:
    if decision.activates_moon_bag:
        return _bag_units(books, decision)
    return books.moon_bag_units or 0 if books.moon_bag_active else 0


def _bag_units(books: Books, decision: TakeProfitDecision) -> int:
    return to_base_units(decision.moon_bag_tokens, books.token_decimals, rounding=ROUND_CEILING)
