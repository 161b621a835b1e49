"""The tokens somebody holds, as the watch asks for their prices, and whom to tell about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.core import bulk


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token somebody holds, with its newest position: the fill its price is compared with when it was never polled.

    `amount` is what that position still holds, in whole tokens.
    """

    mint: str
    symbol: str
    decimals: int
    fill_price: Decimal
    filled_at: datetime
    amount: Decimal


def owners_of(mints: Collection[str]) -> dict[str, list[UUID]]:
    """Return the users with open positions, by mint."""
    rows = bulk.fetch_all(
        "SELECT p.mint, array_agg(DISTINCT a.user_id ORDER BY a.user_id) FROM position p"
        " JOIN agent a ON a.id = p.agent_id WHERE p.closed_at IS NULL AND p.mint = ANY(%s) GROUP BY p.mint",
        [list(mints)],
    )
    return dict(rows)
