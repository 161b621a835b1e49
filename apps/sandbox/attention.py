"""Which tokens somebody follows: a desk asks for the prices of what it holds, and this remembers what was asked for.

It is all the sandbox knows of positions: it sees requests, as a provider does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

#: A token counts as held for this long after its price was asked for.
REMEMBERED_SECONDS = 8.0


class Attention:
    """The mints whose prices were asked for lately."""

    def __init__(self) -> None:
        self._asked_at: dict[str, float] = {}

    def note(self, mints: Iterable[str]) -> None:
        """Remember that these prices were asked for now."""
        now = time.monotonic()
        for mint in mints:
            self._asked_at[mint] = now

    def held(self) -> frozenset[str]:
        """Return the mints that count as held; what is older is forgotten."""
        since = time.monotonic() - REMEMBERED_SECONDS
        self._asked_at = {mint: at for mint, at in self._asked_at.items() if at >= since}
        return frozenset(self._asked_at)
