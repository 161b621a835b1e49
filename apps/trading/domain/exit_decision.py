"""Whether a fired close is still to be sold, decided under lock against the quote that would fill it.

A close latches (a stop stays due although the price has bounced); what may end it is a position that is gone, a wallet
that was reset, a DCA that moved the average a stop was measured from, or a doubted price that the quote disproves.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from apps.core.money import MONEY

STOP_LOSS = "stop_loss"

POSITION_CLOSED = "POSITION_CLOSED"
WALLET_RESET = "WALLET_RESET"
DCA_AFTER_STOP = "DCA_AFTER_STOP"
EXITS_HALTED = "EXITS_HALTED"
AMOUNT_CHANGED = "AMOUNT_CHANGED"
BAD_TICK = "BAD_TICK"
CONFIRMED = "CONFIRMED"
ALLOWED = "ALLOWED"

#: A quote whose market price stands further above the stop than this disproves the doubted price that fired it.
WELL_ABOVE_FRACTION = Decimal("0.05")
#: An impact near 1 says nothing about the market price any more; it is capped here.
_LARGEST_IMPACT = Decimal("0.95")


class Action(StrEnum):
    """What becomes of an exit intent now."""

    BOOK = "book"
    CANCEL = "cancel"
    REQUOTE = "requote"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class CloseSituation:
    """What is known of a close under lock.

    `fired_generation` is the position's generation when the close fired, `averaged_generation` the one its average was
    last set at (opening or DCA). Amounts are base units; `market_price_sol` is the quote's price before its own impact.
    """

    reason: str
    fired_generation: int
    averaged_generation: int
    is_open: bool
    wallet_current: bool
    exits_allowed: bool
    remaining_base_units: int
    quoted_base_units: int
    needs_confirmation: bool = False
    stop_price_sol: Decimal | None = None
    market_price_sol: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CloseDecision:
    """What to do with a close, and the stable code of why."""

    action: Action
    code: str

    @property
    def allowed(self) -> bool:
        """True when the sale is to be booked."""
        return self.action is Action.BOOK


def decide(now: CloseSituation) -> CloseDecision:
    """Decide a close under lock; the first rule that applies gives the code.

    >>> decide(CloseSituation("manual", 1, 1, True, True, True, 500, 500)).code
    'ALLOWED'
    >>> decide(CloseSituation("stop_loss", 1, 2, True, True, True, 500, 500)).code
    'DCA_AFTER_STOP'
    """
    if not now.is_open:
        return CloseDecision(Action.CANCEL, POSITION_CLOSED)
    if not now.wallet_current:
        return CloseDecision(Action.CANCEL, WALLET_RESET)
    if now.reason == STOP_LOSS and now.averaged_generation > now.fired_generation:
        return CloseDecision(Action.CANCEL, DCA_AFTER_STOP)
    if not now.exits_allowed:
        return CloseDecision(Action.WAIT, EXITS_HALTED)
    if now.quoted_base_units != now.remaining_base_units:
        return CloseDecision(Action.REQUOTE, AMOUNT_CHANGED)
    if now.needs_confirmation:
        disproved = disproves(now.market_price_sol, now.stop_price_sol)
        return CloseDecision(Action.CANCEL, BAD_TICK) if disproved else CloseDecision(Action.BOOK, CONFIRMED)
    return CloseDecision(Action.BOOK, ALLOWED)


def disproves(market_price_sol: Decimal | None, stop_price_sol: Decimal | None) -> bool:
    """Tell whether a quote shows the market well above the stop; without figures to compare it disproves nothing.

    >>> disproves(Decimal("0.8"), Decimal("0.7")), disproves(Decimal("0.73"), Decimal("0.7")), disproves(None, None)
    (True, False, False)
    """
    if market_price_sol is None or stop_price_sol is None:
        return False
    return market_price_sol > MONEY.multiply(stop_price_sol, 1 + WELL_ABOVE_FRACTION)


def market_price(fill_price_sol: Decimal, price_impact: Decimal) -> Decimal:
    """Return the price before a sale moved it; `price_impact` is a signed fraction, positive is a loss.

    >>> market_price(Decimal("0.9"), Decimal("0.1")), market_price(Decimal(1), Decimal("-0.02"))
    (Decimal('1'), Decimal('1'))
    """
    return MONEY.divide(fill_price_sol, 1 - plausible_impact(price_impact))


def plausible_impact(price_impact: Decimal) -> Decimal:
    """Return the part of a signed impact that may explain a price: no gain, and never all of it.

    >>> plausible_impact(Decimal("-0.1")), plausible_impact(Decimal("0.99"))
    (Decimal('0'), Decimal('0.95'))
    """
    return min(max(price_impact, Decimal(0)), _LARGEST_IMPACT)
