"""The orders process's hold on rows: claims by lease, and steps that are written many orders to a commit.

Every step is a conditional UPDATE: the status it comes from and the very lease this process was given. Whoever lost
the lease changes nothing. All of it goes through one connection of its own; what waits while a commit is under way goes
into the next one, so that a hundred orders cost a few commits, not hundreds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.db import connection as django_connection
from psycopg import sql
from psycopg.types.json import Jsonb

from apps.trading.domain import order_machine
from apps.trading.services.live.live_order import LiveOrder

log = structlog.get_logger(__name__)

#: How long a dead process keeps its orders; renewed four times as often.
LEASE_SECONDS = 3.0
CHANNEL = "trade_orders"
_MOST_IN_ONE_COMMIT = 500
_RECONNECT_SECONDS = 0.5
_STATEMENT_TIMEOUT_MS = 5_000

_COLUMNS = """
o.id, o.agent_id, o.wallet_id, w.address, o.side, o.purpose, o.mint, o.decimals, o.status, o.code, o.attempt,
o.in_base_units, o.minimum_out_base_units, o.slippage_bps, o.fee_cap_lamports, o.inputs, o.route, o.request_id,
o.signature, o.sealed_transaction, o.blockhash, o.last_valid_block_height, o.sends, o.landed_slot, o.fill, o.created_at,
extract(epoch FROM now() - o.created_at)::float8, o.lease_until, o.signal_id, o.position_id
"""
_WHOLE_NUMBERS = ("in_base_units", "minimum_out_base_units", "fee_cap_lamports", "slippage_bps", "sends")
_CLAIM = f"""
WITH due AS (
    SELECT id FROM trade_order
    WHERE status <> ALL(%(ended)s) AND due_at <= now() AND (lease_until IS NULL OR lease_until < now())
    ORDER BY side DESC, due_at
    LIMIT %(most)s
    FOR NO KEY UPDATE SKIP LOCKED
), o AS (
    UPDATE trade_order SET lease_until = now() + %(lease)s FROM due WHERE trade_order.id = due.id
    RETURNING trade_order.*
)
SELECT {_COLUMNS} FROM o JOIN wallet w ON w.id = o.wallet_id ORDER BY o.side DESC, o.due_at
"""
#: Rows that a booking has locked are left for the next round: to wait for them would hold up every step.
_RENEW = """
WITH mine AS (
    SELECT o.id FROM trade_order o JOIN unnest(%(ids)s::uuid[], %(leases)s::timestamptz[]) AS v(id, lease)
    ON o.id = v.id AND o.lease_until = v.lease FOR NO KEY UPDATE OF o SKIP LOCKED
), renewed AS (
    UPDATE trade_order SET lease_until = now() + %(lease)s FROM mine WHERE trade_order.id = mine.id
    RETURNING trade_order.id, trade_order.lease_until
)
SELECT o.id, COALESCE(r.lease_until, o.lease_until), r.id IS NOT NULL, o.status
FROM trade_order o LEFT JOIN renewed r ON r.id = o.id WHERE o.id = ANY(%(ids)s)
"""
#: What a step may write beside the status; a name outside of it is a defect.
_WRITABLE = frozenset(
    (
        "blockhash",
        "built_at",
        "code",
        "detail",
        "due_at",
        "ended_at",
        "evidence",
        "expected_out_base_units",
        "first_sent_at",
        "last_sent_at",
        "last_valid_block_height",
        "lease_until",
        "minimum_out_base_units",
        "price_impact",
        "quote",
        "request_id",
        "route",
        "sealed_transaction",
        "sends",
        "signature",
        "signed_at",
    )
)


class LeaseLost(Exception):
    """The order is somebody else's now, or not where it was: this process must not touch it any more."""


class StoreAway(Exception):
    """The database did not take it, or nobody knows whether it did: the order is dropped and claimed anew later."""


@dataclass(frozen=True, slots=True)
class Now:
    """The database's clock, `seconds` from the transaction's beginning: a value for a time column of a step."""

    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Claim:
    most: int
    result: asyncio.Future[list[LiveOrder]]


