"""Where a position's stop stands for a gain of its peak (trading.md 6, decisions 3, 9, 12).

A stop is a percentage from the trigger average. It follows the peak by one of four formulas and, in `watch_rules`, only
ever rises; a DCA alone starts it over. Exact decimals decide; powers of e, which no decimal is, have 34 digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from apps.agents.domain.model import StopLoss, StopLossMode
from apps.core.money import MONEY

_ZERO = Decimal(0)
_ONE = Decimal(1)
_HUNDRED = Decimal(100)

_FIXED_FROM = Decimal(20)
_FIXED_DISTANCE = Decimal(10)

_CURVE_FROM = Decimal(20)
_CURVE_RATE = Decimal("0.032")
_DIP_DEPTH, _DIP_CENTRE, _DIP_WIDTH = Decimal("0.12"), Decimal(55), Decimal(8)
_BOOST_FROM, _BOOST_HEIGHT, _BOOST_WIDTH = Decimal(65), Decimal("0.30"), Decimal(80)
_MOST_KEPT = Decimal("0.90")
#: From here on the curve is at its top and stays there, without anything to compute.
_TOP_FROM = Decimal(75)
#: Digits of the powers of e. A stop is kept to 8 places: 26 more than that cost half as much as 60 do.
_CURVE = MONEY.copy()
_CURVE.prec = 34

_ZONES_FROM = Decimal(20)
_ZONES = ((Decimal(25), Decimal("0.50")), (Decimal(50), Decimal("0.60")), (Decimal(100), Decimal("0.70")))
_HIGH_ZONE_TO, _HIGH_ZONE, _TOP_ZONE = Decimal(200), Decimal("0.80"), Decimal("0.85")


def stop_percent(change_percent: Decimal, rules: StopLoss) -> Decimal:
    """Return the stop, in percent from the trigger average, for a peak gain in percent.

    A gain the formula gives nothing above zero for, a loss, and an unknown mode all keep the default stop.

    >>> rules = StopLoss(True, Decimal(-32), "fixed")
    >>> stop_percent(Decimal("19.99"), rules), stop_percent(Decimal("20.01"), rules)
    (Decimal('-32'), Decimal('10.01'))
    >>> round(stop_percent(Decimal(50), StopLoss(True, Decimal(-32), "exponential")), 4)
    Decimal('30.8099')
    """
    if change_percent < 0:
        return rules.default_percent
    with localcontext(MONEY):
        stop = _formula(change_percent, rules)
    return rules.default_percent if stop is None or stop <= 0 else stop


def _formula(change: Decimal, rules: StopLoss) -> Decimal | None:
    if rules.mode == StopLossMode.FIXED:
        return change - _FIXED_DISTANCE if change >= _FIXED_FROM else None
    if rules.mode == StopLossMode.EXPONENTIAL:
        return change * _kept_share(change - _CURVE_FROM) if change > _CURVE_FROM else None
    if rules.mode == StopLossMode.ZONES:
        return change * _zone_share(change) if change >= _ZONES_FROM else None
    if rules.mode == StopLossMode.CUSTOM:
        return _custom(change, rules)
    return None


def _kept_share(x: Decimal) -> Decimal:
    """k = 1 - e^(-0.032 x) - 0.12 e^(-((x-55)/8)^2 / 2), within 0 and 0.90; past x = 65 up to 0.30 more."""
    if x >= _TOP_FROM:
        return _MOST_KEPT
    with localcontext(_CURVE):
        from_dip = (x - _DIP_CENTRE) / _DIP_WIDTH
        dip = _DIP_DEPTH * (from_dip * from_dip / -2).exp()
        kept = min(max(1 - (-x * _CURVE_RATE).exp() - dip, _ZERO), _MOST_KEPT)
        if x > _BOOST_FROM:
            kept = min(_MOST_KEPT, kept + _BOOST_HEIGHT * (1 - ((_BOOST_FROM - x) / _BOOST_WIDTH).exp()))
        return kept


def _zone_share(change: Decimal) -> Decimal:
    for highest, share in _ZONES:
        if change <= highest:
            return share
    return _HIGH_ZONE if change <= _HIGH_ZONE_TO else _TOP_ZONE


def _custom(change: Decimal, rules: StopLoss) -> Decimal | None:
    reached = [level for level in rules.trailing_levels if level.change_percent <= change]
    return max(reached, key=lambda level: level.change_percent).stop_percent if reached else None


@dataclass(frozen=True, slots=True)
class StopState:
    """What a position remembers: its highest price (SOL per token) and its stop (percent). None: it has none."""

    peak_price: Decimal | None = None
    stop_percent: Decimal | None = None


def at_buy(purchase_price: Decimal, rules: StopLoss) -> StopState:
    """Return where a new position starts: its purchase price as the peak, the default stop; nothing when off."""
    return StopState(purchase_price, rules.default_percent) if rules.enabled else StopState()


def after_dca(fill_price: Decimal, rules: StopLoss) -> StopState:
    """Return where the stop starts over after a DCA: the fill price as the peak, the default stop; none when off.

    The stop earned on the old average is not carried to the new one: it could stand above the market at once.
    """
    return StopState(fill_price, rules.default_percent if rules.enabled else None)


def level(average_price: Decimal, percent: Decimal) -> Decimal:
    """Return the exact price (SOL per token) a stop of `percent` stands at.

    >>> level(Decimal("0.001"), Decimal(-32))
    Decimal('0.00068')
    """
    return MONEY.multiply(average_price, MONEY.add(_ONE, MONEY.divide(percent, _HUNDRED)))
