"""What the book reads from PostgreSQL: open positions as fixed-width records, agents' rules, states, open intents.

Positions come by binary COPY and are taken over as one array: no Python object per row or column. Changes are found by
transaction id; the caller reads the watermark first, as a statement of its own (CONCURRENCY 13).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.agents.domain.model import TradingConfig
from apps.core import bulk
from apps.prices.domain.points import PricePoint
from apps.trading.book.columns import NO_INTEGER, NO_SMALL
from apps.trading.selectors.configs import read_config

Records = NDArray[np.void]

#: A record's fields: name, type as PostgreSQL sends it, expression. Everything has a width and nothing is null. `odd`
#: marks figures the integers cannot hold (not a number among them, which `least` takes for the largest).
_NONE = str(NO_INTEGER)
_LARGEST = "9223372036854775807"
_PRICE = "trunc(p.purchase_price * 1e24)"
_FIELDS: tuple[tuple[str, str, str], ...] = (
    ("id", "V16", "p.id"),
    ("agent_id", "V16", "p.agent_id"),
    ("mint", "S64", "substring(convert_to(rpad(p.mint, 64, chr(1)), 'UTF8') FROM 1 FOR 64)"),
    ("is_open", "?", "p.closed_at IS NULL"),
    ("is_live", "?", "w.wallet_type = 'live'"),
    ("odd", "?", "NOT (p.purchase_price < 9e12 AND p.purchase_amount * power(10::numeric, p.decimals) < 9e18)"),
    ("decimals", ">i2", "p.decimals"),
    ("average_high", ">i8", f"least(div({_PRICE}, 1e18), {_LARGEST})::int8"),
    ("average_low", ">i8", f"least(mod({_PRICE}, 1e18), 999999999999999999)::int8"),
    ("peak", ">f8", "p.peak_price_sol::float8"),
    ("peak_from_tick", ">i8", "p.peak_from_tick"),
    ("low", ">f8", "coalesce(p.lowest_price_sol, p.purchase_price)::float8"),
    ("opened_at", ">i8", "(extract(epoch FROM p.opened_at) * 1000000)::int8"),
    ("last_dca_at", ">i8", f"coalesce((extract(epoch FROM p.last_dca_at) * 1000000)::int8, {_NONE})"),
    ("stop_percent", ">i8", f"coalesce(least(p.stop_percent * 1e8, {_LARGEST})::int8, {_NONE})"),
    ("remaining", ">i8", f"least(p.remaining_amount * power(10::numeric, p.decimals), {_LARGEST})::int8"),
    ("bought", ">i8", f"least(p.purchase_amount * power(10::numeric, p.decimals), {_LARGEST})::int8"),
    (
        "bag",
        ">i8",
        f"coalesce(least(ceil(p.moon_bag_amount * power(10::numeric, p.decimals)), {_LARGEST})::int8, {_NONE})",
    ),
    ("bag_active", "?", "p.moon_bag_activated"),
    ("generation", ">i4", "p.generation"),
    ("peak_generation", ">i4", "p.peak_generation"),
    ("levels_hit", ">i2", "p.take_profit_levels_hit::int2"),
    ("batch_start", ">i2", "p.take_profit_start_level::int2"),
    ("total_levels", ">i2", f"coalesce(p.take_profit_total_levels, {NO_SMALL})::int2"),
    ("dca_count", ">i2", "p.dca_count::int2"),
)
_RECORD = np.dtype(
    [("fields", ">i2")] + [part for name, kind, _ in _FIELDS for part in ((f"{name}_length", ">i4"), (name, kind))]
)
_LENGTHS = [(f"{name}_length", np.dtype(kind).itemsize) for name, kind, _ in _FIELDS]
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER_BYTES = 19
_SELECT = (
    f"SELECT {', '.join(expression for _, _, expression in _FIELDS)}"
    " FROM position p JOIN wallet w ON w.id = p.wallet_id"
)
_PADDING = "\x01"


class UnreadableRecords(RuntimeError):
    """PostgreSQL sent something else than the records asked for; nothing of it was taken."""


def watermark() -> str:
    """Return the transaction id below which everything is visible to every later statement."""
    ((xid,),) = bulk.fetch_all("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
    return str(xid)


@dataclass(frozen=True, slots=True)
class News:
    """What was written since a watermark, by kind, and the next watermark: what is not seen yet lies above it."""

    watermark: str
    positions: bool
    agents: bool
    states: bool
    intents: bool


_NEWS = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
       EXISTS (SELECT 1 FROM position WHERE changed_xid >= %(since)s::xid8),
       EXISTS (SELECT 1 FROM agent WHERE changed_xid >= %(since)s::xid8),
       EXISTS (SELECT 1 FROM trading_state WHERE changed_xid >= %(since)s::xid8),
       EXISTS (SELECT 1 FROM exit_intent WHERE changed_xid >= %(since)s::xid8)
"""


