"""What many orders ask of the database at the same moment, asked once: bookings and the gate.

The booking services are set-based and wait; the orders process is one event loop. Between them stands this: items
gather while a call is under way and go together in the next one, in a thread that has a database connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connections

from apps.core import database_links

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_AT_ONCE = 100


class DatabaseAway(Exception):
    """The database could not be asked; nothing was decided and nothing booked, or nobody knows."""


class Together(Generic[Item, Result]):
    """Calls `work` with lists of items, one call at a time, and gives each asker what belongs to its item.

    When a list fails for a reason other than the database's absence, its halves are tried, so that one order's fault
    is one order's fault.
    """

    def __init__(self, name: str, work: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"orders-{name}")
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """Return what `work` makes of `item`.

        Raises:
            DatabaseAway, and whatever `work` raises for this item alone.
        """
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._run())
        return await result

    def close(self) -> None:
        """Close the thread's connection once what it does is done; nothing may be asked any more."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown()

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[:_MOST_AT_ONCE]
            del self._waiting[: len(batch)]
            await self._do(batch)

    async def _do(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            answers = await asyncio.get_running_loop().run_in_executor(
                self._thread, _with_a_live_connection, self._work, [item for item, _ in batch]
            )
        except (OperationalError, InterfaceError) as error:
            away = DatabaseAway(type(error).__name__)
            for _, result in batch:
                _set(result, error=away)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to one of the items
            if len(batch) == 1:
                _set(batch[0][1], error=error)
                return
            await self._do(batch[: len(batch) // 2])
            await self._do(batch[len(batch) // 2 :])
        else:
            for (_, result), answer in zip(batch, answers, strict=True):
                if not result.done():
                    result.set_result(answer)


def _set(result: asyncio.Future[Result], *, error: Exception) -> None:
    if not result.done():
        result.set_exception(error)


def _with_a_live_connection(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> Sequence[Result]:
    database_links.drop_dead()
    try:
        return work(items)
    except DatabaseError:
        connections.close_all()
        raise
