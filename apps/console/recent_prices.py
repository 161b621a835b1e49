"""The last prices of each token as this process heard them, by the numbers they were recorded under.

Prices come straight from the watch, changes of positions by way of the outbox: a price may be heard before the opening
it already counts for. What a position's message does not know yet of its peak and low is added from here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from apps.console.frames import Price

_KEPT = 30
_TOKENS = 20_000


class RecentPrices:
    """Half a minute of recorded prices per token, at one a second."""

    def __init__(self) -> None:
        self._by_mint: dict[str, deque[Price]] = {}

    def take(self, prices: Iterable[Price]) -> None:
        """Remember prices that were recorded; of the tokens, those told last."""
        for price in prices:
            if price.tick is None:
                continue
            known = self._by_mint.pop(price.mint, None)
            if known is None:
                known = deque(maxlen=_KEPT)
                if len(self._by_mint) >= _TOKENS:
                    del self._by_mint[next(iter(self._by_mint))]
            known.append(price)
            self._by_mint[price.mint] = known

    def newest(self, mint: str) -> Price | None:
        """Return the last price of a token, for who holds it from now on."""
        known = self._by_mint.get(mint)
        return known[-1] if known else None

    def correct(self, position: dict[str, Any]) -> None:
        """Raise the peak and lower the low of an OpenPosition to what was heard since it began to count."""
        begun = position.get("peakFromTick")
        if begun is None:
            return
        known = self._by_mint.get(position["tokenAddress"], ())
        counted = [price.price for price in known if price.tick is not None and price.tick > begun]
        if counted:
            widen(position, max(counted), min(counted))


def widen(position: dict[str, Any], high: float, low: float) -> None:
    """Let a high and a low that count for an OpenPosition be known to it; a low is one only below the average."""
    peak, lowest = position["peakPrice"], position["lowestPrice"]
    position["peakPrice"] = high if peak is None else max(peak, high)
    if low < (position["purchasePrice"] if lowest is None else lowest):
        position["lowestPrice"] = low
