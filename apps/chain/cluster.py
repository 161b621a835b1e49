"""Which cluster the nodes are of, by their genesis hashes: all must tell the same, or nothing is traded on any.

`current` is for pages: it answers from memory and asks the nodes in the background. `confirm` asks them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import structlog
from django.conf import settings

from apps.chain import nodes
from apps.chain.errors import NodeError, NodesDisagree, NodesNotConfigured
from apps.chain.pool import NodePool
from apps.core.enums import Badge
from apps.core.http import call_loop

log = structlog.get_logger(__name__)

_KEPT_SECONDS, _TRIED_AGAIN_SECONDS = 60.0, 5.0
_PATIENCE_SECONDS = 10.0
#: How long the slower nodes are waited for once one has told.
_PATIENCE_WITH_ONE_SECONDS = 1.0


class Cluster(Badge):
    """Where the desk's nodes are; MAINNET is the one with money."""

    MAINNET = "mainnet", "Mainnet"
    DEVNET = "devnet", "Devnet"
    TESTNET = "testnet", "Testnet"
    SANDBOX = "sandbox", "Sandbox"
    PRIVATE = "private", "Private cluster"

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {
            "mainnet": "danger",
            "devnet": "warning",
            "testnet": "warning",
            "sandbox": "success",
            "private": "info",
        }


_BY_GENESIS = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d": Cluster.MAINNET,
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG": Cluster.DEVNET,
    "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY": Cluster.TESTNET,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the nodes told of their cluster: genesis hashes by node, and the nodes that told nothing, with why.

    `cluster` is None when they contradict each other or none told.
    """

    cluster: Cluster | None
    genesis: Mapping[str, str]
    silent: Mapping[str, str]

    @property
    def mixed(self) -> bool:
        """Nodes of different clusters are configured: an error to be put right by hand."""
        return len(set(self.genesis.values())) > 1


def cluster_of(genesis_hash: str, *, is_sandbox: bool) -> Cluster:
    """Return the cluster of a genesis hash; an unknown one is the sandbox's or a private cluster's.

    >>> cluster_of("EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG", is_sandbox=False).value
    'devnet'
    """
    return _BY_GENESIS.get(genesis_hash, Cluster.SANDBOX if is_sandbox else Cluster.PRIVATE)


async def look(pool: NodePool) -> Standing:
    """Ask every node for its genesis hash."""
    told = await pool.each(lambda name: pool.genesis_hash(name), patience_seconds=_PATIENCE_WITH_ONE_SECONDS)
    genesis = {name: value for name, value in told.items() if isinstance(value, str)}
    silent = {name: value.code for name, value in told.items() if isinstance(value, NodeError)}
    hashes = set(genesis.values())
    is_sandbox = bool(settings.DEMO_DESK) and pool.all_local
    cluster = cluster_of(hashes.pop(), is_sandbox=is_sandbox) if len(hashes) == 1 else None
    return Standing(cluster, genesis, silent)


async def confirm(pool: NodePool) -> Cluster:
    """Return the cluster every node that answers is of.

    Raises:
        NodesDisagree: they are of different ones. NodesNotConfigured: there is none.
        NodeError: none answered.
    """
    standing = await look(pool)
    if standing.mixed:
        raise NodesDisagree(
            "The nodes in SOLANA_RPC_URLS are of different clusters: " + ", ".join(sorted(standing.genesis)),
            details={"genesis": dict(standing.genesis)},
        )
    if standing.cluster is None:
        if not pool.names:
            raise NodesNotConfigured
        raise NodeError("NODE_UNAVAILABLE", "No node tells which cluster it is of", details=dict(standing.silent))
    return standing.cluster


class _Kept:
    """The last standing, and the question under way."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.standing: Standing | None = None
        self.due_at = 0.0
        self.asked: Future[Standing] | None = None


_kept = _Kept(())
_lock = threading.Lock()


def standing() -> Standing | None:
    """Return what the nodes told last, and ask them again in the background when that is old; None while unknown."""
    global _kept
    with _lock:
        names = nodes.names()
        if _kept.names != names:
            _kept = _Kept(names)
        kept = _kept
        if names and time.monotonic() >= kept.due_at:
            kept.due_at = time.monotonic() + _PATIENCE_SECONDS + _TRIED_AGAIN_SECONDS
            kept.asked = call_loop.submit(_ask())
            kept.asked.add_done_callback(lambda asked: _learn(kept, asked))
        return kept.standing


def current() -> Cluster | None:
    """Return the cluster as last told, without waiting; None while unknown or while nodes contradict each other."""
    known = standing()
    return None if known is None else known.cluster


async def _ask() -> Standing:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return await look(nodes.pool())


def _learn(kept: _Kept, asked: Future[Standing]) -> None:
    try:
        told = asked.result()
    except (TimeoutError, NodeError) as error:
        log.info("cluster_unknown", reason=type(error).__name__)
        kept.due_at = time.monotonic() + _TRIED_AGAIN_SECONDS
        return
    if told.mixed:
        log.error("nodes_of_different_clusters", nodes=sorted(told.genesis))
    if told.genesis or kept.standing is None:
        kept.standing = told
    kept.due_at = time.monotonic() + (_KEPT_SECONDS if not told.silent else _TRIED_AGAIN_SECONDS)
