"""Ending differences and what they do to their wallet, in the caller's transaction, with the wallet locked."""

from __future__ import annotations

from uuid import UUID

from apps.core import bulk


def end(wallet_id: UUID, epoch: int, mint: str, *, ignored_too: bool = False) -> int:
    """End what is unexplained of a mint because books and chain agree on it now; return how many rows that were."""
    statuses = ["open", "suspected", *(["ignored"] if ignored_too else [])]
    return bulk.execute(
        "UPDATE wallet_difference SET status = 'gone', ended_at = clock_timestamp()"
        " WHERE wallet_id = %s AND epoch = %s AND mint = %s AND status = ANY(%s)",
        [wallet_id, epoch, mint, statuses],
    )


def mark(wallet_id: UUID, epoch: int) -> bool:
    """Write beside a wallet since when something open stops its buys; return whether nothing does."""
    ((since,),) = bulk.fetch_all(
        "SELECT min(first_seen_at) FROM wallet_difference WHERE wallet_id = %s AND epoch = %s AND status = 'open'",
        [wallet_id, epoch],
    )
    bulk.execute(
        "UPDATE wallet SET unreconciled_since = %s WHERE id = %s AND unreconciled_since IS DISTINCT FROM %s",
        [since, wallet_id, since],
    )
    return since is None
