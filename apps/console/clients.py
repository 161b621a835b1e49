"""One WebSocket client of the feed: what it may see, what it has seen, and what still has to be sent to it.

Nothing here waits: frames are written to the socket's transport as long as that takes them. What a slow client has not
taken is bounded: prices are merged to the newest, and too many messages are dropped for a new snapshot.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import orjson
import structlog

from apps.console.frames import Price, PriceBatch, message_frame, now_text, text_frame
from apps.core.money import SOL_MINT
from apps.core.outbox import GLOBAL_STREAM, agent_stream, user_stream

log = structlog.get_logger(__name__)

MAX_WAITING = 500
MAX_WAITING_BYTES = 512 * 1024
MAX_EARLY_PRICES = 64
SNAPSHOT_RETRY_SECONDS = 1.0
RESYNC_SECONDS = 1.0
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
NORMAL_END = 1000


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
    """What `initial_data` carries beside its streams; their numbers; the open positions' tokens by position id."""

    data: dict[str, Any]
    sequences: dict[str, int]
    mints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """One message of a stream, as published, and as a frame."""

    stream: str
    sequence: int
    kind: str
    payload: Any
    frame: bytes


class FeedUnavailable(Exception):
    """The database could not answer now; the sentence is for the client."""


class ScopeGone(Exception):
    """What the client watches does not exist (any more) for it; the sentence is for the client."""


class Pipe(Protocol):
    """A socket's transport. Writes at once, never waits; `resumed` is called when it is congested no more."""

    resumed: Callable[[], None] | None
    congested: bool

    @property
    def buffered(self) -> int: ...
    def write(self, frames: bytes, /) -> None: ...
    def abort(self) -> None: ...


class House(Protocol):
    """The hub, as a client needs it."""

    async def build(self, client: Client) -> Snapshot: ...
    def regroup(self, client: Client) -> None: ...
    def newest_price(self, mint: str) -> Price | None: ...


Close = Callable[[int], Awaitable[None]]


