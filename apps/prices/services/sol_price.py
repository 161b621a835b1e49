"""SOL in US dollars: taken from Pyth, from Jupiter or DexScreener while Pyth is silent, and never made up.

A value that leaps away from the last one is only taken when a second source agrees; `sol_usd_feed.py` asks it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from apps.core.metrics_registry import SOL_USD_UPDATES
from apps.core.money import MONEY, SOL_MINT
from apps.prices import selectors
from apps.prices.adapters import newest
from apps.prices.domain.points import PricePoint, SolUsd
from apps.prices.services import ticks

log = structlog.get_logger(__name__)

#: A fallback's value replaces one that is older than this.
FALLBACK_AFTER = timedelta(seconds=10)
#: SOL does not move by more than this between two values less than an hour apart, unless two sources say so.
LEAP_FRACTION = Decimal("0.2")
AGREEMENT_FRACTION = Decimal("0.05")
_COMPARABLE_FOR = timedelta(hours=1)


def record_sol_usd(price: SolUsd, *, tick: bool = True) -> None:
    """Make `price` the newest SOL/USD and, with `tick`, store it as a tick of SOL."""
    newest.remember_sol_usd(price)
    SOL_USD_UPDATES.labels(str(price.source)).inc()
    if tick:
        point = PricePoint(SOL_MINT, Decimal(1), price.value, price.source, price.at, datetime.now(UTC))
        ticks.record_ticks([point])


def offer_fallback(price: SolUsd) -> bool:
    """Take a value found on the way when the known one has grown old; return whether it was taken."""
    known = selectors.sol_usd()
    if known is not None and (price.at - known.at < FALLBACK_AFTER or leaps(price, known)):
        return False
    record_sol_usd(price, tick=False)
    return True


def leaps(price: SolUsd, known: SolUsd | None) -> bool:
    """Say whether `price` is too far from a value known less than an hour before.

    >>> then = datetime(2026, 1, 1, tzinfo=UTC)
    >>> known = SolUsd(Decimal(100), then, "pyth")
    >>> leaps(SolUsd(Decimal(120), then, "pyth"), known), leaps(SolUsd(Decimal(79), then, "pyth"), known)
    (False, True)
    """
    if known is None or price.at - known.at > _COMPARABLE_FOR:
        return False
    return MONEY.divide(abs(price.value - known.value), known.value) > LEAP_FRACTION


def agrees(one: SolUsd, other: SolUsd) -> bool:
    """Say whether two values are within 5 % of the higher one."""
    higher = max(one.value, other.value)
    return MONEY.divide(higher - min(one.value, other.value), higher) <= AGREEMENT_FRACTION
