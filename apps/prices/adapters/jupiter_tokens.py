"""Jupiter Tokens V2: what is known of mints, up to 100 a call, matched by exact mint only.

The search also answers with tokens whose name or symbol resembles the text; those are never taken for what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.core.http import Lane, ProviderMalformed, client
from apps.prices.adapters.source_answer import batches
from apps.prices.domain.tokens import (
    LARGEST_DECIMALS,
    NAME_CHARACTERS,
    SYMBOL_CHARACTERS,
    TokenFacts,
    TokenMetrics,
    displayable,
)

PROVIDER = "jupiter"
OPERATION = "tokens"
PATH = "/tokens/v2/search"
MINTS_PER_CALL = 100


def find_rows(mints: Sequence[str], *, lane: Lane = Lane.REST, deadline_seconds: float) -> dict[str, dict[str, Any]]:
    """Return the provider's row of each mint it knows.

    Raises:
        ProviderError: when any batch could not be asked.
    """
    found: dict[str, dict[str, Any]] = {}
    for part in batches(mints, MINTS_PER_CALL):
        answer = client(PROVIDER).get(
            OPERATION, PATH, [("query", ",".join(part))], lane=lane, deadline_seconds=deadline_seconds
        )
        if not isinstance(answer.payload, list):
            raise ProviderMalformed(PROVIDER, OPERATION, "jupiter's tokens are not an array")
        wanted = set(part)
        for row in answer.payload:
            if isinstance(row, dict) and row.get("id") in wanted:
                found[row["id"]] = row
    return found


def read_facts(mint: str, row: dict[str, Any]) -> TokenFacts | None:
    """Return the token's facts, or None when its decimals are not known."""
    decimals = row.get("decimals")
    if type(decimals) is not int or not 0 <= decimals <= LARGEST_DECIMALS:
        return None
    return TokenFacts(
        mint=mint,
        symbol=displayable(row.get("symbol"), SYMBOL_CHARACTERS),
        name=displayable(row.get("name"), NAME_CHARACTERS),
        decimals=decimals,
    )


def read_metrics(mint: str, row: dict[str, Any]) -> TokenMetrics:
    """Return the size of the token's market; what the row does not say is None, not zero."""
    holders = row.get("holderCount")
    return TokenMetrics(
        mint=mint,
        market_cap_usd=_amount(row.get("mcap")),
        liquidity_usd=_amount(row.get("liquidity")),
        holder_count=holders if type(holders) is int and holders >= 0 else None,
    )


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and amount >= 0 else None
