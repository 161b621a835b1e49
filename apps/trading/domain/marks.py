"""The price an open position is valued at: its token's newest, or its own last fill's while that is the newer one.

A token sold and bought again has recorded prices from before the buy; they say nothing about what is held now. The SQL
of the same decision is `selectors.marks`; the desk's page decides in `static/desk/positions.js`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

FILL = "fill"


@dataclass(frozen=True, slots=True)
class Mark:
    """A price in SOL per token, the moment it held, and who told it: a price source, or `fill`."""

    price_sol: Decimal
    at: datetime
    source: str

    @property
    def is_fill(self) -> bool:
        """No source has told a price since the position's last fill."""
        return self.source == FILL


def mark(fill: Mark, newest: Mark | None) -> Mark:
    """Return what a position is valued at: `newest` only if it held after the position's last fill.

    >>> from datetime import UTC
    >>> fill = Mark(Decimal("0.2"), datetime(2026, 1, 1, 12, 5, tzinfo=UTC), FILL)
    >>> before = Mark(Decimal("0.9"), datetime(2026, 1, 1, 12, 4, tzinfo=UTC), "jupiter")
    >>> after = Mark(Decimal("0.3"), datetime(2026, 1, 1, 12, 6, tzinfo=UTC), "jupiter")
    >>> [mark(fill, price).price_sol for price in (None, before, after)]
    [Decimal('0.2'), Decimal('0.2'), Decimal('0.3')]
    """
    return newest if newest is not None and newest.at > fill.at else fill
