"""One vectorised pass over the book: prices raise peaks and stops, and flag whatever a rule might do something to.

Works through the rows in blocks that fit a core's cache. Flags too much rather than too little: thresholds are widened
by far more than floats can be wrong. Deciding is `judging.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.trading.book import formulas, rules
from apps.trading.book.columns import (
    ADJUSTING,
    CLOSING,
    LIVE,
    LOW_FALLEN,
    NO_INTEGER,
    ODD,
    PEAK_RISEN,
    STOP_MOVED,
    Columns,
    Rows,
)
from apps.trading.book.rules import RuleTable

#: A hair: floats are good to 1e-15, the formulas to 1e-12.
_ABOVE, _BELOW = 1.0 + 1e-9, 1.0 - 1e-9
_BLOCK = 32_768
_BAG_WITHOUT_AMOUNT = -1
_NO_ROWS: Rows = np.zeros(0, dtype=np.intp)


def derive(columns: Columns, table: RuleTable, rows: Rows) -> None:
    """Work out the float columns of rows whose exact columns, or whose agents' rules, have changed."""
    agents = columns.agent[rows]
    columns.average[rows] = (columns.average_high[rows] * 1e18 + columns.average_low[rows]) * 1e-24
    average = columns.average[rows]
    columns.mode[rows] = table.mode[agents]
    columns.moves_from[rows] = average * (1.0 + table.moves_from[agents] / 100.0) * _BELOW
    columns.stop[rows] = _stop_prices(columns, table, rows, average, agents)
    columns.take_profit[rows] = _take_profit_prices(columns, table, rows, average, agents)
    columns.dca[rows] = _dca_prices(columns, table, rows, average, agents)
    columns.stale_low[rows] = average * (1.0 + table.stale_low[agents] / 100.0) * _BELOW
    columns.stale_high[rows] = average * (1.0 + table.stale_high[agents] / 100.0) * _ABOVE
    hold = table.hold[agents]
    columns.stale_at[rows] = np.where(
        hold == rules.NEVER, rules.NEVER, columns.opened_at[rows] + np.minimum(hold, 2**61)
    )


def _stop_prices(
    columns: Columns, table: RuleTable, rows: Rows, average: formulas.Floats, agents: NDArray[np.int32]
) -> formulas.Floats:
    mode = table.mode[agents]
    stored = columns.stop_percent[rows]
    percent = np.where(stored == NO_INTEGER, -np.inf, stored * 1e-8)
    default = np.where(mode == rules.STANDING, -np.inf, table.default_stop[agents])
    percent = np.maximum(percent, default)
    price = np.where((mode == rules.OFF) | np.isneginf(percent), -np.inf, average * (1.0 + percent / 100.0) * _ABOVE)
    # Figures the columns cannot hold are for the exact rules alone, at every price.
    return np.where((columns.flags[rows] & ODD) != 0, np.inf, price)


def _take_profit_prices(
    columns: Columns, table: RuleTable, rows: Rows, average: formulas.Floats, agents: NDArray[np.int32]
) -> formulas.Floats:
    hit, known = columns.levels_hit[rows], columns.total_levels[rows]
    total = np.where(known < 0, table.level_count[agents], known)
    place = hit - columns.batch_start[rows]
    target = table.targets[agents, np.clip(place, 0, rules.MOST_LEVELS)]
    through = (hit >= total) | (place < 0)
    return np.where(through, np.inf, average * (1.0 + target / 100.0) * _BELOW)


def _dca_prices(
    columns: Columns, table: RuleTable, rows: Rows, average: formulas.Floats, agents: NDArray[np.int32]
) -> formulas.Floats:
    drop = table.drops[agents, np.minimum(columns.dca_count[rows], rules.MOST_LEVELS)]
    bag = columns.bag[rows]
    only_bag = (bag > _BAG_WITHOUT_AMOUNT) & (columns.remaining[rows] <= bag)
    return np.where(only_bag | np.isneginf(drop), -np.inf, average * (1.0 + drop / 100.0) * _ABOVE)