@dataclass(slots=True, eq=False)
class _Step:
    order: LiveOrder
    after: str
    fields: Mapping[str, Any]
    result: asyncio.Future[bool]


@dataclass(slots=True, eq=False)
class _Renewal:
    orders: Sequence[LiveOrder]
    result: asyncio.Future[list[LiveOrder]]


_Work = _Claim | _Step | _Renewal


async def connect(name: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """Open a connection of this process's own, outside Django's handling.

    Raises:
        psycopg.Error: the database is away.
    """
    parameters = {
        key: value
        for key, value in django_connection.get_connection_params().items()
        if key not in ("context", "cursor_factory", "prepare_threshold")
    }
    parameters["application_name"] = name
    found = await psycopg.AsyncConnection.connect(**parameters, autocommit=True, prepare_threshold=2)
    await found.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
    return found


class Claims:
    """The one writer. `run` does the work until cancelled; the other methods hand it work and wait."""

    def __init__(self, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._lease = timedelta(seconds=lease_seconds)
        self.renew_seconds = lease_seconds / 4
        self._waiting: list[_Work] = []
        self._called = asyncio.Event()
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self.commits = 0

    async def claim(self, most: int) -> list[LiveOrder]:
        """Take up to `most` due orders that nobody holds, sales first.

        Raises:
            StoreAway
        """
        return await self._ask(_Claim(most, asyncio.get_running_loop().create_future()))

    async def renew(self, orders: Sequence[LiveOrder]) -> list[LiveOrder]:
        """Prolong the leases and return the orders that are not ours any more.

        Raises:
            StoreAway
        """
        return await self._ask(_Renewal(orders, asyncio.get_running_loop().create_future())) if orders else []

    async def step(self, order: LiveOrder, after: str, **fields: Any) -> None:
        """Move an order of ours to `after`, committed when this returns; `order.status` follows.

        Raises:
            ForbiddenStep: the machine knows no such step. LeaseLost, StoreAway.
        """
        order_machine.check(order.status, after)
        await self._write(order, after, fields)
        order.status = after

    async def note(self, order: LiveOrder, **fields: Any) -> None:
        """Write columns of an order of ours that stays where it is.

        Raises:
            LeaseLost, StoreAway
        """
        await self._write(order, order.status, fields)

    async def let_go(self, order: LiveOrder, *, due_in_seconds: float, **fields: Any) -> None:
        """Give an order back, to be claimed by anybody after `due_in_seconds`.

        Raises:
            LeaseLost, StoreAway
        """
        await self.note(order, lease_until=None, due_at=Now(due_in_seconds), **fields)

    async def run(self) -> None:
        """Commit what waits, as it comes; while the database is away, everything that is asked for fails at once."""
        try:
            while True:
                await self._called.wait()
                self._called.clear()
                while self._waiting:
                    batch = self._waiting[:_MOST_IN_ONE_COMMIT]
                    del self._waiting[: len(batch)]
                    for kind in _KINDS:
                        same = [work for work in batch if isinstance(work, kind) and not work.result.done()]
                        if same:
                            await self._commit(sorted(same, key=_place))
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def _ask(self, work: Any) -> Any:
        self._waiting.append(work)
        self._called.set()
        return await work.result

    async def _write(self, order: LiveOrder, after: str, fields: Mapping[str, Any]) -> None:
        if not fields.keys() <= _WRITABLE:
            raise ValueError(f"no step writes {sorted(fields.keys() - _WRITABLE)}")
        if not await self._ask(_Step(order, after, fields, asyncio.get_running_loop().create_future())):
            raise LeaseLost(str(order.id))

    async def _commit(self, batch: Sequence[_Work]) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await connect("soldesk-orders")
            answers = await self._execute(self._connection, batch)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            await self._find_refused(batch, error)
            return
        except (psycopg.Error, OSError) as error:
            log.warning("orders_store_away", error=type(error).__name__, waiting=len(batch))
            _fail(batch, StoreAway(type(error).__name__))
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
            await asyncio.sleep(_RECONNECT_SECONDS)
            return
        self.commits += 1
        for work, answer in zip(batch, answers, strict=True):
            if not work.result.done():
                work.result.set_result(answer)

    async def _find_refused(self, batch: Sequence[_Work], error: psycopg.Error) -> None:
        """One row's own fault refused the whole batch: halve it until that row is alone with its fault."""
        if len(batch) > 1:
            await self._commit(batch[: len(batch) // 2])
            await self._commit(batch[len(batch) // 2 :])
            return
        log.error("orders_step_refused", error=type(error).__name__, reason=str(error).partition("\n")[0])
        _fail(batch, LeaseLost(type(error).__name__))

    async def _execute(self, connection: psycopg.AsyncConnection[tuple[Any, ...]], batch: Sequence[_Work]) -> list[Any]:
        """Run a batch as one transaction in one round trip, and read its answers once it is committed."""
        cursors = []
        async with connection.pipeline(), connection.transaction():
            for work in batch:
                cursors.append(await connection.execute(*self._statement(work)))
        answers: list[Any] = []
        for work, cursor in zip(batch, cursors, strict=True):
            if isinstance(work, _Step):
                answers.append(cursor.rowcount == 1)
            elif isinstance(work, _Claim):
                answers.append([_order(row) for row in await cursor.fetchall()])
            else:
                answers.append(_renewed(work.orders, await cursor.fetchall()))
        return answers

    def _statement(self, work: _Work) -> tuple[sql.Composed | str, Any]:
        if isinstance(work, _Claim):
            return _CLAIM, {"ended": sorted(order_machine.TERMINAL), "most": work.most, "lease": self._lease}
        if isinstance(work, _Renewal):
            ids, leases = [order.id for order in work.orders], [order.lease_until for order in work.orders]
            return _RENEW, {"lease": self._lease, "ids": ids, "leases": leases}
        return _update(work)


#: Steps first: they name the lease that a renewal replaces; claims last, so that they take nothing of ours. Each kind
#: has its own transaction, and steps go by order id as every booking does: nobody waits for each other in a circle.
_KINDS = (_Step, _Renewal, _Claim)


def _place(work: _Work) -> int:
    return work.order.id.int if isinstance(work, _Step) else 0


def _fail(batch: Sequence[_Work], error: Exception) -> None:
    for work in batch:
        if not work.result.done():
            work.result.set_exception(error)


def _update(step: _Step) -> tuple[sql.Composed, list[Any]]:
    changes: list[sql.Composable] = [sql.SQL("status = %s")]
    values: list[Any] = [step.after]
    for name, value in step.fields.items():
        if isinstance(value, Now):
            changes.append(sql.SQL("{} = now() + %s").format(sql.Identifier(name)))
            values.append(timedelta(seconds=value.seconds))
        else:
            changes.append(sql.SQL("{} = %s").format(sql.Identifier(name)))
            values.append(Jsonb(value) if isinstance(value, (dict, list)) else value)
    statement = sql.SQL("UPDATE trade_order SET {} WHERE id = %s AND status = %s AND lease_until = %s")
    return statement.format(sql.SQL(", ").join(changes)), [
        *values,
        step.order.id,
        step.order.status,
        step.order.lease_until,
    ]


def _renewed(orders: Collection[LiveOrder], rows: list[tuple[UUID, datetime, bool, str]]) -> list[LiveOrder]:
    """Give each order its new lease; return those that are not ours or have ended."""
    found = {row[0]: row[1:] for row in rows}
    lost = []
    for order in orders:
        lease, renewed, status = found.get(order.id, (None, False, ""))
        if status in order_machine.TERMINAL or not (renewed or lease == order.lease_until):
            lost.append(order)
        elif lease is not None:
            order.lease_until = lease
    return lost


def _order(row: tuple[Any, ...]) -> LiveOrder:
    order = LiveOrder(*row)
    for name in _WHOLE_NUMBERS:
        value = getattr(order, name)
        setattr(order, name, None if value is None else int(value))
    return order
