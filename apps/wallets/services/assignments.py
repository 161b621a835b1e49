"""Giving an agent another wallet. None is ever rewritten: the old one is released with its books, a new row begins.

Taking a wallet away for good ends its trading first and is `trading`'s use case.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.errors import AgentNotFound
from apps.agents.models import Agent, TradingMode
from apps.core import bulk, events, outbox
from apps.wallets import errors, selectors
from apps.wallets.domain import addresses
from apps.wallets.events import WalletReplacing
from apps.wallets.models import Network, Wallet
from apps.wallets.services import books

#: One assignment at a time: two agents that swap their addresses would wait for each other for ever.
_ASSIGNMENTS_LOCK = 0x50F7_A551


@dataclass(frozen=True, slots=True)
class Assignment:
    """The agent's wallet now. `first` unless another one of its type made room, or it was this one already."""

    wallet: Wallet
    network: Network
    first: bool


def assign_wallet(*, agent: Agent, address: str, wallet_type: str, actor: User) -> Assignment:
    """Give the agent the wallet at `address`; one of the same type that it has makes room, its books stay behind.

    Assigning what is assigned already changes nothing. Locks assignments, agent state, then the wallet that makes room.

    Raises:
        SimulationAddress, LiveAddress: the address is not of this type.
        WalletNotLoaded: no key for it that `actor` may use. WalletInUse: another agent has it.
        AgentNotFound: archived meanwhile; and what a subscriber of `WalletReplacing` raises, e.g. POSITIONS_OPEN.
    """
    network = _network(address, wallet_type, actor)
    with database.atomic():
        bulk.fetch_all("SELECT pg_advisory_xact_lock(%s)", [_ASSIGNMENTS_LOCK])
        locks.lock_states([agent.pk])
        if not Agent.objects.filter(pk=agent.pk, archived_at=None).exists():
            raise AgentNotFound
        taken = Wallet.objects.filter(address=address, released_at=None).first()
        if taken is not None and (taken.agent_id, taken.wallet_type) != (agent.pk, wallet_type):
            raise errors.WalletInUse
        if taken is not None:
            return Assignment(taken, network, first=False)
        before = Wallet.objects.filter(agent=agent, wallet_type=wallet_type, released_at=None).first()
        if before is not None:
            books.lock_wallets([before.pk])
            events.publish(WalletReplacing(before.pk))
            release([before.pk])
        wallet = Wallet.objects.create(agent=agent, wallet_type=wallet_type, address=address)
        audit.record(
            actor=actor,
            action="wallet.assigned",
            object_type="wallet",
            object_id=wallet.pk,
            before=None if before is None else {"wallet": before.pk, "address": before.address},
            after={"agent": agent.pk, "address": address, "type": wallet_type},
        )
        payload = {"agentId": str(agent.pk), "walletAddress": address, "walletType": wallet_type}
        outbox.append([outbox.Message(outbox.user_stream(agent.user_id), "wallet_assigned", payload)])
    return Assignment(wallet, network, first=before is None)


def release(wallet_ids: list[UUID]) -> None:
    """Free addresses and places of locked wallets, in the caller's transaction; rows and books stay."""
    bulk.execute(
        "UPDATE wallet SET released_at = clock_timestamp(), updated_at = clock_timestamp() WHERE id = ANY(%s)",
        [wallet_ids],
    )


def _network(address: str, wallet_type: str, actor: User) -> Network:
    """Return where the wallet lives; refuses an address that is not of its type, or whose key is not there."""
    if wallet_type == TradingMode.SIMULATION:
        if not addresses.is_simulated(address):
            raise errors.LiveAddress
        return Network.TESTNET
    if addresses.is_marked(address):
        raise errors.SimulationAddress
    key = selectors.assignable_keys(user=actor).filter(address=address).first()
    if key is None:
        raise errors.WalletNotLoaded
    return Network(key.network)
