"""Where a person looks a transaction up: the public explorer of the cluster. None for a chain of one's own."""

from __future__ import annotations

from apps.chain import cluster
from apps.chain.cluster import Cluster

_PAGE = "https://explorer.solana.com/tx/"
_QUERIES = {Cluster.MAINNET: "", Cluster.DEVNET: "?cluster=devnet", Cluster.TESTNET: "?cluster=testnet"}


def of_transaction(signature: str | None, where: Cluster | None) -> str | None:
    """Return the explorer's address of a transaction, None where no public explorer knows it.

    >>> of_transaction("5Sig", Cluster.DEVNET)
    'https://explorer.solana.com/tx/5Sig?cluster=devnet'
    >>> of_transaction("5Sig", Cluster.SANDBOX) is None
    True
    """
    query = None if where is None else _QUERIES.get(where)
    return f"{_PAGE}{signature}{query}" if signature and query is not None else None


def here(signature: str | None) -> str | None:
    """Return the explorer's address on the cluster the desk's nodes have told; never waits for one."""
    told = cluster.standing()
    return of_transaction(signature, None if told is None else told.cluster)
