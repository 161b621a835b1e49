"""The providers' families of routes: what can fail on its own, and what can tell a price of its own."""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """One family of routes. An order is a request for a transaction to sign: it meets the faults of quotes too."""

    JUPITER_QUOTE = "jupiter_quote"
    JUPITER_ORDER = "jupiter_order"
    JUPITER_EXECUTE = "jupiter_execute"
    JUPITER_PRICE = "jupiter_price"
    JUPITER_TOKENS = "jupiter_tokens"
    DEXSCREENER = "dexscreener"
    PYTH = "pyth"
