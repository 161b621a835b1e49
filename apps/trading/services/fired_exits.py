"""From what a rule decided to the intent that carries it out: the reason, and every number that decided, as text.

`details` is what the position's story is told from; its keys are those of the wire.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.core.money import quantize_price
from apps.trading.book.judging import Fired
from apps.trading.domain import pnl, watch_rules
from apps.trading.models import IntentKind
from apps.trading.presentation import plain
from apps.trading.services.exit_intents import FiredExit


def from_fired(fired: Fired, now: datetime) -> FiredExit:
    """Return the intent to be written for a position a rule fired for."""
    position, verdict = fired.position, fired.verdict
    return FiredExit(
        position_id=position.id,
        kind=IntentKind.CLOSE if verdict.closes else IntentKind.ADJUST,
        reason=verdict.reason or "",
        generation=position.generation,
        mint=position.mint,
        trigger_price_sol=fired.point.price_sol,
        needs_confirmation=fired.doubt is not None,
        details=_details(fired, now),
    )


def _details(fired: Fired, now: datetime) -> dict[str, Any]:
    position, verdict, point = fired.position, fired.verdict, fired.point
    average = position.books.average_price
    change = pnl.price_change(average, point.price_sol)
    stop = verdict.stop
    return {
        "source": str(point.source),
        "priceAgeSeconds": round(point.age(now).total_seconds(), 3),
        "doubt": fired.doubt,
        "averagePriceSol": plain(average),
        "changePercent": _percent(change),
        "peakPriceSol": plain(quantize_price(fired.peak_price)),
        "stopPercent": None if stop is None else plain(stop.percent),
        "stopPriceSol": None if stop is None else plain(quantize_price(stop.price)),
        **_of_rule(fired, now),
    }


def _of_rule(fired: Fired, now: datetime) -> dict[str, Any]:
    position, verdict = fired.position, fired.verdict
    if verdict.reason == watch_rules.STALE_TRADE:
        return {"heldMinutes": _percent(watch_rules.minutes_between(position.opened_at, now))}
    if verdict.take_profit is not None:
        return {
            "levels": [
                {"targetPercent": plain(level.target_percent), "sellPercent": plain(level.sell_percent)}
                for level in verdict.take_profit.levels
            ],
            "firstLevel": position.books.levels_hit - position.books.batch_start,
            "levelsHit": position.books.levels_hit,
        }
    if verdict.dca is not None and verdict.dca.level is not None:
        return {
            "dropPercent": plain(verdict.dca.level.drop_percent),
            "buyPercent": plain(verdict.dca.level.buy_percent),
            "dcaNumber": position.books.dca_count + 1,
        }
    return {}


def _percent(value: Decimal) -> str:
    return plain(value.quantize(Decimal("0.0001")))