def news(since: str) -> News:
    """Return what has to be read again since a watermark.

    Watermark and flags are of one snapshot: whatever it does not see has a transaction id at or above its watermark.
    What the flags send the caller to read is read later, and sees at least as much.
    """
    (row,) = bulk.fetch_all(_NEWS, {"since": since})
    return News(*row)


def watermark_age() -> int:
    """Return how many transactions the watermark lies behind: grows while somebody's transaction stays open."""
    ((age,),) = bulk.fetch_all(
        "SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::numeric"
        " - pg_snapshot_xmin(pg_current_snapshot())::text::numeric)::int8"
    )
    return int(age)


def all_open() -> Records:
    """Return every open position, those of a token side by side."""
    return _copy(f"{_SELECT} WHERE p.closed_at IS NULL ORDER BY p.mint")


def changed_since(xid: str) -> Records:
    """Return the positions written since the watermark `xid`, closed ones too; some of them may be known already."""
    return _copy(f"{_SELECT} WHERE p.changed_xid >= %s::xid8 ORDER BY p.mint", [xid])


def of_mints(mints: Collection[str], *, before: str) -> Records:
    """Return the open positions of tokens that were last changed before the watermark `before`."""
    return _copy(
        f"{_SELECT} WHERE p.closed_at IS NULL AND p.mint = ANY(%s) AND p.changed_xid < %s::xid8 ORDER BY p.mint",
        [list(mints), before],
    )


def by_mint(records: Records) -> Iterator[tuple[str, Records]]:
    """Return the records token by token; those of a token stand side by side."""
    mints = records["mint"]
    starts = np.flatnonzero(mints[1:] != mints[:-1]) + 1
    for part in np.split(records, starts) if len(records) else ():
        yield part["mint"][0].decode().rstrip(_PADDING), part


def _copy(query: str, parameters: Iterable[Any] = ()) -> Records:
    statement = f"COPY ({query}) TO STDOUT (FORMAT BINARY)"
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.cursor.copy(statement, list(parameters)) as copy,
    ):
        sent = b"".join(bytes(part) for part in copy)
    if not sent.startswith(_SIGNATURE):
        raise UnreadableRecords("not a binary copy")
    body = memoryview(sent)[_HEADER_BYTES:-2]
    if len(body) % _RECORD.itemsize:
        raise UnreadableRecords(f"{len(body)} bytes are no whole number of records")
    records = np.frombuffer(body, dtype=_RECORD)
    for name, width in _LENGTHS:
        if not (records[name] == width).all():
            raise UnreadableRecords(f"a record's {name} is not {width} bytes")
    return records


@dataclass(frozen=True, slots=True)
class AgentRules:
    """An agent as the watch needs it. `config` None: it no longer validates. `is_live`, `automated`: its mode's."""

    agent_id: UUID
    config: TradingConfig | None
    automated: bool
    is_live: bool = False


_AGENTS = """
SELECT a.id, a.trading_config::text,
       CASE a.trading_mode WHEN 'live' THEN a.automated_trading_live ELSE a.automated_trading_simulation END,
       a.trading_mode = 'live'
FROM agent a WHERE a.id = ANY(%s)
"""
_CHANGED_AGENTS = _AGENTS + " OR a.changed_xid >= %s::xid8"


