"""The demo desk: five traders of different temper on the sandbox's market, so that a new user sees the desk at work."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.accounts.models import Scope, User
from apps.accounts.services import api_keys
from apps.agents import services as agents
from apps.agents.models import Agent
from apps.core.money import SOL_MINT
from apps.wallets.services import deposits, wallets

SIGNAL_KEY_NAME = "Sandbox signal source"


@dataclass(frozen=True, slots=True)
class DemoAgent:
    """An agent of the demo desk: its money in SOL and how its configuration differs from the defaults."""

    name: str
    sol: Decimal
    config: dict[str, Any]


def _sizes(minimum: float, maximum: float) -> dict[str, Any]:
    span = {"min": minimum, "max": maximum}
    return {"positionSizes": {"small": span, "medium": span, "large": span}}


DEMO_AGENTS = (
    DemoAgent(
        "Scalper",
        Decimal(60),
        {
            "stopLoss": {"defaultPercentage": -2},
            "staleTrade": {"minHoldTimeMinutes": 1, "minProfitPercent": -1, "maxProfitPercent": 2},
            "positionCalculator": _sizes(0.2, 0.5),
        },
    ),
    DemoAgent(
        "Trend follower",
        Decimal(120),
        {
            "stopLoss": {"defaultPercentage": -8},
            "signals": {"minScore": 2, "allowedSignalTypes": ["Momentum", "Breakout"]},
            "positionCalculator": _sizes(0.8, 1.5),
        },
    ),
    DemoAgent(
        "Careful",
        Decimal(40),
        {
            "stopLoss": {"defaultPercentage": -4},
            "signals": {"minScore": 4, "liquidityMin": 5000},
            "purchaseLimits": {"maxPriceImpact": 0.02, "minimumAgentBalance": 10},
            "positionCalculator": _sizes(0.3, 0.6),
        },
    ),
    DemoAgent(
        "Whale watcher",
        Decimal(250),
        {
            "stopLoss": {"defaultPercentage": -12},
            "signals": {"allowedSignalTypes": ["Whale Buy"]},
            "purchaseLimits": {"maxPurchasePerToken": 4},
            "positionCalculator": _sizes(2, 4),
        },
    ),
    DemoAgent(
        "Everything",
        Decimal(80),
        {"stopLoss": {"defaultPercentage": -5}, "positionCalculator": _sizes(0.25, 0.25)},
    ),
)


def ensure(owner: User) -> list[Agent]:
    """Make the demo desk for `owner` once; a desk that has agents is left as it is. Returns what was made."""
    api_keys.ensure(user=owner, name=SIGNAL_KEY_NAME, scopes=[Scope.SIGNALS_CREATE], key=settings.SANDBOX_SIGNAL_KEY)
    if Agent.objects.filter(user=owner).exists():
        return []
    return [_make(owner, wanted) for wanted in DEMO_AGENTS]


@transaction.atomic
def _make(owner: User, wanted: DemoAgent) -> Agent:
    agent = agents.create_agent(user=owner, name=wanted.name)
    agents.update_config(agent=agent, patch=wanted.config, actor=None)
    deposits.deposit(
        agent=agent,
        wallet=wallets.wallet_for(agent=agent),
        mint=SOL_MINT,
        symbol="SOL",
        amount=wanted.sol,
        actor=None,
    )
    return agent
