"""Making and finding wallets."""

from __future__ import annotations

import secrets

from apps.agents.events import AgentCreated
from apps.agents.models import Agent, TradingMode
from apps.wallets import errors
from apps.wallets.domain import addresses
from apps.wallets.models import Wallet


def create_simulation_wallet(event: AgentCreated) -> None:
    """Give a new agent its simulation wallet, in the transaction that makes the agent."""
    address = addresses.simulated(secrets.token_bytes(30))
    Wallet.objects.create(agent=event.agent, wallet_type=TradingMode.SIMULATION, address=address)


def wallet_for(*, agent: Agent, address: str | None = None) -> Wallet:
    """Return the agent's wallet at `address`, or the one of its present mode.

    Raises:
        WalletNotFound: the agent has no such wallet (now).
    """
    wallets = Wallet.objects.filter(agent=agent, released_at=None)
    wallet = (
        wallets.filter(address=address).first() if address else wallets.filter(wallet_type=agent.trading_mode).first()
    )
    if wallet is None:
        raise errors.WalletNotFound()
    return wallet
