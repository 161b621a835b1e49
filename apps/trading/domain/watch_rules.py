"""What one price does to one open position: raises its stop, closes it, sells a part, adds to it. The order is here.

Stop loss, take profit, stale close, DCA: what fires ends the position's tick. A doubted price may only fire the stop,
for the sell quote to confirm; it raises nothing. A stop is kept, and judged, in percent to eight places.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.agents.domain.model import StopLoss, TradingConfig
from apps.core.money import MONEY, quantize_percent
from apps.trading.domain import dca, stale, stop_loss, take_profit
from apps.trading.domain.dca import DcaDecision
from apps.trading.domain.position_changes import Books
from apps.trading.domain.take_profit import TakeProfitDecision

STOP_LOSS = "stop_loss"
TAKE_PROFIT = "take_profit"
STALE_TRADE = "stale_trade"
DCA = "dca"

_SMALLEST_AVERAGE = Decimal("1e-15")
_HUNDRED = Decimal(100)
_SECONDS_PER_MINUTE = Decimal(60)


# Not frozen, as `Books` is not: a batch of prices makes thousands, and freezing doubles what making one takes.
@dataclass(slots=True)
class Watched:
    """An open position as the watch sees it; nobody changes one.

    `config` None: it no longer validates, and the stop it had stands.
    `peak_price` (SOL per token) is the highest price seen, the judged one included, where `stop_percent` does not tell
    of it yet; None when it does.
    `closing` tells that a certain close is open, `adjusting` that a sale in part or a DCA is.
    `may_sell` and `may_add` are what the trading states, and for DCA the automation, allow besides the stop.
    """

    id: UUID
    agent_id: UUID
    mint: str
    books: Books
    stop_percent: Decimal | None
    generation: int
    opened_at: datetime
    config: TradingConfig | None
    peak_price: Decimal | None = None
    last_dca_at: datetime | None = None
    closing: bool = False
    adjusting: bool = False
    may_sell: bool = True
    may_add: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a stop stands: percent from the trigger average, and the exact price (SOL per token) that is."""

    percent: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a price did. `reason` None: nothing fired. `stop` None: there is none, or nothing was judged."""

    reason: str | None = None
    stop: Stop | None = None
    take_profit: TakeProfitDecision | None = None
    dca: DcaDecision | None = None

    @property
    def closes(self) -> bool:
        """Whether everything is to be sold; take profit and DCA change the position and leave it open."""
        return self.reason in (STOP_LOSS, STALE_TRADE)


NOTHING = Verdict()


def judge(position: Watched, price: Decimal, *, now: datetime) -> Verdict:
    """Judge a trusted price (SOL per token) against a position; the first rule that fires is the verdict."""
    if position.closing:
        return NOTHING
    stop = standing_stop(position)
    if stop is not None and price <= stop.price:
        return Verdict(STOP_LOSS, stop)
    config = position.config
    if config is None:
        return Verdict(stop=stop)
    if position.may_sell and not position.adjusting:
        profit = take_profit.evaluate(position.books.for_take_profit(), price, config.take_profit)
        if profit.allowed:
            return Verdict(TAKE_PROFIT, stop, take_profit=profit)
    held_minutes = minutes_between(position.opened_at, now)
    if stale.is_stale(held_minutes, position.books.average_price, price, config.stale_trade):
        return Verdict(STALE_TRADE, stop)
    if position.may_add and not position.adjusting:
        since = None if position.last_dca_at is None else seconds_between(position.last_dca_at, now)
        more = dca.evaluate(position.books.for_dca(since), price, config.dca)
        if more.allowed:
            return Verdict(DCA, stop, dca=more)
    return Verdict(stop=stop)


def judge_doubted(position: Watched, price: Decimal) -> Verdict:
    """Judge a price nobody vouches for: it may fire the stop as it stands, to be confirmed, and does nothing else."""
    if position.closing:
        return NOTHING
    stop = standing_stop(position)
    return Verdict(STOP_LOSS, stop) if stop is not None and price <= stop.price else NOTHING


def standing_stop(position: Watched) -> Stop | None:
    """Return where the stop of a position stands; None when it has none.

    The rules of an agent whose configuration broke cannot be read: the stop it had stands.
    """
    average = position.books.average_price
    if average < _SMALLEST_AVERAGE:
        return None
    percent = position.stop_percent
    if position.config is not None:
        if not position.config.stop_loss.enabled:
            return None
        percent = raised(percent, average, position.peak_price, position.config.stop_loss)
    return None if percent is None else Stop(percent, stop_loss.level(average, percent))


def raised(percent: Decimal | None, average_price: Decimal, peak_price: Decimal | None, rules: StopLoss) -> Decimal:
    """Return where a stop stands that stood at `percent` (None: nowhere yet) once a peak was seen. It only rises.

    >>> rules = StopLoss(True, Decimal(-32), "fixed")
    >>> raised(Decimal(-32), Decimal(1), Decimal("1.5"), rules), raised(Decimal(50), Decimal(1), Decimal("1.5"), rules)
    (Decimal('40.00000000'), Decimal('50'))
    """
    target = rules.default_percent
    if peak_price is not None and peak_price > average_price:
        change = MONEY.divide(MONEY.multiply(peak_price - average_price, _HUNDRED), average_price)
        target = stop_loss.stop_percent(change, rules)
    target = quantize_percent(target)
    return target if percent is None else max(target, percent)


def seconds_between(earlier: datetime, later: datetime) -> Decimal:
    """Return the exact seconds from one moment to another."""
    age: timedelta = later - earlier
    return Decimal(age.days * 86_400 + age.seconds) + Decimal(age.microseconds).scaleb(-6)


def minutes_between(earlier: datetime, later: datetime) -> Decimal:
    """Return the minutes from one moment to another, to 60 digits."""
    return MONEY.divide(seconds_between(earlier, later), _SECONDS_PER_MINUTE)
