"""Snapshots of the live feed and what goes with them, read in constant numbers of queries (contract: api.md 3).

A snapshot is one REPEATABLE READ transaction: positions and stream numbers belong to the same moment, so that a client
continues with exactly the deltas above those numbers. `ThreadedSources` is what the hub, which has no threads, calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from django.db.models import Q
from django.utils import timezone

from apps.agents.models import Agent
from apps.console import admission, panel
from apps.console.clients import FeedUnavailable, Scope, ScopeGone, Snapshot
from apps.console.recent_prices import widen
from apps.core import bulk, database_links
from apps.core.outbox import GLOBAL_STREAM, agent_stream, user_stream
from apps.prices import selectors as prices
from apps.trading import presentation
from apps.trading.models import Position, State, TradingState
from apps.trading.presentation import PositionFills
from apps.trading.selectors import fills, marks, unsaved_ticks

#: An agent's last messages may still be on their way when it is archived.
_FAREWELL = timedelta(minutes=5)
_THREADS = 2

T = TypeVar("T")


def snapshot(scope: Scope) -> Snapshot:
    """Return the open positions of a scope with the stream numbers they belong to.

    The newest of them, as many as the settings allow, and their number in all; for a wide scope also its agents and
    the switches of the desk and of each agent.

    Raises:
        ScopeGone: the agent does not exist or is archived.
    """
    with _one_moment():
        agents = list(_agents(scope))
        if scope.agent_id is not None and not agents:
            raise ScopeGone("Agent not found")
        numbers = {agent_stream(agent.pk): agent.state.feed_sequence for agent in agents} | _stored_streams(scope)
        switches = _switches(scope) if scope.wide else {}
        positions = list(_open_positions(scope)[: settings.FEED_SNAPSHOT_POSITIONS])
        total = len(positions)
        if total == settings.FEED_SNAPSHOT_POSITIONS:
            total = _open_positions(scope).count()
        filled = fills.of_positions(positions)
        ticks = unsaved_ticks.by_mint({position.mint for position in positions}) if positions else {}
    sol_usd = prices.usable_sol_usd()
    data: dict[str, Any] = {
        "positions": _present(positions, filled, ticks, sol_usd),
        "totalPositions": total,
        "solUsd": None if sol_usd is None else float(sol_usd),
    }
    if scope.wide:
        data["tradingState"] = _switch(switches.get(None))
        data["agents"] = [
            {
                "id": str(agent.pk),
                "name": agent.name,
                "tradingMode": agent.trading_mode,
                "automatedTradingSimulation": agent.automated_trading_simulation,
                "automatedTradingLive": agent.automated_trading_live,
                "tradingState": _switch(switches.get(agent.pk)),
            }
            for agent in agents
            if agent.archived_at is None
        ]
    return Snapshot(data, numbers, {str(position.pk): position.mint for position in positions})


def _switches(scope: Scope) -> dict[UUID | None, TradingState]:
    """Return the trading states of the desk (None) and of agents that have one of their own."""
    rows = TradingState.objects.all()
    if scope.user_id is not None:
        rows = rows.filter(Q(agent=None) | Q(agent__user_id=scope.user_id))
    return {row.agent_id: row for row in rows}


def _switch(row: TradingState | None) -> dict[str, Any]:
    """Return a switch as `trading_state` messages tell it; no row means active."""
    if row is None:
        return {"state": str(State.ACTIVE), "exitsEnabled": True, "reason": ""}
    return {"state": row.state, "exitsEnabled": row.exits_enabled, "reason": row.reason}


def _present(
    positions: Sequence[Position],
    filled: Mapping[UUID, PositionFills],
    ticks: Mapping[str, Sequence[tuple[int, Decimal]]],
    sol_usd: Decimal | None,
) -> list[dict[str, Any]]:
    """Return EnrichedPositions at their marks; prices are read when the moment of the books is over.

    Peaks and lows include what was recorded but not written back: a client may have been told already.
    """
    marked = marks.of_positions(positions, filled)
    told = []
    for row in positions:
        position = presentation.enriched_position(row, row.wallet.address, filled[row.pk], marked[row.pk], sol_usd)
        counted = [float(price) for number, price in ticks.get(row.mint, ()) if number > row.peak_from_tick]
        if counted:
            widen(position, max(counted), min(counted))
        told.append(position)
    return told


def stream_names(scope: Scope) -> list[str]:
    """Return every stream of a scope, those of a user's agents included."""
    if scope.agent_id is not None:
        return scope.streams
    ids = _agents(scope).values_list("id", flat=True)
    return [*scope.streams, *(agent_stream(agent_id) for agent_id in ids)]


