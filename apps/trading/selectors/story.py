"""The story of positions: every decision that changed one, read from the rows that carry it, oldest first.

Nothing is kept for it alone: fills, exit intents, rises of the stop, the closed trade, the verdict. What a sale cost
and earned is replayed through the house's cost basis, so that it adds up to what the books hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.core import formatting
from apps.core.money import quantize_price
from apps.trading.domain import fill_history, stop_loss, story, story_words
from apps.trading.domain.fill_history import FillResult
from apps.trading.domain.marks import FILL
from apps.trading.domain.story import ClosedResult, StopRise, StoryEvent, StoryKind
from apps.trading.domain.story_words import Opening
from apps.trading.models import CloseReason, Position
from apps.trading.selectors import story_rows
from apps.trading.selectors.story_rows import IntentRow, StoryRows, TradeRow, decimal

#: At the same moment: what opens comes first, what ends last.
_ORDER = {StoryKind.OPENED: 0, StoryKind.STOP_RAISED: 1, StoryKind.RESET: 3, StoryKind.CLOSED: 4}
_ORDER_OF_OTHERS = 2


def of_position(position: Position, *, folded: bool = True) -> list[StoryEvent]:
    """Return the story of one position, open or closed; see `of_positions`."""
    return of_positions([position], folded=folded)[position.pk]


def of_positions(positions: Iterable[Position], *, folded: bool = True) -> dict[UUID, list[StoryEvent]]:
    """Return each position's story by its id, in the same few queries however many there are.

    `folded` makes one event of rises of the stop that follow each other, and of attempts that came to nothing for the
    same reason; `count` says of how many.
    """
    wanted = list(positions)
    rows = story_rows.of_positions(position.pk for position in wanted)
    told = {position.pk: _told(position, rows[position.pk]) for position in wanted}
    if not folded:
        return told
    return {pk: [_repeated(event) for event in story.fold(events)] for pk, events in told.items()}


def _repeated(event: StoryEvent) -> StoryEvent:
    if event.count == 1 or event.first_at is None:
        return event
    rises = event.kind is StoryKind.STOP_RAISED
    return replace(event, text=story_words.repeated(event.text, event.count, event.first_at, event.at, rises=rises))


def _told(position: Position, rows: StoryRows) -> list[StoryEvent]:
    results = fill_history.replay(rows.fills, token_decimals=position.decimals)
    events = [
        *_fills(position, rows, results),
        *(_unsold(intent, rows) for intent in rows.intents if not _is_filled(intent, results)),
        *(_rise(number, rise) for number, rise in rows.rises),
        *_end(position, rows.trade),
    ]
    return sorted(events, key=lambda event: (event.at, _ORDER.get(event.kind, _ORDER_OF_OTHERS), event.id))


def _is_filled(intent: IntentRow, results: Iterable[FillResult]) -> bool:
    return any(result.fill.id == intent.transaction_id for result in results)


# Fills: the opening, and what exits and DCA brought


def _fills(position: Position, rows: StoryRows, results: list[FillResult]) -> Iterator[StoryEvent]:
    behind = {intent.transaction_id: intent for intent in rows.intents if intent.transaction_id is not None}
    dca = 0
    for place, result in enumerate(results):
        if place == 0 and result.fill.is_buy:
            yield _opening(position, rows, result)
            continue
        dca += result.fill.is_dca
        yield _fill(position, result, behind.get(result.fill.id), dca)


def _opening(position: Position, rows: StoryRows, result: FillResult) -> StoryEvent:
    why = _why_opened(position, rows, result)
    inputs = {} if rows.opening is None or rows.opening.inputs is None else rows.opening.inputs
    return StoryEvent(
        id=f"fill-{result.fill.id}",
        at=result.fill.at,
        kind=StoryKind.OPENED,
        title=story_words.opening_title(result),
        text=story_words.opening(why, result),
        facts=_plain(inputs) | _fill_facts(result),
        rule="manual" if why.signal is None else "signal",
        price_sol=result.fill.price_sol,
        price_source=FILL,
        transaction_id=result.fill.id,
    )


def _why_opened(position: Position, rows: StoryRows, result: FillResult) -> Opening:
    percent, price = _first_stop(position, rows, result)
    if rows.opening is None or rows.opening.inputs is None:
        return Opening(stop_percent=percent, stop_sol=price)
    told, inputs = rows.opening, rows.opening.inputs
    category = inputs.get("category")
    return Opening(
        signal=told.signal_id,
        signal_type=told.signal_type,
        strength=told.strength,
        source=told.source,
        balance_sol=decimal(inputs.get("balanceSol")),
        size_sol=decimal(inputs.get("sizeSol")),
        category=category if isinstance(category, str) else None,
        draw=decimal(inputs.get("draw")),
        stop_percent=percent,
        stop_sol=price,
    )


def _first_stop(position: Position, rows: StoryRows, result: FillResult) -> tuple[Decimal | None, Decimal | None]:
    """The stop a position began with: kept with the verdict, else still the position's own if nothing moved it."""
    inputs = None if rows.opening is None else rows.opening.inputs
    percent = None if inputs is None else decimal(inputs.get("stopPercent"))
    if percent is not None:
        return percent, quantize_price(stop_loss.level(result.average_sol, percent))
    if position.stop_updated_at == position.opened_at and position.dca_count == 0:
        return position.stop_percent, position.stop_price_sol
    return None, None


