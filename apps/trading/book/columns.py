"""The book's storage: one array per column, and for each token a slab of neighbouring rows with room to grow.

Rows move only within their slab, with their slab, or when everything is packed. Unused rows belong to token 0, which
never has a price. Who reads the columns goes through `rows` (one per position) or `used` (all, unused ones included).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]

#: Bits of the column `flags`.
PEAK_RISEN, LOW_FALLEN, STOP_MOVED, CLOSING, ADJUSTING, ODD, LIVE = 1, 2, 4, 8, 16, 32, 64
UNSAVED = PEAK_RISEN | LOW_FALLEN | STOP_MOVED

#: Name → type. Prices are SOL per token, times microseconds since 1970, tokens base units, percents 10^-8.
#: `average_high`, `average_low` are the exact trigger average: (high · 10^18 + low) · 10^-24. Thresholds (`stop`,
#: `take_profit`, `dca`, `stale_low`, `stale_high`) are widened a hair, so that they flag too much, never too little.
#: `mode` is how the agent's rules move the stop (`rules.py`); below `moves_from` a rise of the peak moves it nowhere.
COLUMNS: dict[str, str] = {
    "id": "V16",
    "token": "i4",
    "agent": "i4",
    "average": "f8",
    "average_high": "i8",
    "average_low": "i8",
    "peak": "f8",
    "low": "f8",
    "stop": "f8",
    "moves_from": "f8",
    "take_profit": "f8",
    "dca": "f8",
    "stale_low": "f8",
    "stale_high": "f8",
    "stale_at": "i8",
    "opened_at": "i8",
    "last_dca_at": "i8",
    "adjust_after": "i8",
    "stop_percent": "i8",
    "remaining": "i8",
    "bought": "i8",
    "bag": "i8",
    "generation": "i4",
    "peak_generation": "i4",
    "levels_hit": "i2",
    "batch_start": "i2",
    "total_levels": "i2",
    "dca_count": "i2",
    "mode": "u1",
    "flags": "u1",
}
BYTES_PER_ROW = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())

#: What a column says when there is nothing: no stop yet, no bag, no DCA yet, no total.
NO_INTEGER = np.iinfo(np.int64).min
NO_SMALL = -1

NOBODY = 0
_SMALLEST_SLAB = 8
_GROWTH = 1.25
_ROOM = 1.02
#: Packing is worth it when this share of the rows is unused, and there are enough of them.
_WASTE = 0.3
_LEAST_WASTE = 4_096


@dataclass(slots=True)
class _Slab:
    start: int
    capacity: int
    count: int = 0


class Columns:
    """The arrays and the slabs in them. Attributes are the names in `COLUMNS`; ids lead to rows by `index`."""

    average: NDArray[np.float64]
    peak: NDArray[np.float64]
    low: NDArray[np.float64]
    stop: NDArray[np.float64]
    moves_from: NDArray[np.float64]
    take_profit: NDArray[np.float64]
    dca: NDArray[np.float64]
    stale_low: NDArray[np.float64]
    stale_high: NDArray[np.float64]
    token: NDArray[np.int32]
    agent: NDArray[np.int32]
    average_high: NDArray[np.int64]
    average_low: NDArray[np.int64]
    stale_at: NDArray[np.int64]
    opened_at: NDArray[np.int64]
    last_dca_at: NDArray[np.int64]
    adjust_after: NDArray[np.int64]
    stop_percent: NDArray[np.int64]
    remaining: NDArray[np.int64]
    bought: NDArray[np.int64]
    bag: NDArray[np.int64]
    generation: NDArray[np.int32]
    peak_generation: NDArray[np.int32]
    levels_hit: NDArray[np.int16]
    batch_start: NDArray[np.int16]
    total_levels: NDArray[np.int16]
    dca_count: NDArray[np.int16]
    mode: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    id: NDArray[np.void]

    def __init__(self) -> None:
        self.index: dict[bytes, int] = {}
        self.used = 0
        self._slabs: dict[int, _Slab] = {}
        self._unused = 0
        self._allocate(0)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def bytes_held(self) -> int:
        """What the arrays take, the id index not counted."""
        return len(self.token) * BYTES_PER_ROW

    def rows_of(self, token: int) -> slice:
        """Return the rows of a token, one per position."""
        slab = self._slabs.get(token)
        return slice(0, 0) if slab is None else slice(slab.start, slab.start + slab.count)

    def count_of(self, token: int) -> int:
        """Return how many positions there are in a token."""
        slab = self._slabs.get(token)
        return 0 if slab is None else slab.count

    def slabs(self) -> tuple[Rows, Rows]:
        """Return where tokens' rows begin, ascending, and the tokens: each slab ends before the next begins."""
        found = sorted((slab.start, token) for token, slab in self._slabs.items())
        starts, tokens = zip(*found, strict=True) if found else ((), ())
        return np.array(starts, dtype=np.intp), np.array(tokens, dtype=np.intp)

    def insert(self, token: int, ids: Sequence[bytes]) -> Rows:
        """Make rows for new positions of a token; everything but id and token is the caller's to fill in."""
        slab = self._slabs.get(token)
        wanted = len(ids) + (0 if slab is None else slab.count)
        if slab is None or wanted > slab.capacity:
            slab = self._move(token, slab, wanted)
        first = slab.start + slab.count
        rows = np.arange(first, first + len(ids))
        slab.count = wanted
        self._unused -= len(ids)
        self.token[rows] = token
        self.id[rows] = np.frombuffer(b"".join(ids), dtype="V16")
        self.index.update(zip(ids, rows.tolist(), strict=True))
        return rows

    def remove(self, position_id: bytes) -> bool:
        """Forget a position; the last one of its slab takes its row. False when it was not there."""
        row = self.index.pop(position_id, None)
        if row is None:
            return False
        slab = self._slabs[int(self.token[row])]
        slab.count -= 1
        last = slab.start + slab.count
        if row != last:
            for name in COLUMNS:
                column = getattr(self, name)
                column[row] = column[last]
            self.index[self.id[row].tobytes()] = row
        self.token[last] = NOBODY
        self._unused += 1
        return True

    def pack_if_wasteful(self) -> bool:
        """Close the gaps when they have become many; every row may move. True when that was done."""
        if self._unused < max(_LEAST_WASTE, int(self.used * _WASTE)):
            return False
        self._pack()
        return True

    def _move(self, token: int, slab: _Slab | None, wanted: int) -> _Slab:
        """Give a token a slab for `wanted` rows behind all others, taking its rows along."""
        capacity = _SMALLEST_SLAB if slab is None and wanted <= _SMALLEST_SLAB else int(wanted * _GROWTH)
        if slab is None and wanted > _SMALLEST_SLAB:
            capacity = wanted
        start = self.used
        self._allocate(start + capacity)
        self.used = start + capacity
        moved = _Slab(start, capacity)
        if slab is not None:
            old = slice(slab.start, slab.start + slab.count)
            new = slice(start, start + slab.count)
            for name in COLUMNS:
                column = getattr(self, name)
                column[new] = column[old]
            self.token[slab.start : slab.start + slab.capacity] = NOBODY
            ids = self.id[new].tolist()
            self.index.update(zip(ids, range(start, start + slab.count), strict=True))
            moved.count = slab.count
            self._unused += slab.count
        self._unused += capacity - moved.count
        self._slabs[token] = moved
        return moved

    def _allocate(self, size: int) -> None:
        held = len(self.token) if hasattr(self, "token") else -1
        if size <= held:
            return
        room = size if held <= 0 else max(size, int(held * _ROOM))
        for name, kind in COLUMNS.items():
            column = np.zeros(room, dtype=kind)
            if held > 0:
                column[: self.used] = getattr(self, name)[: self.used]
            setattr(self, name, column)

    def _pack(self) -> None:
        """Lay the slabs out anew, each with a little room."""
        kept = {token: slab for token, slab in self._slabs.items() if slab.count}
        sources, starts, end = [], {}, 0
        targets = []
        for token, slab in kept.items():
            capacity = max(_SMALLEST_SLAB, slab.count + slab.count // 16)
            sources.append(np.arange(slab.start, slab.start + slab.count))
            targets.append(np.arange(end, end + slab.count))
            starts[token] = _Slab(end, capacity, slab.count)
            end += capacity
        source = np.concatenate(sources) if sources else np.zeros(0, dtype=np.intp)
        target = np.concatenate(targets) if targets else np.zeros(0, dtype=np.intp)
        for name, kind in COLUMNS.items():
            column = np.zeros(end, dtype=kind)
            column[target] = getattr(self, name)[source]
            setattr(self, name, column)
        self._slabs, self.used, self._unused = starts, end, end - len(target)
        self.index = dict(zip(self.id[target].tolist(), target.tolist(), strict=True))
