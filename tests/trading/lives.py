"""A position with a past: bought on a signal, its stop raised, profit taken twice, added to; as the services leave it.

Rows only, for tests of what is told and shown; times count from `opened`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.agents.models import Agent
from apps.trading.models import ExitIntent, IntentKind, IntentStatus, Position, Verdict
from apps.wallets.models import Transaction
from tests import factories

PRICED = {"source": "jupiter", "priceAgeSeconds": 0.4, "doubt": None}


def bought_on_a_signal(agent: Agent, opened: datetime, *, symbol: str = "WIF") -> Position:
    """Open a position of 1,000 tokens for 1 SOL, with its verdict."""
    token = factories.make_token(symbol)
    signal = factories.make_signal(agent.user, token, signal_type="Momentum", signal_strength=4, source="scanner")
    position = factories.make_position(
        agent, token, signal=signal, invested="1", price="0.001", opened_at=opened, stop_updated_at=opened
    )
    inputs = {"balanceSol": "10", "sizeSol": "1", "category": "medium", "draw": "0.42", "stopPercent": "-32"}
    factories.make_execution(signal, agent, verdict=Verdict.EXECUTED, position=position, inputs=inputs)
    return position


def live_on(position: Position, opened: datetime) -> Position:
    """Raise the stop twice, take profit twice (the second time at two levels), add once; a minute between each."""

    def minute(number: int) -> datetime:
        return opened + timedelta(minutes=number)

    factories.make_stop_move(position, peak="0.0013", percent="20", price="0.0012", created_at=minute(1))
    factories.make_stop_move(position, peak="0.00146", percent="36", price="0.00136", created_at=minute(2))
    first = factories.take_profit(position, tokens="250", proceeds="0.4", at=minute(3))
    fired("take_profit", first, position, at=minute(3), price="0.0016", details=profit_details("60", 0, "50"))
    second = factories.take_profit(position, tokens="500", proceeds="2", at=minute(4), levels=2)
    details = {**profit_details("300", 1, "150", "300"), "booked": {"levelsHit": "3", "moonBagTokens": "100"}}
    fired("take_profit", second, position, at=minute(4), price="0.004", details=details)
    more = factories.add_to(position, invested="0.6", price="0.0008", at=minute(5))
    progress = {"take_profit_start_level": 3, "take_profit_total_levels": 7, "moon_bag_activated": True}
    Position.objects.filter(pk=position.pk).update(moon_bag_amount=Decimal(100), **progress)
    details = {
        **PRICED,
        "averagePriceSol": "0.001",
        "changePercent": "-20",
        "dropPercent": "-20",
        "buyPercent": "75",
        "dcaNumber": 1,
        "booked": {"stopPercent": "-32", "stopPriceSol": "0.000621714285714285714286"},
    }
    fired("dca", more, position, at=minute(5), price="0.0008", details=details)
    position.refresh_from_db()
    return position


def profit_details(change: str, first_level: int, *targets: str) -> dict[str, Any]:
    """Return what the watch writes when take-profit levels fire at an average of 0.001."""
    return {
        **PRICED,
        "averagePriceSol": "0.001",
        "changePercent": change,
        "levels": [{"targetPercent": target, "sellPercent": "25"} for target in targets],
        "firstLevel": first_level,
        "levelsHit": first_level,
        "booked": {"levelsHit": str(first_level + len(targets))},
    }


def fired(
    reason: str, fill: Transaction | None, position: Position, *, at: datetime, price: str | None = None, **fields: Any
) -> ExitIntent:
    """Write the intent a fill belongs to, as the watch fired it and the booking left it."""
    assert fill is not None
    intent = factories.make_intent(
        position,
        reason=reason,
        kind=IntentKind.ADJUST if reason in ("take_profit", "dca") else IntentKind.CLOSE,
        status=IntentStatus.DONE,
        transaction=fill,
        trigger_price_sol=None if price is None else Decimal(price),
        attempts=fields.pop("attempts", 1),
        finished_at=fill.transaction_time,
        **fields,
    )
    ExitIntent.objects.filter(pk=intent.pk).update(created_at=at)
    return intent
