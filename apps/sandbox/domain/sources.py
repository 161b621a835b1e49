"""The providers' families of routes: what can fail on its own, and what can tell a price of its own."""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """One family of routes."""

    JUPITER_QUOTE = "jupiter_quote"
    JUPITER_PRICE = "jupiter_price"
    JUPITER_TOKENS = "jupiter_tokens"
    DEXSCREENER = "dexscreener"
    PYTH = "pyth"
