"""Closing positions that are old and moved little (trading.md 9)."""

from __future__ import annotations

from decimal import Decimal

from apps.agents.domain.model import StaleTrade
from apps.trading.domain.pnl import price_change


def is_stale(age_minutes: Decimal, average_price: Decimal, price: Decimal, rules: StaleTrade) -> bool:
    """Tell whether a position of that age (since it was opened) is to be closed at a price; bounds are inclusive.

    >>> rules = StaleTrade(True, Decimal(60), Decimal(1), Decimal(10))
    >>> [is_stale(Decimal(60), Decimal(1), Decimal(price), rules) for price in ("1.0099", "1.05", "1.1001")]
    [False, True, False]
    """
    if not rules.enabled or age_minutes < rules.min_hold_minutes:
        return False
    return rules.min_profit_percent <= price_change(average_price, price) <= rules.max_profit_percent
