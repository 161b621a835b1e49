"""Selling what is due: closes are leased, all tokens quoted at once, each sold as soon as its quote is there.

Quotes run in the process's call loop with a deadline each, threads only book: a quote that hangs occupies nothing and
delays no other. `start_due` is for workers and returns at once; `run_due` does one pass in the caller's thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from queue import Empty, SimpleQueue

import structlog
from django.db import DatabaseError, InterfaceError, connections

from apps.core import database_errors, database_links
from apps.core.errors import SoldeskError
from apps.core.http import call_loop
from apps.core.money import SOL_MINT, to_base_units
from apps.prices import services as prices
from apps.trading.adapters import jupiter
from apps.trading.domain import exit_decision, price_impact
from apps.trading.domain.exit_decision import Action
from apps.trading.domain.fills import Quote
from apps.trading.domain.price_impact import SizeRequest
from apps.trading.services import exit_intents, sale_booking
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.sale_booking import Outcome, Sale

log = structlog.get_logger(__name__)

QUOTE_SECONDS = 3.0
ZERO_BALANCE = "ZERO_BALANCE"
DATABASE_BUSY = "DATABASE_BUSY"
#: A process takes no more closes than this at a time; the others stay due for whoever has room.
MOST_IN_FLIGHT = 2_000
_BOOKERS = 2
_BOOKER_LINGERS_SECONDS = 5.0
#: Beyond a quote's own deadline: what its loop may need to say so.
_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Lot:
    """Closes of one token that share one quote, asked for at `amount`, the largest of them in base units."""

    mint: str
    amount: int
    exits: tuple[LeasedExit, ...]
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Quoted:
    """A lot with its quote, or with the error that came instead."""

    lot: _Lot
    quote: Quote | None
    error: BaseException | None


def run_due(
    *,
    limit: int = exit_intents.BATCH,
    intent_ids: Sequence[int] | None = None,
    quote_seconds: float = QUOTE_SECONDS,
) -> list[Outcome]:
    """Sell what is due (only `intent_ids` when given) and return what became of each.

    Waits for every quote, at most `quote_seconds`. What failed is due again after a pause. Not to be called inside a
    transaction.
    """
    deadline = min(quote_seconds, QUOTE_SECONDS)
    lots, outcomes = _lease(limit, intent_ids)
    ready: SimpleQueue[_Quoted | None] = SimpleQueue()
    for lot in lots:
        _ask(lot, ready.put, deadline)
    until = time.monotonic() + deadline + _GRACE_SECONDS
    waiting = len(lots)
    while waiting:
        arrived = _take(ready, max(0.0, until - time.monotonic()))
        if not arrived:
            break
        waiting -= len(arrived)
        outcomes.extend(_sell(arrived))
    return outcomes


def start_due() -> int:
    """Take what is due and let this process's loop and booking threads sell it; return how many closes were taken."""
    return _seller.start_due()


def stop(timeout_seconds: float = 10.0) -> None:
    """Wait for the closes under way in this process, then end its booking threads."""
    _seller.stop(timeout_seconds)


def _lease(limit: int, intent_ids: Sequence[int] | None = None) -> tuple[list[_Lot], list[Outcome]]:
    """Take due closes and put them into lots; those with nothing to sell are given back, those too late cancelled."""
    lots: list[_Lot] = []
    empty: list[LeasedExit] = []
    late: list[LeasedExit] = []
    by_token: dict[str, list[tuple[LeasedExit, int]]] = defaultdict(list)
    for item in exit_intents.lease_due(limit=limit, intent_ids=intent_ids):
        units = to_base_units(item.remaining_amount, item.decimals)
        if not item.is_open:
            late.append(item)
        elif units > 0:
            by_token[item.mint].append((item, units))
        else:
            empty.append(item)
    for mint, wanted in by_token.items():
        units_of = {item.id: (item, units) for item, units in wanted}
        for group in price_impact.group_sizes(SizeRequest(item.id, units) for item, units in wanted):
            members = [units_of[int(str(member.key))] for member in group.members]
            exits, shares = zip(*members, strict=True)
            lots.append(_Lot(mint, group.amount, exits, shares))
    exit_intents.give_back(empty, ZERO_BALANCE)
    exit_intents.cancel({item.id: exit_decision.POSITION_CLOSED for item in late})
    return lots, [
        *(Outcome(item, Action.WAIT, ZERO_BALANCE) for item in empty),
        *(Outcome(item, Action.CANCEL, exit_decision.POSITION_CLOSED) for item in late),
    ]


def _ask(lot: _Lot, arrived: Callable[[_Quoted], None], deadline_seconds: float) -> None:
    """Start a lot's quote in the call loop; `arrived` gets it, or the error, within the deadline."""

    def settle(future: Future[Quote]) -> None:
        error = future.exception() if not future.cancelled() else TimeoutError()
        arrived(_Quoted(lot, None if error is not None else future.result(), error))

    quote = jupiter.quote(lot.mint, SOL_MINT, lot.amount, lane="exit", deadline_seconds=deadline_seconds)
    call_loop.submit(quote).add_done_callback(settle)


def _take(ready: SimpleQueue[_Quoted | None], seconds: float) -> list[_Quoted]:
    """Wait for a quoted lot, then take along what has arrived meanwhile, up to about a chunk of sales.

    None in the queue ends the wait early.
    """
    taken: list[_Quoted] = []
    try:
        arrived = ready.get(timeout=seconds)
        while arrived is not None:
            taken.append(arrived)
            if sum(len(item.lot.exits) for item in taken) >= sale_booking.CHUNK:
                break
            arrived = ready.get_nowait()
    except Empty:
        pass
    return taken


