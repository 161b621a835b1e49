"""What wide clients see beside positions, kept fresh: rebuilt when something happened, once for all of a scope.

`panel` says what stands in it; the hub marks scopes and runs `refresh`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

import structlog

from apps.console.clients import Client, FeedUnavailable, Scope
from apps.console.frames import message_frame, now_text

log = structlog.get_logger(__name__)

PANEL_SECONDS = 1.0
#: Exits fall due and prices stop without any message: a panel is never older than this.
PANEL_AT_MOST_SECONDS = 5.0
PANEL_RESTS = 9
LONGEST_REST_SECONDS = 10.0


class PanelSource(Protocol):
    """Who reads a panel; may raise FeedUnavailable."""

    async def panel(self, scope: Scope) -> dict[str, Any]: ...


class Panels:
    """The panels of a hub's clients; `clients` is the hub's own, as it is at each moment. One event loop uses it."""

    def __init__(self, source: PanelSource, clients: Iterable[Client]) -> None:
        self._source, self._clients = source, clients
        self._dirty: dict[Scope, None] = {}

    def mark(self, scope: Scope) -> None:
        """Have a wide scope's panel rebuilt at the next round."""
        if scope.wide:
            self._dirty[scope] = None

    async def refresh(self) -> None:
        """Rebuild what is marked: at most once a second, and everything every five seconds without a reason.

        Rests nine times as long as it took: a desk of very many positions is summed up less often.
        """
        next_round = rest = 0.0
        while True:
            await asyncio.sleep(min(max(PANEL_SECONDS, rest), LONGEST_REST_SECONDS))
            now = asyncio.get_running_loop().time()
            if now >= next_round:
                next_round = now + PANEL_AT_MOST_SECONDS
                for client in self._clients:
                    self.mark(client.scope)
            dirty, self._dirty = self._dirty, {}
            watching: dict[Scope, list[Client]] = {scope: [] for scope in dirty}
            for client in self._clients:
                if client.scope.wide and client.scope in watching:
                    watching[client.scope].append(client)
            for scope, clients in watching.items():
                if clients:
                    await self._show(scope, clients)
            rest = PANEL_RESTS * (asyncio.get_running_loop().time() - now)

    async def _show(self, scope: Scope, clients: Iterable[Client]) -> None:
        try:
            panel = await self._source.panel(scope)
        except FeedUnavailable as error:
            log.warning("feed_panel_failed", error=str(error))
            self.mark(scope)
            return
        frame = message_frame("desk_update", {**panel, "timestamp": now_text()})
        for client in clients:
            client.show_panel(frame)