class Client:
    """A connected socket, from its joining of the hub on. Every method but the snapshot's reading returns at once."""

    def __init__(self, scope: Scope, pipe: Pipe, *, house: House, close: Close) -> None:
        self.scope = scope
        self.held: frozenset[str] = frozenset()
        self.heard_at = self._now()
        self._congested_since: float | None = None
        self._pipe, self._house, self._close = pipe, house, close
        self._seen: dict[str, int] = {}
        self._positions: dict[str, str] = {}
        self._tokens: Counter[str] = Counter()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._early: list[Delta] = []
        self._early_prices: list[Mapping[str, Price]] = []
        self._prices: dict[str, Price] = {}
        self._panel: bytes | None = None
        self._price_sequence = 0
        self._snapshot_at = self._retry_at = float("-inf")
        self._stale = True
        self._asked = False
        self._over = False
        self._work: set[asyncio.Task[None]] = set()
        self._loading: asyncio.Task[None] | None = None
        pipe.resumed = self.flush

    @property
    def sequences(self) -> dict[str, int]:
        """The last number of each stream that was sent or is about to be."""
        return self._seen

    @property
    def live(self) -> bool:
        """Whether the client has a snapshot that its deltas continue."""
        return not self._stale and self._loading is None

    @property
    def waiting(self) -> int:
        """How much is kept for the client: messages, early deltas and prices."""
        return len(self._waiting) + len(self._early) + len(self._early_prices) + len(self._prices)

    @property
    def waiting_bytes(self) -> int:
        """What is kept for a client that does not keep up: its messages and what its transport still has."""
        return self._waiting_bytes + self._pipe.buffered

    def heard(self) -> None:
        """Note that the client lives."""
        self.heard_at = self._now()

    def stuck_seconds(self) -> float:
        """Return for how long its transport has taken nothing more; 0 while it does."""
        if not self._pipe.congested:
            self._congested_since = None
            return 0.0
        self._congested_since = self._congested_since or self._now()
        return self._now() - self._congested_since

    def start(self) -> None:
        """Take the first snapshot."""
        self.flush()

    def reload(self) -> None:
        """Send a new snapshot instead of what waits; deltas until then are dropped, the snapshot contains them."""
        was_live = self.live
        self._stale = True
        self._drop_waiting()
        self._early.clear()
        self._early_prices.clear()
        self._prices.clear()
        if was_live:
            self._house.regroup(self)
        self.flush()

    def resync(self) -> None:
        """Do what a client asked for: a new snapshot, but no more than one a second."""
        rest = self._snapshot_at + RESYNC_SECONDS - self._now()
        if rest <= 0:
            self.reload()
        elif not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_later(rest, self._resync_now)

    def say(self, kind: str, data: Any = None, **top_level: Any) -> None:
        """Send a message that belongs to no stream."""
        self._queue(message_frame(kind, data, **top_level))
        self.flush()

    def show_panel(self, frame: bytes) -> None:
        """Replace the panel that waits, if any, by a newer one."""
        self._panel = frame
        self.flush()

    def hang_up(self, code: int) -> None:
        """Close after what waits; a client that takes nothing is cut off."""
        if self._over:
            return
        self.flush()
        self._over = True
        if self._pipe.congested:
            self._pipe.abort()
        else:
            self._do(self._close(code))

    def cut_off(self) -> None:
        """End the connection at once, and forget what waits."""
        self._over = True
        self._drop_waiting()
        self._pipe.abort()

    def left(self) -> None:
        """The socket is gone: stop whatever is under way for it."""
        self._over = True
        self._pipe.resumed = None
        if self._loading is not None:
            self._loading.cancel()

    async def closed(self) -> None:
        """Wait until the goodbye is said."""
        if self._work:
            await asyncio.wait(self._work)

    def deliver(self, delta: Delta) -> None:
        """Queue a delta if it is the next of its stream (a gap means a new snapshot, a repetition nothing); then flush.

        What waits of prices goes before it: they were told before it happened.
        """
        if self._stale:
            return
        if self._loading is not None:
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
        if self._prices:
            self._queue(self._price_frame())
        self._queue(delta.frame)
        self._follow(delta)

    def offer_prices(self, batch: PriceBatch) -> None:
        """Send new prices of held tokens, or merge them into those that wait."""
        if self._prices or self._waiting or self._pipe.congested:
            for mint, price in batch.prices.items():
                self._prices[mint] = price.following(self._prices.get(mint))
            self.flush()
        else:
            self._price_sequence += 1
            self._pipe.write(batch.frame(self._price_sequence))

    def keep_prices(self, prices: Mapping[str, Price]) -> None:
        """Keep prices that come while the snapshot is read: it may have been read before them."""
        if self._loading is not None and not self._stale:
            self._early_prices.append(prices)
            if len(self._early_prices) > MAX_EARLY_PRICES:
                self.reload()

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it."""
        if self._over or self._pipe.congested:
            return
        self._congested_since = None
        self._write_waiting()
        if self._stale and self._loading is None and not self._pipe.congested and self._now() >= self._retry_at:
            self._stale = False
            self._loading = self._do(self._load())
        if self._panel is not None and self.live and not self._pipe.congested:
            panel, self._panel = self._panel, None
            self._pipe.write(panel)
        if self._prices and self.live and not self._pipe.congested:
            self._pipe.write(self._price_frame())

    async def _load(self) -> None:
        """Take a snapshot and continue with the deltas and prices that came while it was taken."""
        try:
            snapshot = await self._house.build(self)
        except FeedUnavailable as failed:
            self._loading, self._stale = None, True
            self._retry_at = self._now() + SNAPSHOT_RETRY_SECONDS
            asyncio.get_running_loop().call_at(self._retry_at, self.flush)
            self.say("error", {"message": str(failed)})
            return
        except ScopeGone as gone:
            self.say("error", {"message": str(gone)})
            self.hang_up(POLICY_VIOLATION)
            return
        except Exception:
            log.exception("feed_snapshot_failed", scope=self.scope.agent_label)
            self.hang_up(INTERNAL_ERROR)
            return
        self._loading = None
        if not self._stale:  # else told to reload meanwhile: take it again
            self._continue(snapshot)
        self.flush()

    def _continue(self, snapshot: Snapshot) -> None:
        self._snapshot_at = self._now()
        self._seen = dict(snapshot.sequences)
        self._positions = dict(snapshot.mints)
        self._tokens = Counter(snapshot.mints.values())
        self._regroup()
        streams = {"streams": self._seen, "timestamp": now_text()}
        self._queue(text_frame(orjson.dumps({"type": "initial_data", "data": {**snapshot.data, **streams}})))
        early, self._early = self._early, []
        early_prices, self._early_prices = self._early_prices, []
        for prices in early_prices:
            own = prices if self.scope.desk else {mint: prices[mint] for mint in self.held if mint in prices}
            if own:
                self._price_sequence += 1
                self._queue(PriceBatch(own.values(), now_text()).frame(self._price_sequence))
        for delta in early:
            self.deliver(delta)

    def _queue(self, frame: bytes) -> None:
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if len(self._waiting) > 1 and (len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES):
            self._write_waiting()
            if self._waiting:
                log.info("feed_client_slow", scope=self.scope.agent_label, waiting=len(self._waiting))
                self.reload()

    def _write_waiting(self) -> None:
        if self._waiting and not self._pipe.congested and not self._over:
            frames = b"".join(self._waiting)
            self._drop_waiting()
            self._pipe.write(frames)

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    def _follow(self, delta: Delta) -> None:
        """Keep the list of held tokens, and of the user's agents, in step."""
        payload = delta.payload
        if delta.kind == "position_update":
            if payload.get("eventType") == "position_closed":
                mint = self._positions.pop(payload.get("positionId"), None)
                if mint is not None:
                    self._tokens[mint] -= 1
                    if not self._tokens[mint]:
                        del self._tokens[mint]
                        self._regroup()
            elif "position" in payload:
                position = payload["position"]
                if position["id"] not in self._positions:
                    self._positions[position["id"]] = mint = position["tokenAddress"]
                    self._tokens[mint] += 1
                    if self._tokens[mint] == 1:
                        self._regroup()
                        self._tell_newest(mint)
        elif delta.kind == "agent_created" and self.scope.wide:
            self._seen.setdefault(agent_stream(payload["agentId"]), 0)

    def _regroup(self) -> None:
        """Say which prices are of interest from now on."""
        self.held = frozenset((*self._tokens, SOL_MINT))
        self._house.regroup(self)

    def _tell_newest(self, mint: str) -> None:
        """Send the last price of a token that is held from now on: it may have been heard before that was."""
        price = self._house.newest_price(mint)
        if price is not None and not self.scope.desk:
            self._prices.setdefault(mint, price)

    def _price_frame(self) -> bytes:
        prices, self._prices = self._prices, {}
        self._price_sequence += 1
        return PriceBatch(prices.values(), now_text()).frame(self._price_sequence)

    def _resync_now(self) -> None:
        self._asked = False
        self.reload()

    def _do(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
