"""What became of orders is booked, once: what landed by the chain's own figures, what did not by giving back.

Each chunk is one transaction: locks in the order of every booking, the order rows last; an order that has ended already
is left alone, so that repeats, races and deaths in between change nothing. Errors of the data halve a chunk until the
one order they belong to waits alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db import transaction as database

from apps.agents import locks
from apps.core import database_errors, outbox
from apps.core.errors import SoldeskError
from apps.prices import services as prices
from apps.trading.domain import order_machine
from apps.trading.domain.landed_swap import LandedSwap
from apps.trading.services import added_positions, exit_intents, new_positions, position_feed, sold_positions, verdicts
from apps.trading.services.exit_outcomes import CHUNK
from apps.trading.services.live import endings, landed_rows, new_orders, order_rows
from apps.trading.services.live.endings import Chunk
from apps.trading.services.live.landed_rows import Rows
from apps.trading.services.live.order_rows import Ended, LockedOrder, Situation
from apps.wallets.services import books, reconciling

#: From where an order may end without having landed: what was never sent fails, what may have been sent expires.
_MAY_END = {
    order_machine.FAILED: frozenset((order_machine.RESERVED, order_machine.BUILT, order_machine.SIGNED)),
    order_machine.EXPIRED: order_machine.MAY_LAND,
}

log = structlog.get_logger(__name__)


class Ending(NamedTuple):
    """An order that ended without landing: `status` is failed or expired, `code` says why, `detail` what was told."""

    order_id: UUID
    status: str
    code: str
    detail: str = ""


def settle_landed(landed: Iterable[tuple[UUID, LandedSwap]]) -> set[UUID]:
    """Book what landed and return the orders whose end stands in the books now, those of earlier calls included.

    An order that is missing from the answer could not be booked: it stays where it was, and is to be asked for again.
    What landed with an error is booked as the fees it cost, and ends as `failed`. Not to be called in a transaction.

    Raises:
        DatabaseError: of the kinds that pass (connection, deadlock, resources, shutdown); chunks before it stand.
    """
    wanted = dict(landed)
    sol_usd = prices.usable_sol_usd() if wanted else None
    settled: set[UUID] = set()
    for chunk in _rounds(wanted):
        settled |= _book(chunk, lambda part: _book_landed({order: wanted[order] for order in part}, sol_usd))
    return settled


def settle_ended(ended: Iterable[tuple[UUID, str, str] | tuple[UUID, str, str, str]]) -> set[UUID]:
    """Give back what orders that never landed had put aside; return the orders whose end stands now.

    `failed` ends what was never sent, `expired` what is signed and can land no more; any other order is left alone.

    Entries end in a verdict, or go on in another attempt while their signal is young; exits are due again.

    Raises:
        DatabaseError: as `settle_landed`.
    """
    wanted = {item[0]: Ending(*item) for item in ended}
    settled: set[UUID] = set()
    for chunk in _rounds(wanted):
        settled |= _book(chunk, lambda part: _book_ended({order: wanted[order] for order in part}))
    return settled


def _rounds(wanted: Iterable[UUID]) -> list[list[UUID]]:
    """Put orders into chunks with at most one of a wallet and token: each finds the books as the last one left them."""
    rounds: dict[int, list[UUID]] = defaultdict(list)
    seen: dict[tuple[UUID, str], int] = defaultdict(int)
    for order_id, _, wallet_id, mint in order_rows.places(wanted):
        rounds[seen[wallet_id, mint]].append(order_id)
        seen[wallet_id, mint] += 1
    return [ids[start : start + CHUNK] for ids in rounds.values() for start in range(0, len(ids), CHUNK)]


def _book(chunk: Sequence[UUID], book: Callable[[Sequence[UUID]], set[UUID]]) -> set[UUID]:
    try:
        return book(chunk)
    except (DatabaseError, SoldeskError, ValueError) as error:
        held = database_errors.is_lock_timeout(error)
        if isinstance(error, DatabaseError) and not (held or database_errors.is_data_error(error)):
            raise
        if len(chunk) == 1:
            log.error("order_not_settled", order_id=str(chunk[0]), error=type(error).__name__, exc_info=error)
            return set()
    middle = len(chunk) // 2
    return _book(chunk[:middle], book) | _book(chunk[middle:], book)


def _book_landed(landed: dict[UUID, LandedSwap], sol_usd: Decimal | None) -> set[UUID]:
    with database.atomic():
        now = order_rows.lock(landed)
        rows, chunk = Rows(), Chunk()
        for order in now.orders:
            if order.status in order_machine.MAY_LAND and order.signature == landed[order.id].signature:
                _land(order, landed[order.id], now, sol_usd, rows, chunk)
        _write(rows, chunk, now)
    chunk.measure()
    booked = {item.order_id for item in chunk.ended}
    return booked | {order.id for order in now.orders if order.transaction_id is not None}


def _land(
    order: LockedOrder, landed: LandedSwap, now: Situation, sol_usd: Decimal | None, rows: Rows, chunk: Chunk
) -> None:
    """Gather what one landed order writes."""
    failed = landed.error is not None
    after = order_machine.FAILED if failed else order_machine.LANDED
    order_machine.check(order.status, after)
    chunk.give_back(order)
    chunk.slots.append((order.wallet_id, landed.slot))
    code = endings.chain_code(landed.error) if failed else ""
    if not now.is_current(order):
        booked = landed_rows.stray(order, landed, now, rows)
        endings.without_books(order, chunk)
    elif failed:
        booked = landed_rows.costs(order, landed, now, rows)
        endings.without_fill(order, order_machine.FAILED, code, now, chunk)
    elif not landed.token_base_units:
        booked = landed_rows.costs(order, landed, now, rows)
    else:
        booked = landed_rows.swap(order, landed, now, sol_usd, rows)
        endings.with_fill(order, booked, now, chunk)
    fill, told = landed.as_document(), landed.error or ""
    chunk.ended.append(Ended(order.id, after, code, told, landed.slot, fill, booked.transaction_id))


def _book_ended(ended: dict[UUID, Ending]) -> set[UUID]:
    with database.atomic():
        now = order_rows.lock(ended)
        rows, chunk = Rows(), Chunk()
        for order in now.orders:
            ending = ended[order.id]
            if order.status not in _MAY_END[ending.status]:
                continue
            chunk.give_back(order)
            chunk.ended.append(Ended(order.id, ending.status, ending.code, ending.detail))
            if now.is_current(order):
                endings.without_fill(order, ending.status, ending.code, now, chunk)
            else:
                endings.without_books(order, chunk)
        _write(rows, chunk, now)
    chunk.measure()
    booked = {item.order_id for item in chunk.ended}
    return booked | {order.id for order in now.orders if order.status in order_machine.TERMINAL}


def _write(rows: Rows, chunk: Chunk, now: Situation) -> None:
    """Write a chunk: what was put aside comes back first, so that what was spent can leave."""
    books.release(new_orders.together(chunk.released))
    books.insert_transactions(rows.transactions)
    new_positions.insert([position for position, _ in rows.opened])
    books.post(rows.postings)
    added_positions.write(rows.added, now.at)
    sold_positions.write(rows.sold, now.at)
    ended_empty = endings.close_empty(chunk, now)
    locks.count_positions({agent: count for agent, count in chunk.counts.items() if count})
    order_rows.end(chunk.ended)
    new_orders.write(chunk.again)
    order_rows.reflect_slots(chunk.slots)
    reconciling.look_soon({wallet for wallet, _ in chunk.slots})
    exit_intents.finish(chunk.done, {intent: rows.facts[intent] for intent in chunk.done if intent in rows.facts})
    exit_intents.take_back(chunk.due_again)
    exit_intents.cancel(chunk.cancelled)
    if chunk.closed:
        exit_intents.cancel_open(chunk.closed, endings.POSITION_CLOSED)
    verdicts.settle(chunk.verdicts)
    outbox.append(
        [
            *(position_feed.created(position, address) for position, address in rows.opened),
            *added_positions.messages(rows.added),
            *sold_positions.messages([*rows.sold, *ended_empty]),
            *chunk.messages(),
        ]
    )
