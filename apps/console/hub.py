"""The hub of a web process: one Redis subscription, and a loop over its own sockets that never waits for any of them.

Clients join with a scope; the hub indexes them by stream. When Redis comes back after it was away, and when a stream is
found to be behind PostgreSQL, clients get a new snapshot. What stands beside positions is `panels`' to refresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol
from uuid import UUID

import orjson
import structlog
from django.conf import settings

from apps.console import ears
from apps.console.clients import NORMAL_END, POLICY_VIOLATION, Client, Delta, FeedUnavailable, Scope, Snapshot
from apps.console.frames import Price, PriceBatch, now_text, text_frame
from apps.console.panels import Panels
from apps.console.recent_prices import RecentPrices
from apps.core.feed import FEED_CHANNEL
from apps.core.outbox import agent_stream

log = structlog.get_logger(__name__)

PING_SECONDS = 30.0
SILENT_SECONDS = 60.0
CHECK_SECONDS = 10.0
RECONNECT_SECONDS = 0.5
RELOAD_SPREAD_SECONDS = 1.0
WITHOUT_REDIS_SECONDS = 5.0
SWEEP_SECONDS = 1.0
SNAPSHOTS_AT_ONCE = 2
STUCK_SECONDS = 20.0
_NOBODY: frozenset[Client] = frozenset()
#: Which prices a client gets: those of the tokens it holds (the key), every one, or none yet.
_EVERY, _NONE_YET = "every", "none yet"


class Sources(Protocol):
    """What the hub reads, through the web process's database threads (`apps.console.feed`).

    Every method may raise FeedUnavailable; `snapshot` also ScopeGone.
    """

    async def snapshot(self, scope: Scope) -> Snapshot: ...
    async def streams(self, scope: Scope) -> list[str]: ...
    async def panel(self, scope: Scope) -> dict[str, Any]: ...
    async def sequences(self, streams: set[str]) -> dict[str, int]: ...
    async def ended(self, credentials: set[Any]) -> set[Any]: ...


class Hub:
    """All clients of this process. Used from one event loop only; `start` on the first join, `stop` at the end."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._clients: dict[Client, Any] = {}
        self._users: Counter[UUID] = Counter()
        self._by_stream: dict[str, set[Client]] = defaultdict(set)
        self._streams: dict[Client, set[str]] = defaultdict(set)
        self._desk: set[Client] = set()
        self._groups: dict[frozenset[str] | str, set[Client]] = defaultdict(set)
        self._group_of: dict[Client, frozenset[str] | str] = {}
        self._recent = RecentPrices()
        self._tasks: list[asyncio.Task[None]] = []
        self._reading: dict[Scope, asyncio.Task[Snapshot]] = {}
        self._turns = asyncio.Semaphore(SNAPSHOTS_AT_ONCE)
        self._panels = Panels(sources, self._clients)
        self._behind: dict[str, int] = {}
        self._next_refresh = 0.0
        self.connected = False

    @property
    def size(self) -> int:
        return len(self._clients)

    @property
    def is_full(self) -> bool:
        """Whether the process serves as many sockets as it may."""
        return self._users.total() >= settings.FEED_SOCKETS_PER_PROCESS

    def reserve(self, user_id: UUID) -> bool:
        """Take one of the user's sockets in this process; False when there is none left. `release` gives it back."""
        if self._users[user_id] >= settings.FEED_SOCKETS_PER_USER:
            return False
        self._users[user_id] += 1
        return True

    def release(self, user_id: UUID) -> None:
        """Give back what `reserve` took."""
        self._users[user_id] -= 1
        if self._users[user_id] <= 0:
            del self._users[user_id]

    def start(self) -> None:
        """Start listening; once is enough."""
        if not self._tasks:
            loops = (self._listen, self._ping, self._check, self._panels.refresh, self._sweep)
            self._tasks = [
                asyncio.create_task(_keep_running(loop), name=f"feed_{loop.__name__.strip('_')}") for loop in loops
            ]

    async def stop(self) -> None:
        """Say goodbye (1000) to every client and stop."""
        clients = list(self._clients)
        for client in clients:
            client.hang_up(NORMAL_END)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                for client in clients:
                    await client.closed()
        for client in clients:
            self.leave(client)
        pending = {*self._tasks, *self._reading.values()}
        while pending:  # a library may take a cancellation for its own time-out and swallow it: say it again
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1)
        self._tasks = []

    def join(self, client: Client, credential: Any) -> None:
        """Serve a client until `leave`."""
        self.start()
        self._clients[client] = credential
        self._hear(client, client.scope.streams)
        if client.scope.desk:
            self._desk.add(client)
        self.regroup(client)
        self._panels.mark(client.scope)
        if client.scope.wide and not self.connected:
            client.say("feed_state", {"live": False, "timestamp": now_text()})
        client.start()

    def leave(self, client: Client) -> None:
        """Forget a client whose socket is gone."""
        client.left()
        self._clients.pop(client, None)
        self._desk.discard(client)
        for stream in self._streams.pop(client, ()):
            self._by_stream[stream].discard(client)
            if not self._by_stream[stream]:
                del self._by_stream[stream]
        self._leave_group(client)

    def regroup(self, client: Client) -> None:
        """Put a client among those that get the same prices."""
        if client not in self._clients:
            return
        key = _NONE_YET if not client.live else _EVERY if client.scope.desk else client.held
        if self._group_of.get(client) != key:
            self._leave_group(client)
            self._group_of[client] = key
            self._groups[key].add(client)

    def newest_price(self, mint: str) -> Price | None:
        """Return the last price of a token this process has heard."""
        return self._recent.newest(mint)

    def _leave_group(self, client: Client) -> None:
        key = self._group_of.pop(client, None)
        if key is not None:
            self._groups[key].discard(client)
            if not self._groups[key]:
                del self._groups[key]

    async def build(self, client: Client) -> Snapshot:
        """Read a client's snapshot; its streams are heard first, so that nothing falls between.

        Clients of one scope share a reading that has not begun: what each of them missed is in it.
        """
        scope = client.scope
        if scope.wide and not scope.desk:
            self._hear(client, await self._sources.streams(scope))
        reading = self._reading.get(scope)
        if reading is None:
            reading = self._reading[scope] = asyncio.create_task(self._read(scope))
            reading.add_done_callback(_heard_of)
        return await asyncio.shield(reading)

    async def _read(self, scope: Scope) -> Snapshot:
        try:
            await self._turns.acquire()
        finally:
            del self._reading[scope]
        try:
            return await self._sources.snapshot(scope)
        finally:
            self._turns.release()

    def _hear(self, client: Client, streams: Iterable[str]) -> None:
        if client not in self._clients:
            return
        for stream in streams:
            self._by_stream[stream].add(client)
            self._streams[client].add(stream)

    def dispatch(self, frame: bytes) -> None:
        """Hand one frame of the relay to every client that may see it."""
        touched: dict[Client, None] = {}
        for stream, sequence, kind, payload in orjson.loads(frame):
            if kind == "agent_archived":
                self._reload_watchers(payload["agentId"])
            targets = self._by_stream.get(stream, _NOBODY) | self._desk
            if not targets:
                continue
            if kind == "position_update" and "position" in payload:
                self._recent.correct(payload["position"])
            message = {"type": kind, "data": payload, "stream": stream, "sequence": sequence}
            delta = Delta(stream, sequence, kind, payload, text_frame(orjson.dumps(message)))
            for client in targets:
                client.deliver(delta)
                touched[client] = None
                if kind == "agent_created" and client.scope.wide and not client.scope.desk:
                    self._hear(client, [agent_stream(payload["agentId"])])
        for client in touched:
            client.flush()
            self._panels.mark(client.scope)

    def _reload_watchers(self, agent_id: str) -> None:
        """Let those who watch an agent that is no more find out: it is told to its owner, not on its own stream."""
        for client in list(self._by_stream.get(agent_stream(agent_id), _NOBODY)):
            if not client.scope.wide:
                client.reload()

    def dispatch_prices(self, frame: bytes) -> None:
        """Offer new prices to every client; those that hold the same tokens share what is encoded."""
        at = now_text()
        prices = {
            mint: Price(mint, price, usd, source, said_at or at, tick, price, price)
            for mint, price, usd, source, said_at, tick in orjson.loads(frame)
        }
        self._recent.take(prices.values())
        for key, clients in list(self._groups.items()):
            if key == _NONE_YET:
                for client in list(clients):
                    client.keep_prices(prices)
                continue
            own = prices.values() if isinstance(key, str) else [prices[mint] for mint in prices.keys() & key]
            if own:
                batch = PriceBatch(own, at)
                for client in list(clients):
                    client.offer_prices(batch)

    def reload_all(self) -> None:
        """Give every client a new snapshot, spread over a second."""
        loop = asyncio.get_running_loop()
        spread = RELOAD_SPREAD_SECONDS if len(self._clients) > 1 else 0.0
        for client in self._clients:
            loop.call_later(random.random() * spread, client.reload)  # noqa: S311
            self._panels.mark(client.scope)

    async def _listen(self) -> None:
        while True:
            try:
                await ears.listen(self._subscribed, self._take)
            except ears.LOST as error:
                if self.connected:
                    log.warning("feed_redis_away", error=type(error).__name__, clients=len(self._clients))
                    self._tell_state(live=False)
                self.connected = False
            await asyncio.sleep(RECONNECT_SECONDS)
            self._refresh_without_redis()

    def _take(self, channel: str, frame: bytes) -> None:
        try:
            if channel == FEED_CHANNEL:
                self.dispatch(frame)
            else:
                self.dispatch_prices(frame)
        except (ValueError, TypeError, KeyError) as error:  # somebody else's message on our channel
            log.warning("feed_frame_unreadable", error=type(error).__name__)

    def _subscribed(self) -> None:
        """A subscription is new, also after a reconnect by the client library: what was said before it is missed."""
        if not self.connected:
            log.info("feed_connected", clients=len(self._clients))
        self.connected = True
        self._tell_state(live=True)
        self.reload_all()

    def _refresh_without_redis(self) -> None:
        """An operator's desk goes on without Redis: snapshots from PostgreSQL instead of deltas."""
        now = asyncio.get_running_loop().time()
        if self.connected or now < self._next_refresh:
            return
        self._next_refresh = now + WITHOUT_REDIS_SECONDS
        for client in list(self._clients):
            if client.scope.wide and client.live:
                client.reload()
                self._panels.mark(client.scope)

    def _tell_state(self, *, live: bool) -> None:
        for client in list(self._clients):
            if client.scope.wide:
                client.say("feed_state", {"live": live, "timestamp": now_text()})

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_SECONDS)
            for client in list(self._clients):
                if loop.time() - client.heard_at > SILENT_SECONDS:
                    client.hang_up(NORMAL_END)
                else:
                    client.say("ping", timestamp=now_text(), streams=client.sequences)

    async def _sweep(self) -> None:
        """Cut off clients that take nothing, and, when too much waits in all, those for whom most does."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            slow = [(client.waiting_bytes, client) for client in self._clients if client.stuck_seconds()]
            for waiting, client in slow:
                if client.stuck_seconds() > STUCK_SECONDS:
                    log.info("feed_client_stuck", scope=client.scope.agent_label, bytes=waiting)
                    client.cut_off()
            total = sum(waiting for waiting, _ in slow)
            for waiting, client in sorted(slow, key=lambda item: item[0], reverse=True):
                if total <= settings.FEED_BUFFER_BYTES:
                    break
                log.warning("feed_memory_short", scope=client.scope.agent_label, bytes=waiting)
                client.cut_off()
                total -= waiting

    async def _check(self) -> None:
        """Close clients whose session has ended, and reload those whose stream has silently lost its end."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not self._clients:
                continue
            try:
                await self._close_ended()
                if self.connected:
                    await self._compare_sequences()
            except FeedUnavailable as error:
                log.warning("feed_check_failed", error=str(error))

    async def _close_ended(self) -> None:
        ended = await self._sources.ended(set(self._clients.values()))
        for client, credential in list(self._clients.items()):
            if credential in ended:
                client.hang_up(POLICY_VIOLATION)

    async def _compare_sequences(self) -> None:
        """A stream behind PostgreSQL at two checks in a row has lost a message on the way."""
        streams = {stream for client in self._clients if client.live for stream in client.sequences}
        stored = await self._sources.sequences(streams)
        suspects: dict[str, int] = {}
        for client in list(self._clients):
            if not client.live:
                continue
            late = {s: stored[s] for s, seen in client.sequences.items() if stored.get(s, 0) > seen}
            if any(client.sequences[stream] < self._behind.get(stream, 0) for stream in late):
                log.warning("feed_behind", streams=len(late), scope=client.scope.agent_label)
                client.reload()
            suspects |= late
        self._behind = suspects


def _heard_of(reading: asyncio.Task[Snapshot]) -> None:
    """Take notice of a failure all of whose clients have left meanwhile."""
    if not reading.cancelled():
        reading.exception()


async def _keep_running(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a loop again should it ever end: nobody would notice a feed that has stopped."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("feed_loop_failed", loop=loop.__name__)
        await asyncio.sleep(1)
