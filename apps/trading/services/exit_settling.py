"""What arrived is booked, and what could not be booked is given back: every leased intent is accounted for here.

A data error costs the one exit it belongs to; what passes (connection, deadlock, lock) leaves the rest to its lease.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, connections
from django.db import transaction as database

from apps.core import database_errors, outbox
from apps.prices import services as prices
from apps.trading import metrics
from apps.trading.domain import price_impact
from apps.trading.domain.exit_decision import EXITS_HALTED, Action
from apps.trading.services import bisecting, dca_booking, exit_alarms, exit_intents, exit_quotes, sale_booking
from apps.trading.services.dca_booking import Purchase
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_outcomes import CHUNK, LEASE_LOST, Outcome
from apps.trading.services.exit_quotes import QuotedBuys, QuotedSales, ReadCloses
from apps.trading.services.live import reserving_exits
from apps.trading.services.live.reserving_exits import Close
from apps.trading.services.sale_booking import Sale

log = structlog.get_logger(__name__)

Bookable = TypeVar("Bookable", Sale, Purchase, Close)
BookableContra = TypeVar("BookableContra", Sale, Purchase, Close, contravariant=True)


class _Book(Protocol[BookableContra]):
    """What books a chunk: `book_sales`, `book_purchases` or, for orders, `reserve_closes`."""

    def __call__(self, part: Sequence[BookableContra], /, *, sol_usd: Decimal | None) -> list[Outcome]: ...


def settle_refused(outcomes: list[Outcome]) -> list[Outcome]:
    """Write what was decided before a quote was asked for; return it."""
    return _settle([], sale_booking.book_sales, outcomes) if outcomes else []


def settle_sales(arrived: Iterable[QuotedSales]) -> list[Outcome]:
    """Book quoted closes and take profits; return what became of each."""
    sales: list[Sale] = []
    outcomes: list[Outcome] = []
    for item in arrived:
        if item.quote is not None:
            sales += [Sale(one, item.quote, units) for one, units in zip(item.lot.exits, item.lot.shares, strict=True)]
        else:
            code = exit_quotes.error_code(item.error, mint=item.lot.mint, exits=len(item))
            outcomes += [Outcome(one, Action.WAIT, code) for one in item.lot.exits]
    return _settle(sales, sale_booking.book_sales, outcomes)


def settle_buys(arrived: Iterable[QuotedBuys]) -> list[Outcome]:
    """Book quoted DCAs; return what became of each."""
    purchases: list[Purchase] = []
    outcomes: list[Outcome] = []
    for item in arrived:
        without: dict[BaseException, list[LeasedExit]] = defaultdict(list)
        for leased, wanted in zip(item.lot.exits, item.lot.wanted, strict=True):
            share = None if item.quoted is None else item.quoted.shares.get(wanted.buyer)
            error = item.error if item.quoted is None else item.quoted.errors.get(wanted.buyer)
            if share is not None:
                purchases.append(Purchase(leased, share.quote, share.lamports))
            elif error is not None:
                without[error].append(leased)
            else:
                outcomes.append(Outcome(leased, Action.CANCEL, price_impact.PRICE_IMPACT_TOO_HIGH))
        for error, exits in without.items():
            code = exit_quotes.error_code(error, mint=item.lot.mint, exits=len(exits))
            outcomes += [Outcome(leased, Action.WAIT, code) for leased in exits]
    return _settle(purchases, dca_booking.book_purchases, outcomes)


def settle_closes(arrived: Iterable[ReadCloses]) -> list[Outcome]:
    """Reserve orders for live closes; return what became of each."""
    closes = [
        Close(one, None if item.on_chain is None else item.on_chain.get(one.mint, 0))
        for item in arrived
        for one in item.lot.exits
    ]
    return _settle(closes, reserving_exits.reserve_closes, [])


def _settle(wanted: Sequence[Bookable], book: _Book[Bookable], outcomes: list[Outcome]) -> list[Outcome]:
    """Book what is wanted and write what has been decided without a booking; return all outcomes."""
    try:
        exit_intents.cancel({item.exit.id: item.code for item in outcomes if item.action is Action.CANCEL})
        sol_usd = prices.usable_sol_usd() if wanted else None
        for start in range(0, len(wanted), CHUNK):
            outcomes += _book(wanted[start : start + CHUNK], book, sol_usd)
    except (DatabaseError, InterfaceError) as error:
        settled = {item.exit.id for item in outcomes}
        left = [item.exit for item in wanted if item.exit.id not in settled]
        log.warning("exits_interrupted", error=type(error).__name__, exits=len(left))
        connections.close_all()
        code = database_errors.passing_code(error)
        outcomes += [Outcome(item, Action.WAIT, code) for item in left]
    try:
        _give_back(outcomes)
    except (DatabaseError, InterfaceError) as error:
        log.warning("exits_left_to_their_lease", error=type(error).__name__, exits=len(outcomes))
        connections.close_all()
    _measure(outcomes)
    return outcomes


def _book(part: Sequence[Bookable], book: _Book[Bookable], sol_usd: Decimal | None) -> list[Outcome]:
    """Book a chunk and log how long it took."""
    started = time.monotonic()
    outcomes = bisecting.book(part, partial(book, sol_usd=sol_usd), lambda item: item.exit)
    booked = [item for item in outcomes if item.booked]
    if booked:
        took = round((time.monotonic() - started) * 1000, 1)
        log.info("exits_booked", count=len(booked), reasons=sorted({item.reason for item in booked}), ms=took)
    return outcomes


def _give_back(outcomes: Iterable[Outcome]) -> None:
    """Make due again what was not booked, and tell people of closes that fail again and again."""
    waiting: dict[tuple[str, bool], list[LeasedExit]] = defaultdict(list)
    failed: list[Outcome] = []
    for item in outcomes:
        if item.action in (Action.WAIT, Action.REQUOTE) and item.code != LEASE_LOST:
            waiting[item.code, item.action is Action.REQUOTE].append(item.exit)
            if _has_failed(item):
                failed.append(item)
    if not waiting:
        return
    with database.atomic():
        for (code, at_once), exits in waiting.items():
            exit_intents.give_back(exits, code, at_once=at_once)
        outbox.append(exit_alarms.stuck(failed))


def _measure(outcomes: Iterable[Outcome]) -> None:
    together: Counter[tuple[str, datetime, datetime]] = Counter()
    for item in outcomes:
        if item.booked_at is not None:
            together[item.reason, item.exit.created_at, item.booked_at] += 1
        elif item.action is Action.CANCEL:
            metrics.exit_cancelled(item.exit.reason, item.code)
        elif _has_failed(item):
            metrics.exit_failed(item.exit.reason, item.code)
    for (reason, fired_at, booked_at), count in together.items():
        metrics.exits_booked(reason, count, (booked_at - fired_at).total_seconds())


def _has_failed(item: Outcome) -> bool:
    """Tell a failure from what waits for another reason: exits are halted, or the intent is another process's now."""
    return item.action is Action.WAIT and item.code not in (LEASE_LOST, EXITS_HALTED)
