"""What a batch of prices does to a book: every position screened, the flagged ones judged by the exact rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import numpy as np
import structlog

from apps.prices.domain.points import PricePoint
from apps.trading.book import exact, screen
from apps.trading.book.columns import Rows
from apps.trading.book.parts import Parts
from apps.trading.domain import watch_rules
from apps.trading.domain.watch_rules import Verdict, Watched

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fired:
    """A position a rule fired for, the verdict, and the price that did it.

    `peak_price` (SOL per token) is the highest trusted price seen since the opening or the last DCA, to a float's
    digits where it is stored already. `doubt` is the code of a doubted price.
    """

    position: Watched
    verdict: Verdict
    point: PricePoint
    peak_price: Decimal
    doubt: str | None = None


@dataclass(slots=True)
class Evaluation:
    """What a batch of prices did. `looked_at` positions were priced, `judged` of them by the exact rules."""

    fired: list[Fired] = field(default_factory=list)
    looked_at: int = 0
    judged: int = 0


def evaluate(
    book: Parts,
    trusted: Mapping[str, PricePoint],
    doubted: Mapping[str, tuple[PricePoint, str]],
    *,
    now: datetime,
) -> tuple[Evaluation, set[int]]:
    """Pass trusted prices over every position of their tokens, doubted ones (with their code) over the stops.

    Returns what fired, and the numbers of the tokens that got something to be written back.
    """
    priced: dict[int, PricePoint] = {}
    floats: dict[int, float] = {}
    for mint, point in trusted.items():
        slot = book.tokens.by_mint.get(mint)
        if slot is not None:
            priced[slot.number], floats[slot.number] = point, float(point.price_sol)
    passed = screen.Screen(len(book.tokens))
    passed.run(book.columns, book.rules, floats, exact.microseconds(now))
    dirtied = set(np.flatnonzero(passed.dirtied).tolist())
    for number in dirtied:
        book.tokens[number].remember(priced[number], floats[number])
    book.exactly.settle(passed.unsure)
    flagged = np.union1d(passed.flagged, passed.unsure) if len(passed.unsure) else passed.flagged
    done = Evaluation(looked_at=passed.looked_at)
    _judge(book, flagged, done, lambda position: priced[book.tokens.by_mint[position.mint].number], now)
    for mint, (point, code) in doubted.items():
        _judge_doubted(book, mint, point, code, done)
    return done, dirtied


def _judge(book: Parts, rows: Rows, done: Evaluation, priced: Callable[[Watched], PricePoint], now: datetime) -> None:
    """Judge flagged rows exactly; one that breaks is logged and never stops the others."""
    for position, peak in _each(book, rows, done):
        point = priced(position)
        try:
            verdict = watch_rules.judge(position, point.price_sol, now=now)
        except Exception as error:
            log.error("position_not_judged", position_id=str(position.id), exc_info=error)
            continue
        if verdict.reason is not None:
            done.fired.append(Fired(position, verdict, point, _peak(position, peak)))


def _judge_doubted(book: Parts, mint: str, point: PricePoint, code: str, done: Evaluation) -> None:
    """Let a doubted price meet the stops, except of positions a trusted one has fired already."""
    slot = book.tokens.by_mint.get(mint)
    if slot is None:
        return
    fired = {item.position.id for item in done.fired}
    for position, peak in _each(book, screen.at_or_below_stop(book.columns, slot.number, float(point.price_sol)), done):
        try:
            verdict = watch_rules.judge_doubted(position, point.price_sol)
        except Exception as error:
            log.error("position_not_judged", position_id=str(position.id), exc_info=error)
            continue
        if verdict.reason is not None and position.id not in fired:
            done.fired.append(Fired(position, verdict, point, _peak(position, peak), code))


def _each(book: Parts, rows: Rows, done: Evaluation) -> Iterable[tuple[Watched, float]]:
    done.judged += len(rows)
    return zip(book.exactly.watched(rows), book.columns.peak[rows].tolist(), strict=True)


def _peak(position: Watched, stored: float) -> Decimal:
    """Return the peak for people to read: exact while it is not stored yet, else to the digits of a float."""
    return Decimal(repr(stored)) if position.peak_price is None else position.peak_price
