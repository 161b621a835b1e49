"""What tests of take profits and DCAs share: positions whose agents have the rules, fired by hand at a market price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.core import bulk
from apps.core.money import SOL_MINT
from apps.trading.models import ExitIntent, IntentKind, Position
from apps.trading.services import exit_intents
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.models import Balance
from tests import factories
from tests.sandbox_server import SandboxControl, SandboxToken
from tests.trading import closing

#: At +50 % and +100 % a quarter each, at +200 % the other half; no bag.
LADDER = [(50, 25), (100, 25), (200, 50)]
#: The market is deep: a quote's own impact and the pools' fees decide nothing by accident.
DEEP = {"liquidity_sol": "1000000"}


def taking(
    levels: list[tuple[int, int]] | None = None, *, bag: tuple[int, int] | None = None, **sections: Any
) -> dict[str, Any]:
    """Return a configuration that takes profit at (gain, share) levels; `bag` is (gain, share) of a moon bag."""
    trigger, retain = bag or (100, 10)
    return {
        "takeProfit": {
            "enabled": True,
            "mode": "custom",
            "levels": [{"targetPercent": gain, "sellPercent": share} for gain, share in levels or LADDER],
            "moonBag": {"enabled": bag is not None, "triggerPercent": trigger, "retainPercent": retain},
        },
        **sections,
    }


def adding(drops: list[tuple[int, int]] | None = None, **sections: Any) -> dict[str, Any]:
    """Return a configuration that adds at (drop, share) levels, 20 % down and half the value by default."""
    levels = [{"dropPercent": drop, "buyPercent": share} for drop, share in drops or [(-20, 50), (-20, 50)]]
    limits = {"minimumAgentBalance": 0.5, "maxPurchasePerToken": 2, "maxPriceImpact": 0.05}
    return {
        "dca": {"enabled": True, "mode": "custom", "levels": levels, "maxDCACount": 3, "cooldownSeconds": 30},
        "purchaseLimits": limits,
        **sections,
    }


def holding(
    market: SandboxControl, config: dict[str, Any], *, sol: str = "10", token: SandboxToken | None = None, **fields: Any
) -> Position:
    """Open a position of one SOL in a deep token, of an agent of its own with these rules."""
    agent = factories.make_agent(sol=sol, config=config, **fields.pop("agent", {}))
    return closing.hold(agent, token or market.add_token(**DEEP), **fields)


def price_at(market: SandboxControl, position: Position, percent: str) -> Decimal:
    """Put the token that far from the position's average and return the price the market has then."""
    return market.set_price(position.mint, closing.at(position, percent))


def fire(position: Position, reason: str, price: Decimal | None, **details: Any) -> ExitIntent:
    """Fire an adjust as the watch does; fails when nothing was fired."""
    position.refresh_from_db()
    fired = exit_intents.fire([fired_of(position, reason, price, **details)])
    return ExitIntent.objects.get(pk=fired[position.pk])


def fired_of(position: Position, reason: str, price: Decimal | None, **details: Any) -> FiredExit:
    return FiredExit(
        position.pk,
        reason,
        position.generation,
        kind=IntentKind.ADJUST,
        trigger_price_sol=price,
        details={"source": "jupiter", **details},
        mint=position.mint,
    )


def fire_at(market: SandboxControl, position: Position, reason: str, percent: str) -> ExitIntent:
    """Move the market and fire at its price."""
    return fire(position, reason, price_at(market, position, percent))


def ended(intent: ExitIntent) -> tuple[str, str]:
    """Return an intent's status and its code."""
    intent.refresh_from_db()
    return intent.status, intent.last_error


def now(position: Position) -> Position:
    return Position.objects.select_related("wallet").get(pk=position.pk)


def sol(position: Position) -> Decimal:
    return Balance.objects.get(wallet_id=position.wallet_id, mint=SOL_MINT).amount


def age(intent: ExitIntent, seconds: float) -> None:
    """Let an intent have been fired that long ago."""
    ExitIntent.objects.filter(pk=intent.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))


def rested(intent: ExitIntent, seconds: float) -> None:
    """Let an intent have ended that long ago."""
    ExitIntent.objects.filter(pk=intent.pk).update(finished_at=timezone.now() - timedelta(seconds=seconds))


def set_config(position: Position, config: dict[str, Any]) -> None:
    """Store a configuration as it is, valid or not."""
    position.agent.trading_config = config
    position.agent.save(update_fields=["trading_config"])


def snapshot() -> list[Any]:
    """Return what a refused adjust must leave alone: books and positions."""
    tables = ("position", "transaction", "ledger_entry", "balance", "closed_trade")
    return [
        bulk.fetch_all(f"SELECT md5(COALESCE(string_agg(t::text, '' ORDER BY id), '')) FROM {name} t")
        for name in tables
    ]
