"""The demo desk's agent that trades live: real signatures on the sandbox chain, with play money from its faucet.

It can be made once the signer has said which key it holds: Beat looks every few seconds, and is done when it is funded.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.accounts.models import User
from apps.agents import services as agents
from apps.agents.models import Agent, TradingMode
from apps.chain import cluster, nodes
from apps.chain.pool import NodePool
from apps.console.demo import DEMO_AGENTS
from apps.core.money import sol_to_lamports
from apps.wallets.models import LiveKey, Transaction, Wallet
from apps.wallets.services import assignments, chain_deposits

NAME = "Live on the sandbox chain"
SOL = Decimal(25)
_AIRDROP_SECONDS = 10.0
CONFIG: dict[str, Any] = {
    "stopLoss": {"mode": "fixed", "defaultPercentage": -6},
    "takeProfit": {"enabled": True, "mode": "moderate"},
    "staleTrade": {"minHoldTimeMinutes": 4, "minProfitPercent": -4, "maxProfitPercent": 8},
    "positionCalculator": {"positionSizes": {size: {"min": 0.1, "max": 0.3} for size in ("small", "medium", "large")}},
}


def ensure(owner: User) -> bool:
    """Take the next step towards a funded live agent; tell whether there is nothing left to do.

    Each step may be the last this process takes: the next call goes on from there. A desk without the demo's agents,
    and whatever a person has made of this one since it was funded, is left as it is.

    Raises:
        SoldeskError: what assigning a wallet, asking a node or booking a deposit raises; the next call tries again.
    """
    if not Agent.objects.filter(user=owner, name=DEMO_AGENTS[0].name).exists():
        return True
    agent = Agent.objects.filter(user=owner, name=NAME).order_by("created_at").first()
    if agent is not None and (agent.archived_at is not None or _is_funded(agent)):
        return True
    key = LiveKey.objects.filter(loaded=True).order_by("address").first()
    if key is None or nodes.ask(cluster.confirm) is not cluster.Cluster.SANDBOX:
        return False
    if agent is None:
        agent = agents.create_agent(user=owner, name=NAME)
        agents.update_config(agent=agent, patch=CONFIG, actor=None)
    wallet = Wallet.objects.filter(agent=agent, wallet_type=TradingMode.LIVE, released_at=None).first()
    if wallet is None:
        wallet = assignments.assign_wallet(
            agent=agent, address=key.address, wallet_type=TradingMode.LIVE, actor=owner
        ).wallet
    agents.update_agent(agent=agent, actor=None, trading_mode=TradingMode.LIVE, automated_trading_live=True)
    address = wallet.address
    if nodes.ask(lambda pool: pool.balance(address)).lamports == 0:
        nodes.ask(lambda pool: _airdrop(pool, address))
    chain_deposits.check_deposits(wallet=wallet, actor=None)
    return _is_funded(agent)


async def _airdrop(pool: NodePool, address: str) -> None:
    """Ask for the play money and wait until it has come: asked again before that, the faucet would give it twice."""
    signature = await pool.airdrop(address, sol_to_lamports(SOL))
    await pool.wait_for_signature(signature, _AIRDROP_SECONDS)


def _is_funded(agent: Agent) -> bool:
    return Transaction.objects.filter(agent=agent, wallet__wallet_type=TradingMode.LIVE).exists()
