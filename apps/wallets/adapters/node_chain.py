"""What addresses hold, by the desk's nodes: each is asked for itself, so that what they say can be compared."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from apps.chain import nodes
from apps.chain.domain.answers import TOKEN_PROGRAMS, TokenAccount
from apps.chain.errors import NodeError, NodeRateLimited
from apps.chain.pool import NodePool
from apps.core.money import SOL_MINT, ZERO, from_base_units, lamports_to_sol, sol_to_lamports
from apps.wallets.domain.reconciliation import Holdings
from apps.wallets.errors import ChainUnavailable
from apps.wallets.ports import ChainBalance

_AT_ONCE = 8
_SECONDS, _SECONDS_TO_SPARE = 45.0, 5.0
_QUESTIONS, _PAUSE_SECONDS = 4, 0.3


class NodeChain:
    """The nodes of SOLANA_RPC_URLS, from a thread."""

    @property
    def nodes(self) -> int:
        return len(nodes.names())

    def balance(self, address: str, *, min_slot: int) -> ChainBalance:
        """Return the SOL two nodes agree on, or the only node's; they are asked again while they differ.

        Raises:
            ChainUnavailable: too few answered, or they do not agree.
        """
        try:
            told = nodes.ask(lambda pool: _agreed(pool, address, min_slot), timeout_seconds=_SECONDS)
        except (NodeError, TimeoutError):
            raise ChainUnavailable from None
        if told is None:
            raise ChainUnavailable("The nodes of the chain do not agree on what this wallet holds: try again shortly")
        return told

    def holdings(self, addresses: Mapping[str, int]) -> Mapping[str, Sequence[Holdings]]:
        """Return what each node that answered said of each address."""
        try:
            return nodes.ask(lambda pool: _of_all(pool, addresses), timeout_seconds=_SECONDS)
        except TimeoutError:
            return {}


async def _of_all(pool: NodePool, addresses: Mapping[str, int]) -> dict[str, list[Holdings]]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(address: str, min_slot: int) -> list[Holdings]:
        async with places:
            return await _by_each(pool, address, min_slot)

    told = await asyncio.gather(*(one(address, min_slot) for address, min_slot in addresses.items()))
    return dict(zip(addresses, told, strict=True))


async def _agreed(pool: NodePool, address: str, min_slot: int) -> ChainBalance | None:
    for question in range(_QUESTIONS):
        if question:
            await asyncio.sleep(_PAUSE_SECONDS)
        told = await _by_each(pool, address, min_slot)
        by_lamports: dict[Decimal, list[int]] = defaultdict(list)
        for each in told:
            by_lamports[each.amounts.get(SOL_MINT, ZERO)].append(each.slot)
        enough = [(sol, slots) for sol, slots in by_lamports.items() if len(slots) >= min(2, len(pool.names))]
        if len(enough) == 1:
            sol, slots = enough[0]
            return ChainBalance(sol_to_lamports(sol), min(slots))
    return None


async def _by_each(pool: NodePool, address: str, min_slot: int) -> list[Holdings]:
    told = await pool.each(lambda node: _patiently(pool, node, address, min_slot))
    return [each for each in told.values() if isinstance(each, Holdings)]


async def _patiently(pool: NodePool, node: str, address: str, min_slot: int) -> Holdings:
    """Ask one node, again when a call is free where none is left just now: many wallets may be more than its rate."""
    until = time.monotonic() + _SECONDS - _SECONDS_TO_SPARE
    while True:
        try:
            return await _by_one(pool, node, address, min_slot)
        except NodeRateLimited as limited:
            if time.monotonic() + limited.retry_after_seconds > until:
                raise
            await asyncio.sleep(max(limited.retry_after_seconds, _PAUSE_SECONDS))


async def _by_one(pool: NodePool, node: str, address: str, min_slot: int) -> Holdings:
    """Ask one node for everything; its answers may be some slots apart, which the next look puts right."""
    balance, tokens = await asyncio.gather(
        pool.balance(address, min_slot, node=node),
        asyncio.gather(
            *(
                pool.token_accounts_of(address, program, min_context_slot=min_slot, node=node)
                for program in TOKEN_PROGRAMS
            )
        ),
    )
    accounts = [row for each in tokens for row in each.rows]
    slot = min(balance.slot, *(each.slot for each in tokens))
    return Holdings(node, slot, _amounts(balance.lamports, accounts))


def _amounts(lamports: int, accounts: Sequence[TokenAccount]) -> dict[str, Decimal]:
    """Return whole tokens by mint. Wrapped SOL is SOL; the rent that accounts hold is a deposit, no balance."""
    wrapped = sum(account.amount for account in accounts if account.mint == SOL_MINT)
    amounts: dict[str, Decimal] = {SOL_MINT: lamports_to_sol(lamports + wrapped)}
    for account in accounts:
        if account.mint != SOL_MINT:
            amounts[account.mint] = amounts.get(account.mint, ZERO) + from_base_units(account.amount, account.decimals)
    return amounts
