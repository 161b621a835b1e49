"""Whose money is at stake: which Solana cluster the desk's nodes are of, a word and a colour for every header.

Said by the nodes' own genesis hashes, never by a setting's name. Pages ask without waiting (`apps.chain.cluster`).
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.chain import cluster, nodes
from apps.chain.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Place:
    """The word in the header; `tone` is a badge's colour, `sentence` what the word means for who trades."""

    word: str
    tone: str
    sentence: str

    @property
    def is_known(self) -> bool:
        return self not in (UNKNOWN, MIXED)


UNKNOWN = Place("UNKNOWN", "muted", "No node has told yet which cluster it is of: nothing live is bought.")
NO_NODE = Place("NO NODE", "muted", "No Solana node is configured (SOLANA_RPC_URLS): live trading is off.")
MIXED = Place("NODES DISAGREE", "danger", "The nodes in SOLANA_RPC_URLS are of different clusters: mend that first.")
_SENTENCES = {
    Cluster.MAINNET: "Solana mainnet: live orders spend real money.",
    Cluster.DEVNET: "Solana devnet: live orders spend test coins.",
    Cluster.TESTNET: "Solana testnet: live orders spend test coins.",
    Cluster.SANDBOX: "The local sandbox chain: live orders spend play money.",
    Cluster.PRIVATE: "A private cluster: live orders spend its own coins.",
}


def here() -> Place:
    """Return where the desk is, from memory: UNKNOWN until a node has answered."""
    if not nodes.names():
        return NO_NODE
    told = cluster.standing()
    if told is None or (told.cluster is None and not told.mixed):
        return UNKNOWN
    return MIXED if told.cluster is None else of(told.cluster)


def of(found: Cluster) -> Place:
    """Return the place of a cluster.

    >>> of(Cluster.MAINNET).word, of(Cluster.MAINNET).tone
    ('MAINNET', 'danger')
    """
    return Place(found.name, Cluster.colours()[found.value], _SENTENCES[found])