class Screen:
    """What one pass found. `flagged` rows are for the exact rules; tokens in `dirtied` have something to be stored."""

    def __init__(self, tokens: int) -> None:
        self.prices = np.full(tokens, np.nan)
        self.dirtied = np.zeros(tokens, dtype=bool)
        self.flagged: Rows = _NO_ROWS
        self.unsure: Rows = _NO_ROWS
        self.looked_at = 0
        self._moved = np.zeros(0, dtype=bool)

    def run(self, columns: Columns, table: RuleTable, prices: Mapping[int, float], now: int) -> None:
        """Look at every position of the tokens priced (SOL per token, by token number); `now` is in microseconds."""
        self.prices[list(prices)] = list(prices.values())
        self.looked_at = sum(columns.count_of(number) for number in prices)
        self._moved = np.zeros(columns.used, dtype=bool)
        few = self.looked_at * 4 < columns.used
        blocks = _slabs(columns, prices) if few else _blocks(columns.used)
        at = [self.prices.take(columns.token[block]) for block in blocks]
        self._raise(columns, table, blocks, at)
        starts, tokens = columns.slabs()
        if len(starts):
            self.dirtied[tokens] = np.logical_or.reduceat(self._moved, starts)
        flagged = []
        for block, price in zip(blocks, at, strict=True):
            hit = price <= columns.stop[block]
            hit |= price >= columns.take_profit[block]
            hit |= price <= columns.dca[block]
            drifting = price >= columns.stale_low[block]
            drifting &= price <= columns.stale_high[block]
            drifting &= columns.stale_at[block] <= now
            hit |= drifting
            places = np.flatnonzero(hit)
            if len(places):
                flagged.append(self._allowed(columns, table, places + block.start, price[places], now))
        self.flagged = _joined(flagged)

    def _raise(self, columns: Columns, table: RuleTable, blocks: list[slice], at: list[formulas.Floats]) -> None:
        """Let prices move peaks and lows, then, all at once, the stops of those whose rise can move one."""
        moving, peaks = [], []
        for block, price in zip(blocks, at, strict=True):
            self._lower(columns, block, price)
            risen = price > columns.peak[block]
            if not risen.any():
                continue
            np.copyto(columns.peak[block], price, where=risen)
            columns.flags[block] |= risen.view(np.uint8) * np.uint8(PEAK_RISEN)
            self._moved[block] |= risen
            risen &= price >= columns.moves_from[block]
            places = np.flatnonzero(risen)
            moving.append(places + block.start)
            peaks.append(price[places])
        rows = _joined(moving)
        if len(rows):
            self.unsure = raise_stops(columns, table, rows, np.concatenate(peaks))

    def _lower(self, columns: Columns, block: slice, price: formulas.Floats) -> None:
        fallen = price < columns.low[block]
        if fallen.any():
            np.copyto(columns.low[block], price, where=fallen)
            columns.flags[block] |= fallen.view(np.uint8) * np.uint8(LOW_FALLEN)
            self._moved[block] |= fallen

    def _allowed(self, columns: Columns, table: RuleTable, rows: Rows, price: formulas.Floats, now: int) -> Rows:
        """Leave out who is closing already, and what may not be done now."""
        agents, flags = columns.agent[rows], columns.flags[rows]
        idle = ((flags & ADJUSTING) == 0) & (columns.adjust_after[rows] <= now)
        sells = (price >= columns.take_profit[rows]) & idle & table.may_sell[agents]
        last_dca = columns.last_dca_at[rows]
        cooled = (last_dca == NO_INTEGER) | (last_dca + table.cooldown[agents] <= now)
        own_mode = ((flags & LIVE) != 0) == table.live[agents]
        adds = (price <= columns.dca[rows]) & idle & cooled & table.may_add[agents] & own_mode
        drifts = (
            (price >= columns.stale_low[rows]) & (price <= columns.stale_high[rows]) & (columns.stale_at[rows] <= now)
        )
        wanted = (price <= columns.stop[rows]) | sells | adds | drifts
        return rows[wanted & ((flags & CLOSING) == 0)]


def raise_stops(columns: Columns, table: RuleTable, rows: Rows, peaks: formulas.Floats) -> Rows:
    """Raise the stops of rows to what these peaks give; return the rows whose stop only exact decimals can tell."""
    average = columns.average[rows]
    changes = (peaks / average - 1.0) * 100.0
    stops = formulas.stops_of(changes, columns.agent[rows], columns.mode[rows], table)
    price = average * (1.0 + stops.percents / 100.0) * _ABOVE
    higher = np.flatnonzero(price > columns.stop[rows] * (1.0 + 1e-12))
    if len(higher):
        moved = rows[higher]
        columns.stop[moved] = price[higher]
        columns.flags[moved] |= STOP_MOVED
        columns.stop_percent[moved] = np.maximum(columns.stop_percent[moved], stops.exact[higher])
    return rows[stops.unsure] if stops.unsure.any() else _NO_ROWS


def at_or_below_stop(columns: Columns, token: int, price: float) -> Rows:
    """Return the rows of a token whose stop a price reaches, those already closing left out."""
    rows = columns.rows_of(token)
    hit = (price <= columns.stop[rows]) & ((columns.flags[rows] & CLOSING) == 0)
    return np.flatnonzero(hit) + rows.start


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate(parts) if parts else _NO_ROWS


def _blocks(used: int) -> list[slice]:
    return [slice(start, min(start + _BLOCK, used)) for start in range(0, used, _BLOCK)]


def _slabs(columns: Columns, prices: Mapping[int, float]) -> list[slice]:
    return [columns.rows_of(number) for number in prices if columns.count_of(number)]
