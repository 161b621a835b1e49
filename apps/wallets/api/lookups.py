"""What the bodies of several routes name: a wallet of an agent."""

from __future__ import annotations

from apps.agents.models import Agent
from apps.core.errors import Invalid
from apps.wallets.errors import WalletNotFound
from apps.wallets.models import Wallet
from apps.wallets.services import wallets


def named_wallet(agent: Agent, address: str | None) -> Wallet:
    """Return the agent's wallet a body names, or that of its present mode; an unknown one is the body's mistake.

    Raises:
        Invalid: WALLET_NOT_FOUND.
    """
    try:
        return wallets.wallet_for(agent=agent, address=address)
    except WalletNotFound as error:
        raise Invalid(error.code, error.message) from None
