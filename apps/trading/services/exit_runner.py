"""Exits at work: what is due is leased, all tokens quoted at once, each booked as soon as its quote is there.

Live positions go the same way: certain closes become orders at once, what needs a quote does after it. Decisions stay
with the worker that has the sweep, the wake-ups and threads that book; the orders process only carries them out.
Quotes run with a deadline each and threads only book: a quote that hangs occupies nothing and delays no other.
`start_due` is for workers and returns at once; `run_due` does one pass in the caller's thread.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from functools import partial
from queue import SimpleQueue

import structlog

from apps.trading.services import exit_intents, exit_lanes, exit_lots, exit_quotes, exit_settling
from apps.trading.services.exit_lanes import Lane
from apps.trading.services.exit_outcomes import Outcome
from apps.trading.services.exit_quotes import QuotedBuys, QuotedSales, ReadCloses
from apps.trading.services.live import recalling

log = structlog.get_logger(__name__)

#: A process takes no more at a time; the others stay due for whoever has room. DCAs never take the room of sales, and
#: sales whose quotes hang take none.
MOST_SALES = 2_000
MOST_BUYS = 500
#: Of tokens whose quotes hang this many more are tried at a time, after all others: they must not fill the room anew.
MOST_BESIDE_HANGING = 200
#: Beyond a quote's own deadline: what its loop may need to say so.
_GRACE_SECONDS = 1.0


def run_due(
    *,
    limit: int = exit_intents.BATCH,
    intent_ids: Sequence[int] | None = None,
    quote_seconds: float = exit_quotes.SALE_SECONDS,
) -> list[Outcome]:
    """Book what is due (only `intent_ids` when given) and return what became of each.

    Waits for every quote, at most `quote_seconds` for sales. What failed is due again after a pause. Not to be called
    inside a transaction.
    """
    sale_seconds = min(quote_seconds, exit_quotes.SALE_SECONDS)
    recalling.recall_unsigned()
    lots = exit_lots.take(limit=limit, intent_ids=intent_ids)
    sales: SimpleQueue[QuotedSales | None] = SimpleQueue()
    buys: SimpleQueue[QuotedBuys | None] = SimpleQueue()
    closes: SimpleQueue[ReadCloses | None] = SimpleQueue()
    for order in lots.orders:
        exit_quotes.ask_chain(order, closes.put)
    for sale in lots.sales:
        exit_quotes.ask_sales(sale, sales.put, within_seconds=sale_seconds)
    for buy in lots.buys:
        exit_quotes.ask_buys(buy, buys.put)
    outcomes = exit_settling.settle_refused(lots.outcomes)
    exit_lanes.take_all(
        closes,
        len(lots.orders),
        within_seconds=exit_quotes.CHAIN_SECONDS + _GRACE_SECONDS,
        book=lambda arrived: outcomes.extend(exit_settling.settle_closes(arrived)),
    )
    exit_lanes.take_all(
        sales,
        len(lots.sales),
        within_seconds=sale_seconds + _GRACE_SECONDS,
        book=lambda arrived: outcomes.extend(exit_settling.settle_sales(arrived)),
    )
    exit_lanes.take_all(
        buys,
        len(lots.buys),
        within_seconds=exit_quotes.BUY_SECONDS + _GRACE_SECONDS,
        book=lambda arrived: outcomes.extend(exit_settling.settle_buys(arrived)),
    )
    exit_intents.cancel_lapsed()
    return outcomes


def start_due() -> int:
    """Take all that is due and let this process's loop and booking threads do it; return how many were taken."""
    taken = 0
    recalling.recall_unsigned()
    while True:
        batch = _start_batch(exit_intents.BATCH, without=_sales.hanging())
        taken += batch
        if batch < exit_intents.BATCH:
            break
    if _sales.hanging():
        taken += _start_batch(MOST_BESIDE_HANGING)
    exit_intents.cancel_lapsed()
    return taken


def _start_batch(most: int, *, without: Collection[str] = ()) -> int:
    room = min(most, MOST_SALES - _sales.in_flight + _sales.hanging().total())
    if room <= 0:
        log.warning("exits_crowded", in_flight=_sales.in_flight)
        return 0
    lots = exit_lots.take(limit=room, buys=_buys.in_flight < MOST_BUYS, without=without)
    for order in lots.orders:
        _closes.expect(order)
        exit_quotes.ask_chain(order, _closes.put)
    for sale in lots.sales:
        _sales.expect(sale)
        exit_quotes.ask_sales(sale, _sales.put)
    for buy in lots.buys:
        _buys.expect(buy)
        exit_quotes.ask_buys(buy, _buys.put)
    exit_settling.settle_refused(lots.outcomes)
    return lots.taken


def stop(timeout_seconds: float = 10.0) -> None:
    """Wait for what is under way in this process, then end its booking threads."""
    _closes.stop(timeout_seconds)
    _sales.stop(timeout_seconds)
    _buys.stop(timeout_seconds)


_new_sales = partial(Lane[QuotedSales], "exit-booker", threads=2, book=exit_settling.settle_sales)
_new_buys = partial(Lane[QuotedBuys], "dca-booker", threads=1, book=exit_settling.settle_buys)
_new_closes = partial(Lane[ReadCloses], "order-reserver", threads=1, book=exit_settling.settle_closes)
_sales = _new_sales()
_buys = _new_buys()
_closes = _new_closes()


def _forget() -> None:
    """A forked child has neither the threads nor the exits of its parent."""
    global _sales, _buys, _closes
    _sales, _buys, _closes = _new_sales(), _new_buys(), _new_closes()


os.register_at_fork(after_in_child=_forget)
