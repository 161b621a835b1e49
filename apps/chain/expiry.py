"""Has it landed, or can it land no more? Asked of every node, each with its own height and its own history.

The rule of what follows is `domain.testimony`: one node alone never proves that something has expired, and no single
lying node makes it so.
"""

from __future__ import annotations

import asyncio

from apps.chain.domain.testimony import Expired, Landed, Statement, Unknown, Verdict, judge
from apps.chain.errors import NodeError
from apps.chain.metrics import EXPIRY_VERDICTS
from apps.chain.pool import CONFIRMED, FINALIZED, NodePool
from apps.core.http import Lane

__all__ = ["Expired", "Landed", "Unknown", "can_land_no_more", "testimonies"]

_HISTORY_ROWS = 1000
_ONCE_MORE_AFTER_SECONDS = 0.1


async def can_land_no_more(
    pool: NodePool,
    signature: str,
    last_valid_block_height: int,
    *,
    blockhash: str | None = None,
    address: str | None = None,
    lane: Lane = Lane.REST,
) -> Landed | Expired | Unknown:
    """Prove that a transaction landed, or that it cannot any more; Unknown while neither is proven.

    Give the transaction's `blockhash` too: a last valid height that was told too low then proves nothing. With the fee
    payer's `address` its history is read as well, no earlier than the height that was compared.
    """
    heard = await testimonies(pool, signature, blockhash=blockhash, address=address, lane=lane)
    verdict = judge(heard, nodes=len(pool.names), last_valid_block_height=last_valid_block_height)
    EXPIRY_VERDICTS.labels(_word(verdict)).inc()
    return verdict


async def testimonies(
    pool: NodePool,
    signature: str,
    *,
    blockhash: str | None = None,
    address: str | None = None,
    lane: Lane = Lane.REST,
) -> list[Statement]:
    """Return what each node that answers says by itself; those that do not are left out."""
    told = await pool.each(lambda node: _hear(pool, node, signature, blockhash, address, lane))
    return [each for each in told.values() if isinstance(each, Statement)]


async def _hear(
    pool: NodePool, node: str, signature: str, blockhash: str | None, address: str | None, lane: Lane
) -> Statement:
    """Ask one node, once more where it failed: a node that stumbles must not leave the other's word alone.

    Raises:
        NodeError: twice.
    """
    try:
        return await _testify(pool, node, signature, blockhash, address, lane)
    except NodeError:
        await asyncio.sleep(_ONCE_MORE_AFTER_SECONDS)
        return await _testify(pool, node, signature, blockhash, address, lane)


async def _testify(
    pool: NodePool, node: str, signature: str, blockhash: str | None, address: str | None, lane: Lane
) -> Statement:
    """Ask one node: first how far it is finalized, then what it knows, at that slot or later.

    Raises:
        NodeError: one of the questions has no answer, so that the node testifies to nothing.
    """
    height, slot = await pool.finalized(node=node, lane=lane)
    known, final, valid, listed = await asyncio.gather(
        pool.known(signature, node=node, lane=lane),
        pool.transaction(signature, FINALIZED, node, slot, lane=lane),
        _is_valid(pool, node, blockhash, lane),
        _is_listed(pool, node, signature, address, slot, lane),
    )
    document = final
    if document is None:
        document = await pool.transaction(signature, CONFIRMED, node, slot, lane=lane)
    return Statement(
        node=node,
        finalized_height=height,
        finalized_slot=slot,
        seen_slot=known.slot,
        status=known.status,
        document=document,
        document_finalized=final is not None,
        listed=listed,
        blockhash_valid=valid,
    )


async def _is_valid(pool: NodePool, node: str, blockhash: str | None, lane: Lane) -> bool | None:
    """Ask at `processed`: what is taken there may still land."""
    if blockhash is None:
        return None
    return await pool.is_blockhash_valid(blockhash, "processed", node=node, lane=lane)


async def _is_listed(
    pool: NodePool, node: str, signature: str, address: str | None, slot: int, lane: Lane
) -> bool | None:
    if address is None:
        return None
    rows = await pool.signatures_for(
        address, limit=_HISTORY_ROWS, commitment=FINALIZED, min_context_slot=slot, node=node, lane=lane
    )
    return any(row.signature == signature for row in rows)


def _word(verdict: Verdict) -> str:
    return verdict.reason if isinstance(verdict, Unknown) else type(verdict).__name__.lower()
