"""The book compared with the database, a few tokens at a time: whatever differs is counted, told and put right.

Nothing should ever differ. What was written after the book's watermark is not compared: the next batch brings it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import structlog

from apps.core import bulk
from apps.trading.book import reading
from apps.trading.book.book import COPIED, PositionBook
from apps.trading.book.reading import Records
from apps.trading.book.tokens import TokenSlot

log = structlog.get_logger(__name__)

#: Kinds of differences: not in the book, not in the database, other figures, a peak or stop behind the stored one.
MISSING, EXTRA, FIGURES, PEAK_BEHIND, STOP_BEHIND = "missing", "extra", "figures", "peak_behind", "stop_behind"
_AT_ONCE = 5_000
_SAME = 1.0 - 1e-12
_LOGGED = 10


class Checker:
    """Walks over a book's tokens, round after round."""

    def __init__(self, book: PositionBook) -> None:
        self._book = book
        self._next = 1

    def step(self) -> Counter[str]:
        """Compare the next tokens, some thousand positions of them, and put right what differs; return the counts."""
        slots = self._take_turns()
        watermark = self._book.watermark
        if not slots or watermark is None:
            return Counter()
        records = reading.of_mints([slot.mint for slot in slots], before=watermark)
        found = self._compare(records)
        if found:
            self._book.heal(records)
        for position_id in self._extra(slots, records, watermark):
            found[EXTRA] += 1
            self._book.drop(position_id)
        if found:
            log.error("book_differed", **found)
        return found

    def _take_turns(self) -> list[TokenSlot]:
        tokens, columns = self._book.tokens, self._book.columns
        taken: list[TokenSlot] = []
        positions = 0
        for _ in range(1, len(tokens)):
            self._next = 1 if self._next >= len(tokens) else self._next
            slot = tokens[self._next]
            self._next += 1
            if columns.count_of(slot.number):
                taken.append(slot)
                positions += columns.count_of(slot.number)
            if positions >= _AT_ONCE:
                break
        return taken

    def _compare(self, records: Records) -> Counter[str]:
        columns = self._book.columns
        found: Counter[str] = Counter()
        known = np.array([columns.index.get(position_id, -1) for position_id in records["id"].tolist()], dtype=np.intp)
        found[MISSING] += int((known < 0).sum())
        rows, held = known[known >= 0], records[known >= 0]
        other = np.zeros(len(rows), dtype=bool)
        for name in COPIED:
            other |= getattr(columns, name)[rows] != held[name]
        found[FIGURES] += int(other.sum())
        same = columns.peak_generation[rows] == held["peak_generation"]
        found[PEAK_BEHIND] += int((same & (columns.peak[rows] < held["peak"] * _SAME)).sum())
        found[STOP_BEHIND] += int((same & (columns.stop_percent[rows] < held["stop_percent"])).sum())
        for position_id in held["id"][other].tolist()[:_LOGGED]:
            log.error("book_position_differed", position_id=str(UUID(bytes=position_id)))
        return +found

    def _extra(self, slots: Sequence[TokenSlot], records: Records, watermark: str) -> list[UUID]:
        """Return positions of the book the database does not hold open, unless they were written just now."""
        columns = self._book.columns
        stored = set(records["id"].tolist())
        held = [
            UUID(bytes=position_id)
            for slot in slots
            for position_id in columns.id[columns.rows_of(slot.number)].tolist()
            if position_id not in stored
        ]
        if not held:
            return []
        rows = bulk.fetch_all(
            "SELECT id FROM position WHERE id = ANY(%s) AND (closed_at IS NULL OR changed_xid >= %s::xid8)",
            [held, watermark],
        )
        return sorted(set(held) - {row[0] for row in rows})