def _sell(quoted: Iterable[_Quoted]) -> list[Outcome]:
    """Book quoted lots and give back what could not be sold.

    An error that passes (connection, deadlock, lock) gives back what was not booked, or leaves it to its lease.
    """
    sales: list[Sale] = []
    outcomes: list[Outcome] = []
    for item in quoted:
        if item.quote is not None:
            sales += [Sale(one, item.quote, units) for one, units in zip(item.lot.exits, item.lot.shares, strict=True)]
        else:
            code = _quote_error(item)
            outcomes += [Outcome(one, Action.WAIT, code) for one in item.lot.exits]
    try:
        sol_usd = prices.usable_sol_usd()
        for start in range(0, len(sales), sale_booking.CHUNK):
            outcomes += _book(sales[start : start + sale_booking.CHUNK], sol_usd)
    except (DatabaseError, InterfaceError) as error:
        settled = {item.exit.id for item in outcomes}
        left = [sale.exit for sale in sales if sale.exit.id not in settled]
        log.warning("exits_interrupted", error=type(error).__name__, exits=len(left))
        connections.close_all()
        outcomes += [Outcome(item, Action.WAIT, DATABASE_BUSY) for item in left]
    try:
        _give_back(outcomes)
    except (DatabaseError, InterfaceError) as error:
        log.warning("exits_left_to_their_lease", error=type(error).__name__, exits=len(outcomes))
        connections.close_all()
    return outcomes


def _quote_error(item: _Quoted) -> str:
    error = item.error
    if isinstance(error, SoldeskError):
        code = error.code
    elif isinstance(error, (TimeoutError, OSError)):
        code = "PROVIDER_TIMEOUT"
    else:
        code = "QUOTE_FAILED"
        log.error("exit_quote_broke", mint=item.lot.mint, error=type(error).__name__, exc_info=error)
    log.warning("exit_quote_failed", mint=item.lot.mint, exits=len(item.lot.exits), code=code)
    return code


def _book(sales: Sequence[Sale], sol_usd: Decimal | None) -> list[Outcome]:
    """Book a chunk; a data error bisects it until the one close it belongs to waits alone."""
    started = time.monotonic()
    try:
        outcomes = sale_booking.book_sales(sales, sol_usd=sol_usd)
    except (DatabaseError, SoldeskError) as error:
        if isinstance(error, DatabaseError) and not database_errors.is_data_error(error):
            raise
        if len(sales) == 1:
            code = sale_booking.error_code(error)
            log.warning("exit_failed", position_id=str(sales[0].exit.position_id), code=code, exc_info=error)
            return [Outcome(sales[0].exit, Action.WAIT, code)]
        middle = len(sales) // 2
        return _book(sales[:middle], sol_usd) + _book(sales[middle:], sol_usd)
    sold = [item for item in outcomes if item.sold]
    if sold:
        took = round((time.monotonic() - started) * 1000, 1)
        log.info("positions_sold", count=len(sold), reasons=sorted({item.exit.reason for item in sold}), ms=took)
    return outcomes


def _give_back(outcomes: Iterable[Outcome]) -> None:
    waiting: dict[tuple[str, bool], list[LeasedExit]] = defaultdict(list)
    for item in outcomes:
        if item.action in (Action.WAIT, Action.REQUOTE) and item.code != sale_booking.LEASE_LOST:
            waiting[item.code, item.action is Action.REQUOTE].append(item.exit)
    for (code, at_once), exits in waiting.items():
        exit_intents.give_back(exits, code, at_once=at_once)


class _Seller:
    """The process's selling machinery: how much is under way, and the few threads that book."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._ready: SimpleQueue[_Quoted | None] = SimpleQueue()
        self._in_flight = 0
        self._bookers = 0
        self._stopping = False

    def start_due(self) -> int:
        with self._lock:
            room = min(exit_intents.BATCH, MOST_IN_FLIGHT - self._in_flight)
        if room <= 0:
            log.warning("exits_crowded", in_flight=MOST_IN_FLIGHT)
            return 0
        lots, _ = _lease(room)
        taken = sum(len(lot.exits) for lot in lots)
        with self._lock:
            self._in_flight += taken
            self._stopping = False
        for lot in lots:
            _ask(lot, self._arrived, QUOTE_SECONDS)
        return taken

    def stop(self, timeout_seconds: float) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._in_flight == 0, timeout_seconds)
            self._stopping = True
            for _ in range(self._bookers):
                self._ready.put(None)
            self._lock.wait_for(lambda: self._bookers == 0, timeout_seconds)

    def _arrived(self, quoted: _Quoted) -> None:
        """Called in the call loop: hand over, and see that somebody books."""
        self._ready.put(quoted)
        with self._lock:
            if self._bookers < _BOOKERS:
                self._bookers += 1
                threading.Thread(target=self._book_until_idle, name="exit-booker", daemon=True).start()

    def _book_until_idle(self) -> None:
        while True:
            arrived = _take(self._ready, _BOOKER_LINGERS_SECONDS)
            if arrived:
                self._book(arrived)
                continue
            connections.close_all()
            with self._lock:
                if self._stopping or self._ready.empty():
                    self._bookers -= 1
                    self._lock.notify_all()
                    return

    def _book(self, arrived: Sequence[_Quoted]) -> None:
        try:
            database_links.drop_dead()
            _sell(arrived)
        except Exception as error:
            log.error("exits_left_to_their_lease", exc_info=error)
            connections.close_all()
        finally:
            with self._lock:
                self._in_flight -= sum(len(item.lot.exits) for item in arrived)
                self._lock.notify_all()


_seller = _Seller()


def _forget() -> None:
    """A forked child has neither the threads nor the closes of its parent."""
    global _seller
    _seller = _Seller()


os.register_at_fork(after_in_child=_forget)