def sequences(streams: Iterable[str]) -> dict[str, int]:
    """Return the stored number of each stream."""
    wanted = list(streams)
    agent_ids = [stream.removeprefix("agent:") for stream in wanted if stream.startswith("agent:")]
    rows = bulk.fetch_all(
        "SELECT 'agent:' || agent_id, feed_sequence FROM agent_state WHERE agent_id = ANY(%s::uuid[])"
        " UNION ALL SELECT stream, sequence FROM feed_stream WHERE stream = ANY(%s)",
        [agent_ids, wanted],
    )
    return dict(rows)


def _agents(scope: Scope) -> Any:
    """Wide scopes include those archived a moment ago: what happened to them is still being told."""
    agents = Agent.objects.select_related("state").defer("trading_config").order_by("id")
    if scope.agent_id is not None:
        return agents.filter(pk=scope.agent_id, archived_at=None)
    agents = agents.filter(Q(archived_at=None) | Q(archived_at__gt=timezone.now() - _FAREWELL))
    return agents if scope.user_id is None else agents.filter(user_id=scope.user_id)


def _open_positions(scope: Scope) -> Any:
    positions = Position.objects.filter(closed_at=None).select_related("wallet").order_by("-opened_at", "id")
    if scope.agent_id is not None:
        return positions.filter(agent_id=scope.agent_id)
    return positions if scope.user_id is None else positions.filter(agent__user_id=scope.user_id)


def _stored_streams(scope: Scope) -> dict[str, int]:
    """Return the numbers of the streams that are nobody's agent; a stream never written to has none."""
    if scope.agent_id is not None:
        return {}
    if scope.desk:
        rows = bulk.fetch_all("SELECT stream, sequence FROM feed_stream")
    else:
        wanted = [GLOBAL_STREAM, user_stream(scope.user_id)]
        rows = bulk.fetch_all("SELECT stream, sequence FROM feed_stream WHERE stream = ANY(%s)", [wanted])
    return {GLOBAL_STREAM: 0} | dict(rows)


@contextmanager
def _one_moment() -> Iterator[None]:
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


class ThreadedSources:
    """The hub's reads, on two threads of the web process that keep their database connections."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="feed")

    async def snapshot(self, scope: Scope) -> Snapshot:
        return await self.run(snapshot, scope)

    async def streams(self, scope: Scope) -> list[str]:
        return await self.run(stream_names, scope)

    async def panel(self, scope: Scope) -> dict[str, Any]:
        return await self.run(panel.build, scope.user_id)

    async def sequences(self, streams: set[str]) -> dict[str, int]:
        return await self.run(sequences, streams)

    async def ended(self, credentials: set[Any]) -> set[Any]:
        return await self.run(admission.ended, credentials)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a reading function on one of the threads.

        Raises:
            FeedUnavailable: the database could not answer. Whatever else the function raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, _read, function, arguments)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _read(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    database_links.drop_dead()
    try:
        return function(*arguments)
    except (DatabaseError, InterfaceError) as error:
        connections.close_all()
        raise FeedUnavailable("The desk's database does not answer; trying again.") from error