def _fill(position: Position, result: FillResult, intent: IntentRow | None, dca: int) -> StoryEvent:
    fired = None if intent is None else intent.fired
    rule = _rule(position, result) if fired is None else fired.rule
    kind, title, text = _said(result, intent, rule, dca)
    by_price = fired is not None and fired.price_sol is not None and not result.fill.burned
    return StoryEvent(
        id=f"fill-{result.fill.id}" if intent is None else f"intent-{intent.id}",
        at=result.fill.at,
        kind=kind,
        title=title,
        text=text,
        facts=_intent_facts(intent) | _fill_facts(result),
        rule=rule,
        price_sol=fired.price_sol if fired is not None and by_price else result.fill.price_sol,
        price_source=_source(intent) if by_price else None if result.fill.burned else FILL,
        price_age_seconds=_age(intent) if by_price else None,
        transaction_id=result.fill.id,
        intent_id=None if intent is None else intent.id,
    )


def _said(result: FillResult, intent: IntentRow | None, rule: str | None, dca: int) -> tuple[StoryKind, str, str]:
    """Return kind, title and text of a fill; why it fired comes first where an intent tells."""
    why = () if intent is None else (story_words.trigger(intent.fired),)
    after = () if intent is None else _after(intent)
    if result.fill.is_buy:
        booked = {} if intent is None else intent.booked
        added = story_words.added(result, decimal(booked.get("stopPercent")), decimal(booked.get("stopPriceSol")))
        return StoryKind.ADDED, story_words.added_title(dca, result), story_words.sentence(*why, added, *after)
    if result.fill.burned:
        title = story_words.burned_title(result)
        return StoryKind.WRITTEN_OFF, title, story_words.sentence(*why, story_words.burned(result), *after)
    title, sold = story_words.sale_title(rule, result), story_words.sold(result)
    if result.sells_out:
        return StoryKind.SOLD, title, story_words.sentence(*why, sold, *after)
    bag = None if intent is None else decimal(intent.booked.get("moonBagTokens"))
    return StoryKind.SOLD_PART, title, story_words.sentence(*why, sold, story_words.left(result, bag), *after)


def _after(intent: IntentRow) -> tuple[str, ...]:
    return story_words.doubted(intent.fired, confirmed=True), story_words.attempts(intent.attempts)


def _rule(position: Position, result: FillResult) -> str | None:
    """The rule of a fill no intent stands behind."""
    if result.fill.is_dca:
        return story.DCA
    if result.fill.is_take_profit:
        return story.TAKE_PROFIT
    return position.close_reason or None


# Intents without a fill: under way, failing, cancelled


def _unsold(intent: IntentRow, rows: StoryRows) -> StoryEvent:
    kind, at, title, clauses = _state(intent, rows)
    return StoryEvent(
        id=f"intent-{intent.id}",
        at=at,
        kind=kind,
        title=f"{story_words.rule_name(intent.fired.rule)}: {title}",
        text=story_words.sentence(story_words.trigger(intent.fired), *clauses),
        facts=_intent_facts(intent),
        rule=intent.fired.rule,
        price_sol=intent.fired.price_sol,
        price_source=_source(intent),
        price_age_seconds=_age(intent),
        transaction_id=intent.transaction_id,
        intent_id=intent.id,
        code=intent.last_error,
    )


def _state(intent: IntentRow, rows: StoryRows) -> tuple[StoryKind, datetime, str, tuple[str, ...]]:
    fired = intent.fired
    if not intent.is_open:
        why = (story_words.doubted(fired, confirmed=False), story_words.called_off(intent.last_error))
        return StoryKind.CANCELLED, intent.finished_at or fired.at, "called off", why
    if rows.exits_halted:
        return StoryKind.FAILING, fired.at, "halted", (story_words.halted(),)
    if intent.attempts and intent.last_error:
        again = intent.due_at if intent.status == "due" else None
        failed = story_words.failing(intent.attempts, intent.last_error, again)
        return StoryKind.FAILING, fired.at, "failing, tried again", (failed,)
    under_way = (story_words.doubted(fired, confirmed=False), story_words.pending(fired))
    return StoryKind.PENDING, fired.at, "fired", under_way


# Rises of the stop, and the end


