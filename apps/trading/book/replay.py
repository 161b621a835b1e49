"""What ticks did that a watch before this one had recorded but not written back to the positions.

Per position only ticks after its opening, or its last DCA, count: by number, and by time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.trading.book import exact, reading, screen
from apps.trading.book.columns import LOW_FALLEN, PEAK_RISEN, Rows
from apps.trading.book.parts import Parts
from apps.trading.book.reading import Records, StoredTick
from apps.trading.book.rules import CUSTOM, EXACT_ONLY


def replay(book: Parts, records: Records, ticks: Sequence[StoredTick]) -> None:
    """Let `ticks` count for the positions just read as `records`."""
    by_mint: dict[str, list[StoredTick]] = defaultdict(list)
    for tick in ticks:
        by_mint[tick.mint].append(tick)
    for mint, of_token in reading.by_mint(records):
        if mint in by_mint:
            _replay_token(book, mint, of_token, by_mint[mint])


def _replay_token(book: Parts, mint: str, records: Records, ticks: Sequence[StoredTick]) -> None:
    columns, slot = book.columns, book.tokens.by_mint[mint]
    rows = np.array([columns.index[position_id] for position_id in records["id"].tolist()], dtype=np.intp)
    prices = np.array([float(tick.price_sol) for tick in ticks])
    for tick, price in zip(ticks, prices.tolist(), strict=True):
        slot.remember(tick.point, price)
    begun = np.maximum(columns.opened_at[rows], columns.last_dca_at[rows])
    first = np.maximum(
        np.searchsorted([tick.id for tick in ticks], records["peak_from_tick"], "right"),
        np.searchsorted([exact.microseconds(tick.received_at) for tick in ticks], begun),
    )
    highs = np.append(np.maximum.accumulate(prices[::-1])[::-1], -np.inf)[first]
    lows = np.append(np.minimum.accumulate(prices[::-1])[::-1], np.inf)[first]
    risen, fallen = highs > columns.peak[rows], lows < columns.low[rows]
    _replay_custom(book, rows, first, prices)
    columns.peak[rows[risen]], columns.low[rows[fallen]] = highs[risen], lows[fallen]
    columns.flags[rows[risen]] |= PEAK_RISEN
    columns.flags[rows[fallen]] |= LOW_FALLEN
    book.exactly.settle(screen.raise_stops(columns, book.rules, rows[risen], highs[risen]))
    if risen.any() or fallen.any():
        slot.pending_since = ticks[0].id


def _replay_custom(book: Parts, rows: Rows, first: NDArray[np.intp], prices: NDArray[np.float64]) -> None:
    """Let each rise count for itself where the highest need not have brought the highest stop."""
    columns = book.columns
    modes = columns.mode[rows]
    own = np.flatnonzero((modes == CUSTOM) | (modes == EXACT_ONLY))
    for place, price in enumerate(prices.tolist() if len(own) else ()):
        risen = rows[own[(first[own] <= place) & (price > columns.peak[rows[own]])]]
        columns.peak[risen] = price
        columns.flags[risen] |= PEAK_RISEN
        book.exactly.settle(screen.raise_stops(columns, book.rules, risen, np.full(len(risen), price)))
