"""When a price may decide something: fresh, positive, and no wild move that nobody else has seen.

Pure: `now` is passed in. The verdict on a wild move without agreement is `NEEDS_CONFIRMATION`: for an exit the caller
asks the position's own sell quote, for everything else (peaks, sizing, valuation) the price is left out. There is no
waiting in it: each poll is judged anew, so a doubt lasts one poll and one quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from apps.core.money import MONEY
from apps.prices.domain.points import PricePoint

FRESH_SECONDS = Decimal(10)
#: A clock of theirs may run ahead of ours by this much; further ahead the time is no time.
_FUTURE_SECONDS = Decimal(5)
WILD_MOVE_FRACTION = Decimal("0.5")
AGREEMENT_FRACTION = Decimal("0.05")
_MICROSECOND = timedelta(microseconds=1)


class Trust(StrEnum):
    """What may be done with a price."""

    TRUSTED = "trusted"
    NEEDS_CONFIRMATION = "needs_confirmation"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class TrustDecision:
    """The verdict on one price, its stable code and the figures that decided it.

    `move_fraction` is the move against the last good price (0.6 = 60 % up or down), `difference_fraction` the distance
    to the second opinion; each None when there was nothing to compare with.
    """

    trust: Trust
    code: str
    point: PricePoint | None
    age_seconds: Decimal | None = None
    move_fraction: Decimal | None = None
    difference_fraction: Decimal | None = None

    @property
    def allowed(self) -> bool:
        """True when the price may decide on its own."""
        return self.trust is Trust.TRUSTED

    @property
    def needs_confirmation(self) -> bool:
        """True when an exit must ask its own sell quote first."""
        return self.trust is Trust.NEEDS_CONFIRMATION


def is_fresh(point: PricePoint, now: datetime, *, fresh_seconds: Decimal = FRESH_SECONDS) -> bool:
    """Say whether the price is at most `fresh_seconds` old by the provider's time, else by its receipt."""
    return -_FUTURE_SECONDS <= _age_seconds(point, now) <= fresh_seconds


def is_wild(price_sol: Decimal, last_good_sol: Decimal | None) -> bool:
    """Say whether the price moved by more than half against the last good one, in either direction.

    >>> is_wild(Decimal("0.5"), Decimal(1)), is_wild(Decimal("0.49"), Decimal(1)), is_wild(Decimal(9), None)
    (False, True, False)
    """
    move = _fraction(price_sol, last_good_sol)
    return move is not None and move > WILD_MOVE_FRACTION


def agree(one: PricePoint, other: PricePoint) -> bool:
    """Say whether two different sources give prices within 5 % of the higher one."""
    if one.source == other.source:
        return False
    return _distance(one, other) <= AGREEMENT_FRACTION


def judge(
    point: PricePoint | None,
    *,
    last_good_sol: Decimal | None,
    now: datetime,
    second_opinion: PricePoint | None = None,
    fresh_seconds: Decimal = FRESH_SECONDS,
) -> TrustDecision:
    """Decide what may be done with `point`.

    `last_good_sol` is the last price that was trusted (or the fill, for a position never priced since); None means
    there is nothing to compare with, and then no move is wild. `second_opinion` is another source's price of the poll.

    Codes: `ok`, `confirmed_by_second_source`, `no_price`, `not_positive`, `stale`, `wild_without_second_source`,
    `wild_and_second_source_disagrees`.
    """
    if point is None:
        return TrustDecision(Trust.REFUSED, "no_price", None)
    if not point.price_sol.is_finite() or point.price_sol <= 0:
        return TrustDecision(Trust.REFUSED, "not_positive", point)
    age = _age_seconds(point, now)
    if not -_FUTURE_SECONDS <= age <= fresh_seconds:
        return TrustDecision(Trust.REFUSED, "stale", point, age)
    move = _fraction(point.price_sol, last_good_sol)
    if move is None or move <= WILD_MOVE_FRACTION:
        return TrustDecision(Trust.TRUSTED, "ok", point, age, move)
    if second_opinion is None or not _may_second(point, second_opinion, now, fresh_seconds):
        return TrustDecision(Trust.NEEDS_CONFIRMATION, "wild_without_second_source", point, age, move)
    difference = _distance(point, second_opinion)
    if difference <= AGREEMENT_FRACTION:
        return TrustDecision(Trust.TRUSTED, "confirmed_by_second_source", point, age, move, difference)
    return TrustDecision(Trust.NEEDS_CONFIRMATION, "wild_and_second_source_disagrees", point, age, move, difference)


def _may_second(point: PricePoint, second: PricePoint, now: datetime, fresh_seconds: Decimal) -> bool:
    return (
        second.source != point.source
        and second.mint == point.mint
        and second.price_sol.is_finite()
        and second.price_sol > 0
        and is_fresh(second, now, fresh_seconds=fresh_seconds)
    )


def _age_seconds(point: PricePoint, now: datetime) -> Decimal:
    return Decimal(point.age(now) // _MICROSECOND).scaleb(-6)


def _distance(one: PricePoint, other: PricePoint) -> Decimal:
    higher = max(one.price_sol, other.price_sol)
    return MONEY.divide(MONEY.subtract(higher, min(one.price_sol, other.price_sol)), higher)


def _fraction(price: Decimal, reference: Decimal | None) -> Decimal | None:
    if reference is None or reference <= 0:
        return None
    return MONEY.divide(abs(MONEY.subtract(price, reference)), reference)