def _rise(number: int, rise: StopRise) -> StoryEvent:
    # A provider's clock may run ahead of ours: then the price is new.
    age = None if rise.price_at is None else max(Decimal(0), Decimal(str((rise.at - rise.price_at).total_seconds())))
    return StoryEvent(
        id=f"stop-{number}",
        at=rise.at,
        kind=StoryKind.STOP_RAISED,
        title=story_words.stop_title(rise),
        text=story_words.stop_raised(rise),
        facts=_exact(
            {
                "peakPriceSol": rise.peak_sol,
                "peakPercent": rise.peak_percent,
                "averagePriceSol": rise.average_sol,
                "stopPercent": rise.stop_percent,
                "stopPriceSol": rise.stop_sol,
            }
        ),
        rule=story.STOP_LOSS,
        price_sol=rise.peak_sol,
        price_source=rise.source or None,
        price_age_seconds=age,
    )


def _end(position: Position, trade: TradeRow | None) -> Iterator[StoryEvent]:
    if position.closed_at is not None and position.close_reason == CloseReason.RESET:
        yield StoryEvent(
            id=f"reset-{position.pk}",
            at=position.closed_at,
            kind=StoryKind.RESET,
            title="Wallet reset: closed without a sale",
            text=story_words.reset(position.remaining_amount, position.remaining_cost_sol),
            facts=_exact(
                {"remainingTokens": position.remaining_amount, "remainingCostSol": position.remaining_cost_sol}
            ),
            rule=story.RESET,
        )
    if trade is not None:
        yield _closed(position, trade)


def _closed(position: Position, trade: TradeRow) -> StoryEvent:
    result = ClosedResult(
        invested_sol=position.total_invested_sol,
        received_sol=position.proceeds_sol,
        profit_sol=trade.profit_sol,
        change_percent=trade.change_percent,
        profit_usd=trade.profit_usd,
        held_seconds=int((trade.at - position.opened_at).total_seconds()),
    )
    return StoryEvent(
        id=f"trade-{trade.id}",
        at=trade.at,
        kind=StoryKind.CLOSED,
        title=story_words.closed_title(result),
        text=story_words.closed(result),
        facts=_exact(
            {
                "investedSol": result.invested_sol,
                "receivedSol": result.received_sol,
                "profitSol": result.profit_sol,
                "changePercent": result.change_percent,
                "profitUsd": result.profit_usd,
            }
        )
        | {"heldSeconds": str(result.held_seconds)},
        rule=position.close_reason or None,
    )


# Facts


def _fill_facts(result: FillResult) -> dict[str, str]:
    fill = result.fill
    common = {
        "fillPriceSol": fill.price_sol,
        "swapSol": fill.swap_sol,
        "networkFeeSol": fill.network_fee_sol,
        "protocolFeeSol": fill.protocol_fee_sol,
        "feesSol": fill.fees_sol,
        "priceImpactPercent": None if fill.price_impact is None else fill.price_impact * 100,
        "remainingTokens": result.remaining_tokens,
        "remainingCostSol": result.remaining_cost_sol,
    }
    if fill.is_buy:
        own = {"boughtTokens": fill.tokens, "debitSol": fill.moved_sol, "newAveragePriceSol": result.average_sol}
    else:
        own = {
            "soldTokens": fill.tokens,
            "netSol": fill.moved_sol,
            "costSol": result.cost_sol,
            "profitSol": result.profit_sol,
        }
    return _exact(common | own)


def _intent_facts(intent: IntentRow | None) -> dict[str, str]:
    if intent is None:
        return {}
    facts = _plain(intent.details)
    if intent.fired.levels:
        facts["levelTargetsPercent"] = ", ".join(
            formatting.exact(level.target_percent) for level in intent.fired.levels
        )
        facts["levelSellsPercent"] = ", ".join(formatting.exact(level.sell_percent) for level in intent.fired.levels)
    after = {
        "levelsHitAfter": intent.booked.get("levelsHit"),
        "moonBagTokens": intent.booked.get("moonBagTokens"),
        "newStopPercent": intent.booked.get("stopPercent"),
        "newStopPriceSol": intent.booked.get("stopPriceSol"),
        "firedAt": intent.fired.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "triggerTick": intent.trigger_tick,
        "attempts": intent.attempts,
        "lastError": intent.last_error or None,
        "requestedBy": intent.fired.requested_by,
    }
    return facts | _plain(after)


def _exact(figures: Mapping[str, Decimal | None]) -> dict[str, str]:
    """Every digit of what is known."""
    return {name: formatting.exact(value) for name, value in figures.items() if value is not None}


def _plain(document: Mapping[str, Any]) -> dict[str, str]:
    """The single values of a stored document as text; what is empty or nested is left out."""
    return {
        name: formatting.exact(value) if isinstance(value, Decimal) else str(value)
        for name, value in document.items()
        if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool) and value != ""
    }


def _source(intent: IntentRow | None) -> str | None:
    source = None if intent is None else intent.details.get("source")
    return source if isinstance(source, str) and source else None


def _age(intent: IntentRow | None) -> Decimal | None:
    return None if intent is None else decimal(intent.details.get("priceAgeSeconds"))
