"""The durable rows a position's story is read from, for many positions at once: six queries, however many there are.

Raw rows in, `domain` values out; `story` makes the events of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from apps.core import bulk
from apps.core.money import ZERO
from apps.trading.domain.fill_history import BookedFill
from apps.trading.domain.story import Evidence, FiredRule, LevelOfPlan, StopRise
from apps.trading.selectors import undone_fills


@dataclass(frozen=True, slots=True)
class IntentRow:
    """An exit intent with what it fired for. `details` is what the watch and the booking wrote, maybe nothing."""

    id: int
    status: str
    fired: FiredRule
    details: Mapping[str, Any]
    trigger_tick: int | None
    due_at: datetime
    attempts: int
    last_error: str
    transaction_id: UUID | None
    finished_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.status in ("due", "leased")

    @property
    def booked(self) -> Mapping[str, Any]:
        """What the booking added to the details; empty before it, and in old rows."""
        found = self.details.get("booked")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """The signal a position was opened on, and the inputs of that verdict (None: it was not the signal's own buy)."""

    signal_id: int
    signal_type: str
    strength: int
    source: str
    inputs: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class TradeRow:
    """The closed trade of a position."""

    id: UUID
    at: datetime
    profit_sol: Decimal
    change_percent: Decimal
    profit_usd: Decimal | None


@dataclass(slots=True)
class StoryRows:
    """Everything that is stored of one position's story."""

    fills: list[BookedFill] = field(default_factory=list)
    intents: list[IntentRow] = field(default_factory=list)
    rises: list[tuple[int, StopRise]] = field(default_factory=list)
    opening: OpeningRow | None = None
    trade: TradeRow | None = None
    exits_halted: bool = False


# The ledger's numbers rise in the order of booking, under the wallet's lock; times of transactions need not.
_FILLS = f"""
SELECT t.position_id, t.id, t.transaction_time, coalesce(t.output_mint = p.mint, false),
       CASE WHEN t.output_mint = p.mint THEN t.output_amount ELSE t.input_amount END,
       CASE WHEN t.output_mint = p.mint THEN t.input_amount ELSE t.output_amount END,
       t.network_fee_sol, t.protocol_fee_sol,
       CASE WHEN t.output_mint = p.mint THEN t.output_price ELSE t.input_price END,
       t.price_impact, t.is_dca, t.is_take_profit, t.transaction_type = 'burn'
FROM transaction t
JOIN position p ON p.id = t.position_id
LEFT JOIN LATERAL (SELECT min(id) AS place FROM ledger_entry WHERE transaction_id = t.id) AS booked ON true
WHERE t.position_id = ANY(%s) AND t.transaction_type IN ('swap', 'burn') AND t.corrects_id IS NULL
  AND t.id NOT IN ({undone_fills.IDS})
ORDER BY t.position_id, booked.place NULLS LAST, t.transaction_time, t.id
"""
_INTENTS = """
SELECT i.position_id, i.id, i.status, i.reason, i.created_at, i.trigger_price_sol, i.details::text, u.email,
       i.trigger_tick, i.due_at, i.attempts, i.last_error, i.transaction_id, i.finished_at
FROM exit_intent i LEFT JOIN account u ON u.id = i.requested_by_id
WHERE i.position_id = ANY(%s) ORDER BY i.position_id, i.id
"""
_RISES = """
SELECT position_id, id, created_at, peak_price_sol, stop_percent, stop_price_sol, source, price_at
FROM stop_move WHERE position_id = ANY(%s) ORDER BY position_id, id
"""
_OPENINGS = """
SELECT p.id, s.id, s.signal_type, s.signal_strength, coalesce(s.source, ''), e.inputs::text, e.id IS NOT NULL
FROM position p
JOIN trading_signal s ON s.id = p.signal_id
LEFT JOIN signal_execution e ON e.signal_id = p.signal_id AND e.agent_id = p.agent_id AND e.position_id = p.id
WHERE p.id = ANY(%s)
"""
_TRADES = """
SELECT position_id, id, sale_time, profit_sol, change_percent, profit_usd FROM closed_trade WHERE position_id = ANY(%s)
"""
_HALTED = """
SELECT p.id FROM position p JOIN trading_state t ON t.agent_id IS NULL OR t.agent_id = p.agent_id
WHERE p.id = ANY(%s) AND p.closed_at IS NULL AND t.state = 'halted' AND NOT t.exits_enabled
"""


def of_positions(position_ids: Iterable[UUID]) -> dict[UUID, StoryRows]:
    """Return the rows of every position named, by its id."""
    wanted = list(position_ids)
    found: dict[UUID, StoryRows] = defaultdict(StoryRows)
    for position_id, *fill in bulk.fetch_all(_FILLS, [wanted]):
        found[position_id].fills.append(_fill(fill))
    for position_id, *intent in bulk.fetch_all(_INTENTS, [wanted]):
        found[position_id].intents.append(_intent(intent))
    for position_id, number, at, peak, percent, price, source, price_at in bulk.fetch_all(_RISES, [wanted]):
        found[position_id].rises.append((number, StopRise(at, peak, percent, price, source, price_at)))
    for position_id, signal_id, kind, strength, source, inputs, own in bulk.fetch_all(_OPENINGS, [wanted]):
        found[position_id].opening = OpeningRow(signal_id, kind, strength, source, _document(inputs) if own else None)
    for position_id, *trade in bulk.fetch_all(_TRADES, [wanted]):
        found[position_id].trade = TradeRow(*trade)
    for (position_id,) in bulk.fetch_all(_HALTED, [wanted]):
        found[position_id].exits_halted = True
    return {position_id: found[position_id] for position_id in wanted}


def decimal(value: Any) -> Decimal | None:
    """Return a figure of a stored document, None for what is none.

    >>> decimal("0.5"), decimal(3), decimal(None), decimal("soon"), decimal(True)
    (Decimal('0.5'), Decimal('3'), None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _fill(row: Sequence[Any]) -> BookedFill:
    fill_id, at, is_buy, amount, swapped, network, protocol, price, impact, is_dca, is_take_profit, burned = row
    return BookedFill(
        id=fill_id,
        at=at,
        is_buy=is_buy,
        tokens=amount or ZERO,
        swap_sol=swapped or ZERO,
        network_fee_sol=network or ZERO,
        protocol_fee_sol=protocol or ZERO,
        price_sol=price,
        price_impact=impact,
        is_dca=is_dca,
        is_take_profit=is_take_profit,
        burned=burned,
    )


def _intent(row: Sequence[Any]) -> IntentRow:
    intent_id, status, reason, fired_at, price, stored, email, tick, due_at, attempts, error, sale, ended = row
    details = _document(stored)
    return IntentRow(
        id=intent_id,
        status=status,
        fired=_fired(reason, fired_at, price, email, details),
        details=details,
        trigger_tick=tick,
        due_at=due_at,
        attempts=attempts,
        last_error=error,
        transaction_id=sale,
        finished_at=ended,
    )


def _fired(
    reason: str, at: datetime, price: Decimal | None, email: str | None, details: Mapping[str, Any]
) -> FiredRule:
    doubt, first, number = details.get("doubt"), details.get("firstLevel"), details.get("dcaNumber")
    return FiredRule(
        rule=reason,
        at=at,
        price_sol=price,
        change_percent=decimal(details.get("changePercent")),
        peak_sol=decimal(details.get("peakPriceSol")),
        average_sol=decimal(details.get("averagePriceSol")),
        stop_percent=decimal(details.get("stopPercent")),
        stop_sol=decimal(details.get("stopPriceSol")),
        doubt=doubt if isinstance(doubt, str) else None,
        levels=_levels(details.get("levels")),
        first_level=first if isinstance(first, int) else None,
        drop_percent=decimal(details.get("dropPercent")),
        buy_percent=decimal(details.get("buyPercent")),
        dca_number=number if isinstance(number, int) else None,
        held_minutes=decimal(details.get("heldMinutes")),
        requested_by=email,
        evidence=_evidence(details.get("evidence")),
    )


def _evidence(stored: Any) -> Evidence | None:
    checks = stored.get("checks") if isinstance(stored, dict) else None
    if not isinstance(checks, int):
        return None
    return Evidence(checks, _moment(stored.get("firstSeenAt")))


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _levels(stored: Any) -> tuple[LevelOfPlan, ...]:
    levels = []
    for level in stored if isinstance(stored, list) else ():
        target = decimal(level.get("targetPercent")) if isinstance(level, dict) else None
        sell = decimal(level.get("sellPercent")) if isinstance(level, dict) else None
        if target is None or sell is None:
            return ()
        levels.append(LevelOfPlan(target, sell))
    return tuple(levels)


def _document(text: str | None) -> dict[str, Any]:
    """Return a stored JSON object with its numbers exact; anything else is empty."""
    found = None if text is None else json.loads(text, parse_float=Decimal)
    return found if isinstance(found, dict) else {}
