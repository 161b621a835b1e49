"""The nodes: do they answer, are they of one cluster, how far apart are they, what time is it there, what a fee is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.chain import cluster, nodes
from apps.chain.cluster import Cluster, Standing
from apps.chain.errors import NodeError
from apps.chain.pool import NodePool
from apps.console.doctor.findings import Finding, fail, needed, ok, warn

LAG_SLOTS, BROKEN_LAG_SLOTS = 25, 150
CLOCK_SECONDS, BROKEN_CLOCK_SECONDS = 15, 60
#: A swap's compute, for what a priority fee comes to.
SWAP_UNITS = 300_000
_PATIENCE_SECONDS = 15.0
#: The account every cluster keeps its clock in, and where its unix time stands there.
_CLOCK, _CLOCK_AT = "SysvarC1ock11111111111111111111111111111111", 32


@dataclass(frozen=True, slots=True)
class Look:
    """What the nodes answered, by name; a failure stands where an answer would."""

    standing: Standing
    slots: dict[str, Any]
    chain_time: int | None
    fees: list[int]


def look() -> Look | None:
    """Ask the nodes everything at once; None when there is no node."""
    if not nodes.names():
        return None
    return nodes.ask(_look, timeout_seconds=_PATIENCE_SECONDS)


async def _look(pool: NodePool) -> Look:
    standing = await cluster.look(pool)
    slots = await pool.each(lambda name: pool.slot(node=name))
    return Look(standing, slots, await _chain_time(pool), await _fees(pool))


async def _chain_time(pool: NodePool) -> int | None:
    """Return the chain's own time, in seconds since 1970: what its clock account says."""
    try:
        (clock,) = await pool.accounts([_CLOCK])
    except NodeError:
        return None
    if clock is None or len(clock.data) < _CLOCK_AT + 8:
        return None
    return int.from_bytes(clock.data[_CLOCK_AT : _CLOCK_AT + 8], "little", signed=True)


async def _fees(pool: NodePool) -> list[int]:
    try:
        return await pool.recent_fees()
    except NodeError:
        return []


def findings(seen: Look | None, *, live: bool) -> Iterator[Finding]:
    """Judge what the nodes answered."""
    if seen is None:
        yield needed("nodes", "No Solana node is configured.", "Set SOLANA_RPC_URLS, two of them at best.", now=live)
        return
    yield from _of_each(seen, live=live)
    yield from _cluster(seen)
    yield from _apart(seen)
    yield from _clock(seen.chain_time)
    yield from _cost(seen.fees)


def _of_each(seen: Look, *, live: bool) -> Iterator[Finding]:
    for name, told in seen.slots.items():
        if isinstance(told, NodeError):
            yield needed("nodes", f"{name} does not answer ({told.code}).", "Look at its URL and plan.", now=live)
        else:
            yield ok("nodes", f"{name} is at slot {told:,}.")
    if len(seen.slots) < 2:
        yield warn(
            "nodes",
            "There is one node only: what one alone says never proves that an order can land no more.",
            "Add a second one, of another provider, to SOLANA_RPC_URLS.",
        )


def _cluster(seen: Look) -> Iterator[Finding]:
    standing = seen.standing
    if standing.mixed:
        told = ", ".join(f"{name}: {genesis[:8]}…" for name, genesis in sorted(standing.genesis.items()))
        yield fail("cluster", f"The nodes are of different clusters ({told}).", "Put SOLANA_RPC_URLS right.")
    elif standing.cluster is None:
        yield warn("cluster", "No node told which cluster it is of.", "See the nodes above.")
    elif standing.cluster is Cluster.MAINNET and settings.DEMO_DESK:
        yield fail("cluster", "A demo desk points at mainnet.", "Set SOLDESK_DEMO=0, or take the nodes out.")
    else:
        yield ok("cluster", f"{standing.cluster.label}.")


def _apart(seen: Look) -> Iterator[Finding]:
    slots = {name: slot for name, slot in seen.slots.items() if isinstance(slot, int)}
    if len(slots) < 2:
        return
    behind = min(slots, key=lambda name: slots[name])
    lag = max(slots.values()) - slots[behind]
    if lag > LAG_SLOTS:
        level = fail if lag > BROKEN_LAG_SLOTS else warn
        yield level("nodes", f"{behind} is {lag:,} slots behind.", "Replace it if it stays so.")
    else:
        yield ok("nodes", f"They are {lag} slots apart.")


def _clock(chain_time: int | None) -> Iterator[Finding]:
    if chain_time is None:
        yield warn("clock", "No node told the chain's time.", "See the nodes above.")
        return
    apart = abs(time.time() - chain_time)
    if apart > CLOCK_SECONDS:
        level = fail if apart > BROKEN_CLOCK_SECONDS else warn
        yield level("clock", f"Ours is {apart:.0f} s away from the chain's.", "Set this machine's clock (NTP).")
    else:
        yield ok("clock", f"Within {apart:.0f} s of the chain's.")


def _cost(fees: list[int]) -> Iterator[Finding]:
    """Compare what a hurried swap pays now with the cap of all fees; micro-lamports per compute unit."""
    if not fees:
        yield warn("fees", "No node told recent priority fees.", "See the nodes above.")
        return
    high = sorted(fees)[len(fees) * 9 // 10]
    lamports = high * SWAP_UNITS // 1_000_000
    cap = settings.LIVE_MAX_FEE_LAMPORTS
    if lamports > cap:
        yield warn(
            "fees",
            f"A hurried swap pays {lamports:,} lamports now, the cap is {cap:,}.",
            "Raise LIVE_MAX_FEE_LAMPORTS and the signer's SIGNER_MAX_FEE_LAMPORTS, or wait.",
        )
    else:
        yield ok("fees", f"A hurried swap pays {lamports:,} lamports now; the cap is {cap:,}.")
