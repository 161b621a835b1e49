"""The tokens of a book by number: what the watch needs to ask for their prices, and which rises are not stored yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from apps.prices.domain.points import PricePoint

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class TokenSlot:
    """One token. `fill_price` (SOL per token), `filled_at` and `base_units` are those of its newest position.

    `points` are the trusted prices that made a high or a low some position has not stored yet, by their float.
    `pending_since` is the tick of the oldest of them, None when everything is stored.
    """

    number: int
    mint: str
    decimals: int
    symbol: str = ""
    fill_price: Decimal = Decimal(0)
    filled_at: datetime = _NEVER
    base_units: int = 0
    points: dict[float, PricePoint] = field(default_factory=dict)
    pending_since: int | None = None

    def remember(self, point: PricePoint, price: float) -> None:
        """Keep a price, known by its float, that made a high or a low, until every position has stored it."""
        known = self.points.get(price)
        if known is None or point.price_sol > known.price_sol:
            self.points[price] = point


class Tokens:
    """Every token the book has met; number 0 is nobody's."""

    def __init__(self) -> None:
        self.by_mint: dict[str, TokenSlot] = {}
        self._slots: list[TokenSlot] = [TokenSlot(0, "", 0)]

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, number: int) -> TokenSlot:
        return self._slots[number]

    def slot_of(self, mint: str, decimals: int) -> TokenSlot:
        """Return a token's slot, a new one when it is met for the first time."""
        slot = self.by_mint.get(mint)
        if slot is None:
            slot = TokenSlot(len(self._slots), mint, decimals)
            self._slots.append(slot)
            self.by_mint[mint] = slot
        return slot

    def pending(self) -> list[TokenSlot]:
        """Return the tokens with something to store, the longest waiting first."""
        waiting = [slot for slot in self.by_mint.values() if slot.pending_since is not None]
        return sorted(waiting, key=lambda slot: slot.pending_since or 0)
