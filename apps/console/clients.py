"""One WebSocket client of the feed: what it may see, what it has seen, and what still has to be sent to it.

The hub calls `deliver` and `offer_prices` and never waits; a task per client writes. What a slow client has not taken
is bounded: prices are merged to the newest, and too many messages are dropped for a new snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import structlog

from apps.core.money import SOL_MINT
from apps.core.outbox import GLOBAL_STREAM, agent_stream, user_stream

log = structlog.get_logger(__name__)

MAX_WAITING = 500
SEND_SECONDS = 20.0
SNAPSHOT_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Scope:
    """What a client sees: one agent; all agents of a user with the user's stream; or, with neither, the whole desk."""

    user_id: UUID | None = None
    agent_id: UUID | None = None

    @property
    def wide(self) -> bool:
        """More than one agent."""
        return self.agent_id is None

    @property
    def desk(self) -> bool:
        """Everybody's."""
        return self.agent_id is None and self.user_id is None

    @property
    def streams(self) -> list[str]:
        """The streams that follow from the scope alone; of a user's agents the database knows."""
        if self.agent_id is not None:
            return [agent_stream(self.agent_id)]
        return [GLOBAL_STREAM] if self.user_id is None else [GLOBAL_STREAM, user_stream(self.user_id)]

    @property
    def agent_label(self) -> str:
        """The client's own name for its scope."""
        return "*" if self.agent_id is None else str(self.agent_id)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a scope at exactly `sequences`: `data` for `initial_data`, and the mint of every open position."""

    data: dict[str, Any]
    sequences: dict[str, int]
    mints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """One message of a stream, encoded once for all who get it."""

    stream: str
    sequence: int
    kind: str
    payload: Any
    text: str


@dataclass(frozen=True, slots=True)
class Price:
    """A price as it goes out; USD per token None while SOL/USD is unknown."""

    mint: str
    price: float
    price_usd: float | None
    source: str
    at: str


class FeedUnavailable(Exception):
    """The database could not answer now; the sentence is for the client."""


class ScopeGone(Exception):
    """What the client watches does not exist (any more) for it; the sentence is for the client."""


Build = Callable[["Client"], Awaitable[Snapshot]]
Send = Callable[[str], Awaitable[None]]
Close = Callable[[int], Awaitable[None]]


class Client:
    """A connected socket. `run` is its writer; everything else returns at once."""

    def __init__(self, scope: Scope, *, build: Build, send: Send, close: Close) -> None:
        self.scope = scope
        self.heard_at = asyncio.get_running_loop().time()
        self._build, self._send, self._close = build, send, close
        self._seen: dict[str, int] = {}
        self._positions: dict[str, str] = {}
        self._waiting: deque[str] = deque()
        self._early: list[Delta] = []
        self._prices: dict[str, Price] = {}
        self._panel: str | None = None
        self._price_sequence = 0
        self._stale = True
        self._loading = False
        self._close_code: int | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def sequences(self) -> dict[str, int]:
        """The last number of each stream that was sent or is about to be."""
        return self._seen

    @property
    def live(self) -> bool:
        """Whether the client has a snapshot that its deltas continue."""
        return not self._stale and not self._loading

    @property
    def waiting(self) -> int:
        """How much is kept for the client: messages, early deltas and prices."""
        return len(self._waiting) + len(self._early) + len(self._prices)

    def heard(self) -> None:
        """Note that the client lives."""
        self.heard_at = asyncio.get_running_loop().time()

    def reload(self) -> None:
        """Send a new snapshot instead of what waits; deltas until then are dropped, the snapshot contains them."""
        self._stale = True
        self._waiting.clear()
        self._early.clear()
        self._prices.clear()
        self._wanted.set()

    def say(self, kind: str, data: Any = None, **top_level: Any) -> None:
        """Queue a message that belongs to no stream."""
        message = {"type": kind, **({} if data is None else {"data": data}), **top_level}
        self._queue(orjson.dumps(message).decode())

    def show_panel(self, text: str) -> None:
        """Replace the panel that waits, if any, by a newer one."""
        self._panel = text
        self._wanted.set()

    def hang_up(self, code: int) -> None:
        """Close after what is being sent now."""
        self._close_code = code
        self._wanted.set()

    def deliver(self, delta: Delta) -> None:
        """Queue a delta if it is the next of its stream; a gap means a new snapshot, a repetition nothing."""
        if self._stale:
            return
        if self._loading:
            self._early.append(delta)
            if len(self._early) > MAX_WAITING:
                self.reload()
            return
        seen = self._seen.get(delta.stream, 0)
        if delta.sequence <= seen:
            return
        if delta.sequence > seen + 1:
            log.info("feed_gap", stream=delta.stream, seen=seen, came=delta.sequence)
            self.reload()
            return
        self._seen[delta.stream] = delta.sequence
        self._queue(delta.text)
        self._follow(delta)

    def offer_prices(self, prices: Mapping[str, Price]) -> None:
        """Merge new prices of held tokens into those that wait."""
        if not self.live:
            return
        if self.scope.desk:
            self._prices.update(prices)
        else:
            held = set(self._positions.values())
            if self.scope.wide:
                held.add(SOL_MINT)
            self._prices.update({mint: prices[mint] for mint in held if mint in prices})
        if self._prices:
            self._wanted.set()

    async def run(self) -> None:
        """Write until told to hang up; a socket that takes nothing for 20 s is given up."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._close_code is not None:
                await self._close(self._close_code)
                return
            if self._stale:
                await self._load()
            while self._waiting and self._close_code is None:
                await self._write(self._waiting.popleft())
            if self._panel is not None and self.live:
                panel, self._panel = self._panel, None
                await self._write(panel)
            if self._prices and self.live:
                await self._write(self._price_batch())

    async def _write(self, text: str) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._send(text)

    async def _load(self) -> None:
        """Take a snapshot and continue with the deltas that came while it was taken."""
        self._stale, self._loading = False, True
        try:
            snapshot = await self._build(self)
        except (FeedUnavailable, ScopeGone) as failed:
            self._loading, self._stale = False, True
            await self._write(orjson.dumps({"type": "error", "data": {"message": str(failed)}}).decode())
            if isinstance(failed, ScopeGone):
                self.hang_up(1008)
            else:
                asyncio.get_running_loop().call_later(SNAPSHOT_RETRY_SECONDS, self._wanted.set)
            return
        self._loading = False
        if self._stale:  # told to reload meanwhile: take it again
            self._wanted.set()
            return
        early, self._early = self._early, []
        self._seen = dict(snapshot.sequences)
        self._positions = dict(snapshot.mints)
        timestamp = {"timestamp": now_text()}
        message = {"type": "initial_data", "data": {**snapshot.data, "streams": self._seen, **timestamp}}
        self._waiting.appendleft(orjson.dumps(message).decode())
        for delta in early:
            self.deliver(delta)

    def _queue(self, text: str) -> None:
        self._waiting.append(text)
        if len(self._waiting) > MAX_WAITING:
            log.info("feed_client_slow", scope=self.scope.agent_label, waiting=len(self._waiting))
            self.reload()
        self._wanted.set()

    def _follow(self, delta: Delta) -> None:
        """Keep the list of held tokens, and of the user's agents, in step."""
        payload = delta.payload
        if delta.kind == "position_update":
            if payload.get("eventType") == "position_closed":
                self._positions.pop(payload.get("positionId"), None)
            elif "position" in payload:
                position = payload["position"]
                self._positions[position["id"]] = position["tokenAddress"]
        elif delta.kind == "agent_created" and self.scope.wide:
            self._seen.setdefault(agent_stream(payload["agentId"]), 0)

    def _price_batch(self) -> str:
        prices, self._prices = self._prices, {}
        self._price_sequence += 1
        updates = [
            {
                "tokenAddress": price.mint.lower(),
                "mint": price.mint,
                "price": price.price,
                "priceUsd": price.price_usd,
                "source": price.source,
                "timestamp": price.at,
            }
            for price in prices.values()
        ]
        data = {"updates": updates, "sequence": self._price_sequence, "timestamp": now_text()}
        return orjson.dumps({"type": "price_update_batch", "data": data}).decode()


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
