"""Reads of prices, by what is asked: the newest of each token, candles for charts, how the watch's polls go."""

from apps.prices.selectors.candles import CandleRange, candles
from apps.prices.selectors.latest import (
    SOL_USD_STALE,
    jupiter_is_configured,
    latest_prices,
    price_at,
    sol_usd,
    stored_prices,
    usable_sol_usd,
)
from apps.prices.selectors.polls import Poll, Polling, latest_polls, polling

__all__ = [
    "SOL_USD_STALE",
    "CandleRange",
    "Poll",
    "Polling",
    "candles",
    "jupiter_is_configured",
    "latest_polls",
    "latest_prices",
    "polling",
    "price_at",
    "sol_usd",
    "stored_prices",
    "usable_sol_usd",
]
