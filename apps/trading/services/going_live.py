"""Switching an agent to live: what its owner must have seen, what must be there, and the entry that says who did it.

Over the API a mode is only a field, as shipped front ends expect: without a loaded wallet the gate refuses every buy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents import services as agents
from apps.agents.models import Agent, TradingMode
from apps.chain import nodes
from apps.chain.errors import NodeError
from apps.core.errors import Conflict
from apps.core.money import SOL_MINT, lamports_to_sol
from apps.trading.domain.loss_limits import Bounds
from apps.trading.services import loss_limits
from apps.wallets.models import Balance, LiveKey, Wallet
from apps.wallets.signer_client import Signer, SignerRefused, SignerStatus, SignerUnavailable

LIVE_WALLET_MISSING = "LIVE_WALLET_MISSING"
WALLET_NOT_LOADED = "WALLET_NOT_LOADED"
CHAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Prospect:
    """What an agent would trade live with. None: nobody told (`signer`, `chain_sol`), or there is none (`wallet`)."""

    wallet: Wallet | None
    loaded: bool
    booked_sol: Decimal
    chain_sol: Decimal | None
    signer: SignerStatus | None
    own_limits: Bounds
    desk_limits: Bounds

    @property
    def refusal(self) -> Conflict | None:
        """Why the agent cannot go live, or None."""
        return _refusal(self.wallet, self.loaded)


def list_unready() -> list[tuple[Agent, Conflict]]:
    """Return the agents that are live and can buy nothing, with why: over the API a mode is only a field."""
    live = list(Agent.objects.filter(trading_mode=TradingMode.LIVE, archived_at=None).order_by("name", "pk"))
    wallets = {
        wallet.agent_id: wallet
        for wallet in Wallet.objects.filter(agent__in=live, wallet_type=TradingMode.LIVE, released_at=None)
    }
    addresses = [wallet.address for wallet in wallets.values()]
    loaded = set(LiveKey.objects.filter(address__in=addresses, loaded=True).values_list("address", flat=True))
    found = [(agent, wallets.get(agent.pk)) for agent in live]
    told = [(agent, _refusal(wallet, wallet is not None and wallet.address in loaded)) for agent, wallet in found]
    return [(agent, refusal) for agent, refusal in told if refusal is not None]


def find_unready(agent: Agent) -> Conflict | None:
    """Return why an agent that is live can buy nothing; None when it can, or trades in simulation."""
    if agent.trading_mode != TradingMode.LIVE or agent.archived_at is not None:
        return None
    wallet = Wallet.objects.filter(agent=agent, wallet_type=TradingMode.LIVE, released_at=None).first()
    return _refusal(wallet, _is_loaded(wallet))


def look_ahead(agent: Agent) -> Prospect:
    """Return what an agent would trade live with; asks signer and node, for two seconds at most."""
    wallet = Wallet.objects.filter(agent=agent, wallet_type=TradingMode.LIVE, released_at=None).first()
    balance = Balance.objects.filter(wallet=wallet, mint=SOL_MINT).first() if wallet is not None else None
    return Prospect(
        wallet=wallet,
        loaded=_is_loaded(wallet),
        booked_sol=Decimal(0) if balance is None else balance.amount + balance.held,
        chain_sol=None if wallet is None else _on_chain(wallet.address),
        signer=_signer_status(),
        own_limits=loss_limits.find_limit(agent=agent, trading_mode=TradingMode.LIVE),
        desk_limits=loss_limits.find_limit(agent=None, trading_mode=TradingMode.LIVE),
    )


def go_live(*, agent: Agent, actor: User | None, seen: Mapping[str, Any]) -> Agent:
    """Switch the agent to live; `seen` is what `actor` was shown and goes to the audit log with the switch.

    Locks the agent's state row. Open positions of the simulation stay watched in their wallet.

    Raises:
        Conflict: LIVE_WALLET_MISSING, WALLET_NOT_LOADED. AgentNotFound: archived meanwhile.
    """
    with database.atomic():
        locks.lock_states([agent.pk])
        wallet = Wallet.objects.filter(agent=agent, wallet_type=TradingMode.LIVE, released_at=None).first()
        refusal = _refusal(wallet, _is_loaded(wallet))
        if refusal is not None:
            raise refusal
        before = agent.trading_mode
        agent = agents.update_agent(agent=agent, actor=actor, trading_mode=TradingMode.LIVE)
        audit.record(
            actor=actor,
            action="agent.went_live",
            object_type="agent",
            object_id=agent.pk,
            before={"trading_mode": before},
            after={"trading_mode": agent.trading_mode, "seen": dict(seen)},
        )
    return agent


def _refusal(wallet: Wallet | None, loaded: bool) -> Conflict | None:
    if wallet is None:
        return Conflict(LIVE_WALLET_MISSING, "The agent has no live wallet: assign one first.")
    if not loaded:
        return Conflict(WALLET_NOT_LOADED, "The signer has no key for the agent's live wallet: load or unlock it.")
    return None


def _is_loaded(wallet: Wallet | None) -> bool:
    return wallet is not None and LiveKey.objects.filter(address=wallet.address, loaded=True).exists()


def _on_chain(address: str) -> Decimal | None:
    if not nodes.names():
        return None
    try:
        told = nodes.ask(lambda pool: pool.balance(address), timeout_seconds=CHAIN_SECONDS)
    except (NodeError, TimeoutError):
        return None
    return lamports_to_sol(told.lamports)


def _signer_status() -> SignerStatus | None:
    if settings.SIGNER_SOCKET is None:
        return None
    try:
        return Signer(settings.SIGNER_SOCKET).status()
    except (SignerUnavailable, SignerRefused):
        return None
