"""The terminal of `make up`: every line under its process's name, in its colour.

A terminal that does not take output (Ctrl-S, a stalled pipe) must not stop the desk: what it does not take waits in
a bounded queue, and what the queue does not hold is counted and left out.
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Iterable, Mapping

COLOURS = (
    39,
    208,
    41,
    170,
    220,
    45,
    203,
    141,
    114,
    180,
    75,
    213,
    150,
    214,
    110,
    246,
)  # of the 256; apart on dark and light
LONGEST_LINE = 8000
CHUNK = 4096  # what a pipe that reports itself writable takes without blocking
QUEUED_LINES = 5000


class Console:
    """Writes prefixed lines to standard output; `flush` moves what is waiting."""

    def __init__(self, names: Iterable[str], environ: Mapping[str, str]) -> None:
        self._names = list(names)
        self._width = max(map(len, self._names), default=0)
        self._descriptor = sys.stdout.fileno()
        plain = "NO_COLOR" in environ or environ.get("TERM") == "dumb"
        self._coloured = os.isatty(self._descriptor) and not plain
        self._waiting: deque[bytes] = deque()
        self._left_out = 0
        self.broken = False

    def line(self, name: str, text: str) -> None:
        """Show one line of a process."""
        prefix = f"{name:<{self._width}} |"
        if self._coloured and name in self._names:
            prefix = f"\033[38;5;{COLOURS[self._names.index(name) % len(COLOURS)]}m{prefix}\033[0m"
        self._queue(f"{prefix} {text[:LONGEST_LINE]}")

    def say(self, text: str, *, bold: bool = False) -> None:
        """Show the supervisor's own words, without a prefix."""
        self._queue(f"\033[1m{text}\033[0m" if bold and self._coloured else text)

    def flush(self, patience_seconds: float = 0.0) -> None:
        """Write what the terminal takes now, waiting up to `patience_seconds` for it to take more."""
        try:
            while self._waiting and not self.broken:
                if not select.select([], [self._descriptor], [], patience_seconds)[1]:
                    return
                first = self._waiting.popleft()
                written = os.write(self._descriptor, first[:CHUNK])
                if written < len(first):
                    self._waiting.appendleft(first[written:])
            if self._left_out and not self.broken:
                self._left_out, count = 0, self._left_out
                self._queue(f"({count} lines were left out while the terminal took none)")
        except OSError:
            self.broken = True
            self._waiting.clear()

    def _queue(self, text: str) -> None:
        if len(self._waiting) >= QUEUED_LINES:
            self._left_out += 1
            return
        self._waiting.append(text.encode(errors="replace") + b"\n")
        self.flush()
