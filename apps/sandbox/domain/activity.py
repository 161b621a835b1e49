"""What providers tell about a token's recent past: volume, trades and the price some windows ago.

Minutes are kept for a day; before the market has run that long the missing part comes from the token's own temper.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from apps.sandbox.domain import noise

#: Window name as the activity book knows it -> minutes.
WINDOW_MINUTES = {"m5": 5, "h1": 60, "h6": 360, "h24": 1440}
_MINUTES_PER_DAY = 1440
_AVERAGE_TRADE_USD = 85.0


@dataclass(frozen=True, slots=True)
class Window:
    """The last minutes of one token. Volume in dollars."""

    reference_price: float
    volume_usd: float
    buys: int
    sells: int

    def change_percent(self, price: float) -> float:
        """Return the move from the window's start to `price`, in percent."""
        return (price / self.reference_price - 1) * 100


@dataclass(frozen=True, slots=True)
class _Minute:
    price: float
    bought_usd: float
    sold_usd: float


class Activity:
    """The minute book of one token."""

    def __init__(self, *, draw: tuple[object, ...], price: float, volume_per_day_usd: float, drift: float) -> None:
        """`drift` is the deviation of the invented day's return before the market opened (0 for a still token)."""
        self._draw = draw
        self._volume_per_minute = volume_per_day_usd / _MINUTES_PER_DAY
        self._opening = {
            name: price / max(0.05, 1 + drift * (minutes / _MINUTES_PER_DAY) ** 0.5 * noise.gauss(*draw, name))
            for name, minutes in WINDOW_MINUTES.items()
        }
        self._minutes: deque[_Minute] = deque(maxlen=_MINUTES_PER_DAY)
        self._bought = 0.0
        self._sold = 0.0
        self._windows: dict[str, Window] | None = None

    def record(self, usd: float) -> None:
        """Add one tick's synthetic flow: positive bought, negative sold."""
        if usd > 0:
            self._bought += usd
        else:
            self._sold -= usd

    def close_minute(self, price: float) -> None:
        """End the running minute at `price`."""
        churn = self._volume_per_minute * noise.between(0.5, 1.5, *self._draw, "churn", len(self._minutes))
        self._minutes.append(_Minute(price, self._bought + churn / 2, self._sold + churn / 2))
        self._bought = self._sold = 0.0
        self._windows = None

    def windows(self) -> dict[str, Window]:
        """Return every window, as of the last closed minute."""
        if self._windows is None:
            self._windows = {name: self._window(name, minutes) for name, minutes in WINDOW_MINUTES.items()}
        return self._windows

    def _window(self, name: str, minutes: int) -> Window:
        known = list(self._minutes)[-minutes:]
        missing = self._volume_per_minute * (minutes - len(known))
        bought = sum(minute.bought_usd for minute in known) + missing * 0.52
        sold = sum(minute.sold_usd for minute in known) + missing * 0.48
        reference = self._opening[name] if len(known) < minutes else known[0].price
        return Window(
            reference_price=reference,
            volume_usd=round(bought + sold, 2),
            buys=round(bought / _AVERAGE_TRADE_USD),
            sells=round(sold / _AVERAGE_TRADE_USD),
        )
