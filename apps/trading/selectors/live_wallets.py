"""What an order of a live wallet depends on besides its books: its key, and what is in flight already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from apps.core import bulk


@dataclass(frozen=True, slots=True)
class LiveWallet:
    """A live wallet and one token: whether the signer has its key, whether orders of the token are in flight."""

    loaded: bool
    buying: bool
    selling: bool


# The states in flight as the partial index `trade_order_one_in_flight` writes them.
_READ = """
SELECT v.wallet, v.mint, EXISTS (SELECT 1 FROM live_key k WHERE k.address = w.address AND k.loaded),
       EXISTS (SELECT 1 FROM trade_order o WHERE o.wallet_id = v.wallet AND o.mint = v.mint AND o.side = 'buy'
               AND o.status IN ('built', 'reserved', 'sent', 'signed', 'unresolved')),
       EXISTS (SELECT 1 FROM trade_order o WHERE o.wallet_id = v.wallet AND o.mint = v.mint AND o.side = 'sell'
               AND o.status IN ('built', 'reserved', 'sent', 'signed', 'unresolved'))
FROM unnest(%s::uuid[], %s::text[]) AS v (wallet, mint)
JOIN wallet w ON w.id = v.wallet AND w.wallet_type = 'live'
"""


def under_way(wallet_ids: Iterable[UUID]) -> set[UUID]:
    """Return the wallets with an order that is reserved, may land, or has landed and is not booked yet."""
    rows = bulk.fetch_all(
        "SELECT DISTINCT wallet_id FROM trade_order WHERE wallet_id = ANY(%s)"
        " AND (status IN ('built', 'reserved', 'sent', 'signed', 'unresolved')"
        " OR (status = 'landed' AND transaction_id IS NULL))",
        [list(wallet_ids)],
    )
    return {row[0] for row in rows}


def read(pairs: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], LiveWallet]:
    """Return each (wallet, mint) whose wallet is a live one; none given costs nothing."""
    wanted = sorted(set(pairs))
    if not wanted:
        return {}
    rows = bulk.fetch_all(_READ, [[wallet for wallet, _ in wanted], [mint for _, mint in wanted]])
    return {(row[0], row[1]): LiveWallet(*row[2:]) for row in rows}
