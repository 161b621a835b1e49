"""The demo desk: an agent for every way out of a position on the sandbox's market: a new user sees each of them.

Names say what is to be seen. Stops are close, cool-downs and hold times short: the sandbox's charts last half a minute.
"""

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
from apps.core import demo_webhook
from apps.core.money import SOL_MINT
from apps.notify.services import endpoints
from apps.wallets.services import deposits, wallets

SIGNAL_KEY_NAME = "Sandbox signal source"
WEBHOOK_NAME = "Sandbox receiver"
WEBHOOK_EVENTS = ("position.opened", "position.closed", "alert", "trading_state.changed")


@dataclass(frozen=True, slots=True)
class DemoAgent:
    """An agent of the demo desk: its money in SOL and how its configuration differs from the defaults."""

    name: str
    sol: Decimal
    config: dict[str, Any]


def _sizes(minimum: float, maximum: float) -> dict[str, Any]:
    span = {"min": minimum, "max": maximum}
    return {"positionSizes": {"small": span, "medium": span, "large": span}}


def _stop(mode: str, default: float, **more: Any) -> dict[str, Any]:
    return {"mode": mode, "defaultPercentage": default, **more}


def _stale(minutes: float, minimum: float, maximum: float) -> dict[str, Any]:
    return {"minHoldTimeMinutes": minutes, "minProfitPercent": minimum, "maxProfitPercent": maximum}


def _take_profit(mode: str) -> dict[str, Any]:
    return {"enabled": True, "mode": mode}


def _dca(mode: str) -> dict[str, Any]:
    return {"enabled": True, "mode": mode, "cooldownSeconds": 10}


#: What has gone nowhere for this long makes room for the next signal.
_NOWHERE = _stale(8, -4, 8)

DEMO_AGENTS = (
    DemoAgent(
        "Scalper, stale after a minute",
        Decimal(60),
        {
            "stopLoss": _stop("fixed", -3),
            "staleTrade": _stale(1, 0.5, 8),
            "positionCalculator": _sizes(0.2, 0.5),
        },
    ),
    DemoAgent(
        "Fixed stop",
        Decimal(80),
        {"stopLoss": _stop("fixed", -6), "staleTrade": _NOWHERE, "positionCalculator": _sizes(0.25, 0.25)},
    ),
    DemoAgent(
        "Exponential stop",
        Decimal(120),
        {
            "stopLoss": _stop("exponential", -12),
            "staleTrade": _NOWHERE,
            "signals": {"minScore": 2, "allowedSignalTypes": ["Momentum", "Breakout", "Whale Buy"]},
            "positionCalculator": _sizes(0.8, 1.5),
        },
    ),
    DemoAgent(
        "Zones stop, careful",
        Decimal(40),
        {
            "stopLoss": _stop("zones", -8),
            "staleTrade": _NOWHERE,
            "signals": {"minScore": 3, "liquidityMin": 5000},
            "purchaseLimits": {"maxPriceImpact": 0.02, "minimumAgentBalance": 10},
            "positionCalculator": _sizes(0.3, 0.6),
        },
    ),
    DemoAgent(
        "Own stop levels, whale signals",
        Decimal(250),
        {
            "stopLoss": _stop(
                "custom",
                -10,
                trailingLevels=[
                    {"change": 100, "stopLoss": 60},
                    {"change": 50, "stopLoss": 20},
                    {"change": 15, "stopLoss": 3},
                ],
            ),
            "staleTrade": _NOWHERE,
            "signals": {"allowedSignalTypes": ["Whale Buy"]},
            "purchaseLimits": {"maxPurchasePerToken": 4},
            "positionCalculator": _sizes(2, 4),
        },
    ),
    DemoAgent(
        "Take profit, moderate",
        Decimal(80),
        {
            "stopLoss": _stop("zones", -20),
            "takeProfit": _take_profit("moderate"),
            "staleTrade": _NOWHERE,
            "positionCalculator": _sizes(0.4, 0.8),
        },
    ),
    DemoAgent(
        "Take profit, aggressive, moon bag",
        Decimal(80),
        {
            "stopLoss": _stop("exponential", -15),
            "takeProfit": _take_profit("aggressive"),
            "staleTrade": _NOWHERE,
            "positionCalculator": _sizes(0.4, 0.8),
        },
    ),
    DemoAgent(
        "DCA, moderate",
        Decimal(100),
        {
            "stopLoss": _stop("fixed", -35),
            "dca": _dca("moderate"),
            "staleTrade": _NOWHERE,
            "positionCalculator": _sizes(0.3, 0.6),
        },
    ),
    DemoAgent(
        "DCA, aggressive, and take profit",
        Decimal(120),
        {
            "stopLoss": _stop("zones", -30),
            "dca": _dca("aggressive"),
            "takeProfit": _take_profit("aggressive"),
            "staleTrade": _NOWHERE,
            "positionCalculator": _sizes(0.2, 0.4),
        },
    ),
)


def ensure(owner: User) -> list[Agent]:
    """Make the demo desk for `owner` once; a desk that has agents is left as it is. Returns what was made."""
    api_keys.ensure(user=owner, name=SIGNAL_KEY_NAME, scopes=[Scope.SIGNALS_CREATE], key=settings.SANDBOX_SIGNAL_KEY)
    if settings.WEBHOOKS_ALLOW_PRIVATE:
        url = f"{settings.SANDBOX_URL}{demo_webhook.PATH}"
        wish = endpoints.Wish(url=url, events=WEBHOOK_EVENTS, description=WEBHOOK_NAME)
        endpoints.ensure(user=owner, wish=wish, secret=demo_webhook.secret(settings.SANDBOX_SIGNAL_KEY))
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
