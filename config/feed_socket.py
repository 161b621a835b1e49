"""uvicorn's WebSocket, with a way for the live feed to hand whole frames to the transport.

A message through ASGI costs a dictionary, two coroutines and a frame encoded anew for each client. The feed encodes a
frame once for everybody and writes it here; what a transport has not taken is the feed's to bound (`apps.console`).
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "soldesk.pipe"
HIGH_WATER_BYTES = 64 * 1024
_MANY_FILES = 65_536


class FeedSocket(WebSocketsSansIOProtocol):
    """One WebSocket; the application finds it in its scope as the extension `soldesk.pipe`."""

    congested = False
    resumed: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    async def run_asgi(self) -> None:
        self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]
        await super().run_asgi()

    @property
    def buffered(self) -> int:
        """Bytes the transport has taken and the system has not."""
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send encoded frames at once; nothing once the socket has begun to close, or to be lost."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.transport.write(frames)

    def abort(self) -> None:
        """End the connection without a word, and forget what it has not taken."""
        self.transport.abort()

    def pause_writing(self) -> None:
        self.congested = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self.congested = False
        super().resume_writing()
        if self.resumed is not None:
            self.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.resumed = None
        super().connection_lost(exc)


def allow_many_sockets() -> None:
    """Let this process open as many files as the system lets it: a soft limit of 1,024 is common."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
