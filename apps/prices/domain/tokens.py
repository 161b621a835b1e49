"""What is known of a token: its unit, its name as it may be shown, and the size of its market.

Pure. Names and symbols are written by strangers: they are cleaned before anyone sees them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from apps.core.money import SOL_DECIMALS, SOL_MINT

SYMBOL_CHARACTERS = 50
NAME_CHARACTERS = 120
LARGEST_DECIMALS = 18

_MINT = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """One whole token is 10 ** `decimals` base units."""

    mint: str
    symbol: str
    name: str
    decimals: int


@dataclass(frozen=True, slots=True)
class TokenMetrics:
    """The size of a token's market; each figure None when the provider does not know it."""

    mint: str
    market_cap_usd: Decimal | None
    liquidity_usd: Decimal | None
    holder_count: int | None


SOL = TokenFacts(SOL_MINT, "SOL", "Wrapped SOL", SOL_DECIMALS)


def displayable(text: object, characters: int) -> str:
    """Return a stranger's text without control, invisible and direction-changing characters, at most `characters` long.

    >>> displayable("MO\\u202eON\\u0000 \\u200bcoin ", 6)
    'MOON c'
    """
    if not isinstance(text, str):
        return ""
    kept = "".join(letter for letter in text if unicodedata.category(letter)[0] != "C")
    return " ".join(kept.split())[:characters].strip()


def is_mint_shaped(text: str) -> bool:
    """Say whether `text` could be a mint: 32 to 44 base58 characters, safe to put into a URL.

    >>> [is_mint_shaped(text) for text in ("So11111111111111111111111111111111111111112", "../../etc", "0" * 40)]
    [True, False, False]
    """
    return _MINT.fullmatch(text) is not None
