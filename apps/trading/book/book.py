"""The book itself: read from PostgreSQL, kept in step with it, asked what prices do. One thread at a time.

`synchronise` takes over what changed, `evaluate` passes a batch of prices over every position (`judging.py`), `unsaved`
and `saved` are for who writes rises back. Nothing here writes to the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray

from apps.core.money import from_base_units
from apps.prices.domain.points import PricePoint
from apps.trading.book import exact, judging, reading, replay, screen
from apps.trading.book.columns import (
    ADJUSTING,
    CLOSING,
    LIVE,
    NO_INTEGER,
    ODD,
    STOP_MOVED,
    UNSAVED,
    Columns,
    Rows,
)
from apps.trading.book.exact import Exactly
from apps.trading.book.judging import Evaluation
from apps.trading.book.parts import Parts
from apps.trading.book.reading import IntentRow, Records
from apps.trading.book.rules import RuleTable
from apps.trading.book.tokens import Tokens, TokenSlot
from apps.trading.domain.adjust_decision import MONEY_CODES
from apps.trading.domain.shards import shard_of
from apps.trading.selectors.watched import HeldToken

log = structlog.get_logger(__name__)

#: How long an adjust rests after one was cancelled, and after one was cancelled for want of money.
_REST, _LONG_REST = 3_000_000, 60_000_000
_OPEN = ("due", "leased")
_AGREES = 1.0 + 1e-8


class PositionBook:
    """Every open position of one shard's tokens."""

    def __init__(self, shard: int, shards: int) -> None:
        self._shard, self._shards = shard, shards
        self._forget()

    def _forget(self) -> None:
        self.columns = Columns()
        self.rules = RuleTable()
        self.tokens = Tokens()
        self._exactly = Exactly(self.columns, self.rules, self.tokens)
        self._parts = Parts(self.columns, self.rules, self.tokens, self._exactly)
        self._agents: dict[bytes, int] = {}
        self._since: str | None = None
        self._held: dict[str, HeldToken] | None = None
        self._dirtied: set[int] = set()
        self._newest_tick = 0

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def watermark(self) -> str | None:
        """The transaction id below which the book has seen everything; None before it was read."""
        return self._since

    def synchronise(self) -> None:
        """Take over what PostgreSQL has that the book has not: everything at first, then what changed.

        One small query when nothing did. Raises what the database raises; what was missed comes with the next call.
        """
        if self._since is None:
            seen = reading.watermark()
            self._load()
            self._since = seen
            return
        news = reading.news(self._since)
        if news.states:
            self.rules.learn_states(reading.states(changed_since=self._since))
        if news.agents:
            self._note_agents(self._since)
        if news.positions:
            self._take(reading.changed_since(self._since))
        if news.intents:
            self.note_intents(reading.intents(changed_since=self._since))
        self._since = news.watermark

    def forget(self) -> None:
        """Drop everything, to be read anew."""
        self._forget()

    def heal(self, records: Records) -> None:
        """Take records over once more, whatever the book holds of them."""
        self._take(records)

    def drop(self, position_id: UUID) -> None:
        """Forget one position."""
        self._held = None
        self.columns.remove(position_id.bytes)

    def _load(self) -> None:
        self._forget()
        self.rules.learn_states(reading.states())
        records = reading.all_open()
        self._take(records)
        self.note_intents(reading.intents())
        self._replay(records)

    def _note_agents(self, since: str) -> None:
        """Let rises so far count under the rules they were made by, then take the new rules."""
        changed = [agent for agent in reading.agents((), changed_since=since) if self.rules.number_of(agent.agent_id)]
        numbers = self.rules.differing(changed)
        rows = np.flatnonzero(np.isin(self.columns.agent[: self.columns.used], numbers)) if numbers else _NO_ROWS
        rows = rows[self.columns.token[rows] != 0]
        self._exactly.fold(rows)
        self.rules.learn(changed)
        if len(rows):
            screen.derive(self.columns, self.rules, rows)
            self._restate(rows)

    def _take(self, records: Records) -> None:
        """Take records over: closed positions go, known ones are brought up to date, new ones get a row."""
        records = self._of_this_shard(records)
        for position_id in records["id"][~records["is_open"]].tolist():
            if self.columns.remove(position_id):
                self._held = None
        records = records[records["is_open"]]
        if not len(records):
            return
        records = records[self._meet_agents(records["agent_id"].tolist())]
        index = self.columns.index
        rows = np.array([index.get(position_id, -1) for position_id in records["id"].tolist()], dtype=np.intp)
        new = rows < 0
        if new.any():
            rows[new] = self._insert(records[new])
        self._write(rows, records, new)
        screen.derive(self.columns, self.rules, rows)
        self._restate(self._lagging(rows))
        self.columns.pack_if_wasteful()

    def _of_this_shard(self, records: Records) -> Records:
        if self._shards == 1:
            return records
        own = [part for mint, part in reading.by_mint(records) if shard_of(mint, self._shards) == self._shard]
        return np.concatenate(own) if own else records[:0]

    def _insert(self, records: Records) -> Rows:
        """Give new positions their rows, token by token; the first of a token makes it known."""
        self._held = None
        rows, unnamed = [], []
        for mint, part in reading.by_mint(records):
            slot = self.tokens.slot_of(mint, int(part["decimals"][0]))
            if not slot.symbol:
                unnamed.append(mint)
            rows.append(self.columns.insert(slot.number, part["id"].tolist()))
            self._note_fill(slot, part)
        for mint, symbol in (reading.symbols(unnamed) if unnamed else {}).items():
            self.tokens.by_mint[mint].symbol = symbol
        return np.concatenate(rows)

    def _write(self, rows: Rows, records: Records, new: np.ndarray) -> None:
        columns = self.columns
        # A known average keeps the rises seen on it; a new one (a DCA) starts over with what is stored.
        over = new | (columns.peak_generation[rows] != records["peak_generation"])
        fresh, kept = rows[over], rows[~over]
        columns.peak[fresh], columns.low[fresh] = records["peak"][over], records["low"][over]
        columns.stop_percent[fresh] = records["stop_percent"][over]
        columns.flags[fresh] = 0
        # A fill ends the rest that came with its firing: the next level may be reached already.
        columns.adjust_after[rows[new | (columns.generation[rows] != records["generation"])]] = 0
        columns.peak[kept] = np.maximum(columns.peak[kept], records["peak"][~over])
        columns.low[kept] = np.minimum(columns.low[kept], records["low"][~over])
        columns.stop_percent[kept] = np.maximum(columns.stop_percent[kept], records["stop_percent"][~over])
        columns.agent[rows] = [self._agents[agent_id] for agent_id in records["agent_id"].tolist()]
        for name in COPIED:
            getattr(columns, name)[rows] = records[name]
        columns.bag[rows] = np.where(
            records["bag_active"], np.where(records["bag"] == NO_INTEGER, -1, records["bag"]), NO_INTEGER
        )
        columns.flags[rows[records["odd"]]] |= ODD
        columns.flags[rows[records["is_live"]]] |= LIVE

    def _note_fill(self, slot: TokenSlot, records: Records) -> None:
        newest = int(np.argmax(records["opened_at"]))
        record = records[newest]
        filled_at = exact.moment(int(record["opened_at"]))
        if filled_at >= slot.filled_at:
            slot.filled_at = filled_at
            slot.fill_price = exact.price(int(record["average_high"]), int(record["average_low"]))
            slot.base_units = int(record["remaining"])

    def _meet_agents(self, agent_ids: list[bytes]) -> NDArray[np.bool_]:
        """Learn the rules of agents not met before; return which of `agent_ids` are agents at all."""
        unknown = set(agent_ids) - self._agents.keys()
        if unknown:
            self.rules.learn(reading.agents([UUID(bytes=agent_id) for agent_id in unknown]))
        for agent_id in unknown:
            number = self.rules.number_of(UUID(bytes=agent_id))
            if number is None:
                log.error("position_without_agent", agent_id=str(UUID(bytes=agent_id)))
            else:
                self._agents[agent_id] = number
        return np.array([agent_id in self._agents for agent_id in agent_ids], dtype=bool)

    def _lagging(self, rows: Rows) -> Rows:
        """Return the rows whose stored stop is below what their stored peak gives under the rules as they are now."""
        columns = self.columns
        stored, known = columns.stop[rows].copy(), columns.flags[rows] & STOP_MOVED
        unsure = screen.raise_stops(columns, self.rules, rows, columns.peak[rows])
        moved = columns.stop[rows] > stored * _AGREES
        # What differs by rounding has not moved, unless it had before.
        columns.flags[rows[~moved]] = columns.flags[rows[~moved]] & ~np.uint8(STOP_MOVED) | known[~moved]
        return np.union1d(rows[moved], unsure).astype(np.intp)

    def _restate(self, rows: Rows) -> None:
        """Work the stops of rows out exactly from their peaks, which the database is asked for; needs no price."""
        if len(rows):
            self._exactly.restate(rows, reading.exact([self._id(row) for row in rows.tolist()]))
            self._dirtied.update(np.unique(self.columns.token[rows]).tolist())

    def _replay(self, records: Records) -> None:
        """Let every tick count that a watch before this one had recorded but not written back to the positions."""
        self._newest_tick = reading.progress(self._shard, self._shards)
        ticks = reading.ticks_after(self._newest_tick, list(self.held()))
        replay.replay(self._parts, records, ticks)
        self._newest_tick = max([self._newest_tick, *(tick.id for tick in ticks)])

    def note_intents(self, intents: Iterable[IntentRow]) -> None:
        """Take over how exit intents stand: who is closing is left alone, who was refused rests."""
        columns = self.columns
        for intent in intents:
            row = columns.index.get(intent.position_id.bytes)
            if row is None:
                continue
            is_open = intent.status in _OPEN
            if intent.kind == "close":
                _switch(columns, row, CLOSING, is_open and intent.is_certain)
                continue
            _switch(columns, row, ADJUSTING, is_open)
            if intent.status == "cancelled":
                rest = _LONG_REST if intent.last_error in MONEY_CODES else _REST
                columns.adjust_after[row] = exact.microseconds(datetime.now(UTC)) + rest

    def held(self) -> Mapping[str, HeldToken]:
        """Return the tokens of this shard with open positions, by mint."""
        if self._held is None:
            self._held = {
                slot.mint: HeldToken(
                    slot.mint,
                    slot.symbol,
                    slot.decimals,
                    slot.fill_price,
                    slot.filled_at,
                    from_base_units(slot.base_units, slot.decimals),
                )
                for slot in self.tokens.by_mint.values()
                if self.columns.count_of(slot.number)
            }
        return self._held

    def evaluate(
        self, trusted: Mapping[str, PricePoint], doubted: Mapping[str, tuple[PricePoint, str]], *, now: datetime
    ) -> Evaluation:
        """Pass trusted prices over every position of their tokens, doubted ones (with their code) over the stops."""
        done, dirtied = judging.evaluate(self._parts, trusted, doubted, now=now)
        self._dirtied |= dirtied
        return done

    def rest(self, position_ids: Iterable[UUID], *, now: datetime) -> None:
        """Leave take profit and DCA of positions alone for a moment: one has just been fired."""
        until = exact.microseconds(now + timedelta(microseconds=_REST))
        for position_id in position_ids:
            row = self.columns.index.get(position_id.bytes)
            if row is not None:
                self.columns.adjust_after[row] = until

    def recorded(self, ticks: Mapping[str, int]) -> None:
        """Note by which ticks, now stored, tokens got something to write back."""
        for number in self._dirtied:
            slot = self.tokens[number]
            if slot.pending_since is None:
                slot.pending_since = ticks.get(slot.mint, self._newest_tick + 1)
        self._dirtied.clear()
        self._newest_tick = max(self._newest_tick, *ticks.values(), 0)

    def progress(self) -> int:
        """Return the tick up to which everything is written back."""
        waiting = self.tokens.pending()
        return min(self._newest_tick, (waiting[0].pending_since or 1) - 1) if waiting else self._newest_tick

    def unsaved(self, slot: TokenSlot) -> Rows:
        """Return the rows of a token with a rise, a fall or a stop that is not stored yet."""
        rows = self.columns.rows_of(slot.number)
        return np.flatnonzero(self.columns.flags[rows] & UNSAVED) + rows.start

    def unsaved_count(self) -> int:
        """Return how many positions have something that is not stored yet."""
        used = self.columns.used
        return int(np.count_nonzero((self.columns.flags[:used] & UNSAVED) * (self.columns.token[:used] != 0)))

    def rises(self, rows: Rows) -> list[exact.Rise]:
        """Return, exactly, what is to be stored of rows."""
        return self._exactly.rises(rows)

    def saved(self, rises: Collection[exact.Rise]) -> None:
        """Note that rises are stored."""
        for rise in rises:
            row = self.columns.index.get(rise.position_id.bytes)
            if row is not None and self.columns.peak_generation[row] == rise.peak_generation:
                self.columns.flags[row] &= ~np.uint8(UNSAVED)
                if rise.stop_percent is not None:
                    stored = exact.percent_to_integer(rise.stop_percent)
                    self.columns.stop_percent[row] = max(int(self.columns.stop_percent[row]), stored)

    def settled(self, slot: TokenSlot) -> None:
        """Forget a token's kept prices once all of its positions are stored."""
        if not len(self.unsaved(slot)):
            slot.points.clear()
            slot.pending_since = None

    def _id(self, row: int) -> UUID:
        return UUID(bytes=self.columns.id[row].tobytes())


_NO_ROWS: Rows = np.zeros(0, dtype=np.intp)
#: The columns that are the records', as they are.
COPIED = (
    "average_high",
    "average_low",
    "opened_at",
    "last_dca_at",
    "remaining",
    "bought",
    "generation",
    "peak_generation",
    "levels_hit",
    "batch_start",
    "total_levels",
    "dca_count",
)


def _switch(columns: Columns, row: int, bit: int, on: bool) -> None:
    flags = int(columns.flags[row])
    columns.flags[row] = flags | bit if on else flags & ~bit