def agents(agent_ids: Collection[UUID], *, changed_since: str | None = None) -> list[AgentRules]:
    """Return agents by id and, with a watermark, whoever changed since."""
    if changed_since is None:
        rows = bulk.fetch_all(_AGENTS, [list(agent_ids)])
    else:
        rows = bulk.fetch_all(_CHANGED_AGENTS, [list(agent_ids), changed_since])
    return [AgentRules(agent_id, read_config(stored), *mode) for agent_id, stored, *mode in rows]


@dataclass(frozen=True, slots=True)
class StateRow:
    """The trading state of an agent, or of the desk (`agent_id` None)."""

    agent_id: UUID | None
    state: str
    exits_enabled: bool


def states(*, changed_since: str = "0") -> list[StateRow]:
    """Return the trading states that were set since a watermark."""
    rows = bulk.fetch_all(
        "SELECT agent_id, state, exits_enabled FROM trading_state WHERE changed_xid >= %s::xid8", [changed_since]
    )
    return [StateRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class IntentRow:
    """An exit intent as it stands; `is_certain` is False while a sell quote has yet to confirm it."""

    position_id: UUID
    kind: str
    status: str
    is_certain: bool
    last_error: str


_INTENTS = "SELECT position_id, kind, status, NOT needs_confirmation, last_error FROM exit_intent"


def intents(*, changed_since: str | None = None) -> list[IntentRow]:
    """Return the intents written since a watermark in the order of their firing; without one, those that are open."""
    if changed_since is None:
        rows = bulk.fetch_all(f"{_INTENTS} WHERE status IN ('due', 'leased')")
    else:
        rows = bulk.fetch_all(f"{_INTENTS} WHERE changed_xid >= %s::xid8 ORDER BY id", [changed_since])
    return [IntentRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class ExactRow:
    """What the records cannot hold exactly, of one position: prices in SOL per token, amounts in whole tokens."""

    average_price: Decimal
    peak_price: Decimal
    bought: Decimal
    remaining: Decimal
    bag: Decimal | None


def exact(position_ids: Collection[UUID]) -> dict[UUID, ExactRow]:
    """Return the exact figures of positions, by id."""
    rows = bulk.fetch_all(
        "SELECT id, purchase_price, peak_price_sol, purchase_amount, remaining_amount, moon_bag_amount FROM position"
        " WHERE id = ANY(%s)",
        [list(position_ids)],
    )
    return {row[0]: ExactRow(*row[1:]) for row in rows}


def symbols(mints: Collection[str]) -> dict[str, str]:
    """Return what the holders of tokens call them."""
    rows = bulk.fetch_all(
        "SELECT DISTINCT ON (mint) mint, symbol FROM position WHERE closed_at IS NULL AND mint = ANY(%s)"
        " ORDER BY mint, opened_at DESC",
        [list(mints)],
    )
    return dict(rows)


def progress(shard: int, shards: int) -> int:
    """Return the tick up to which every rise of this shard's tokens is stored with its position."""
    rows = bulk.fetch_all(
        "SELECT tick_id FROM watch_progress ORDER BY (shards, shard) = (%s, %s) DESC, tick_id LIMIT 1",
        [shards, shard],
    )
    return int(rows[0][0]) if rows else 0


@dataclass(frozen=True, slots=True)
class StoredTick:
    """A recorded price and its number."""

    id: int
    point: PricePoint

    @property
    def mint(self) -> str:
        return self.point.mint

    @property
    def price_sol(self) -> Decimal:
        return self.point.price_sol

    @property
    def received_at(self) -> datetime:
        return self.point.received_at


def ticks_after(tick_id: int, mints: Collection[str]) -> list[StoredTick]:
    """Return the later ticks of tokens, each token's in order."""
    rows = bulk.fetch_all(
        "SELECT id, mint, price_sol, price_usd, source, provider_at, received_at FROM tick"
        " WHERE id > %s AND mint = ANY(%s) ORDER BY mint, id",
        [tick_id, list(mints)],
    )
    return [StoredTick(row[0], PricePoint(*row[1:])) for row in rows]
