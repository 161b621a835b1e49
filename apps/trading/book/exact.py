"""From the book's columns to exact decimals, and back: positions to be judged, stops to be settled, rises to be stored.

A rise is known by its float; the price behind it is kept with its token until every position has stored it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np

from apps.core.money import MONEY, quantize_price, to_base_units
from apps.prices.domain.points import PricePoint
from apps.trading.book import reading
from apps.trading.book.columns import (
    ADJUSTING,
    CLOSING,
    LIVE,
    LOW_FALLEN,
    NO_INTEGER,
    NO_SMALL,
    ODD,
    PEAK_RISEN,
    STOP_MOVED,
    Columns,
    Rows,
)
from apps.trading.book.reading import ExactRow
from apps.trading.book.rules import RuleTable
from apps.trading.book.tokens import Tokens
from apps.trading.domain import watch_rules
from apps.trading.domain.position_changes import Books
from apps.trading.domain.watch_rules import Watched

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HIGH_PART = 10**18
_STOP_ABOVE = 1.0 + 1e-9
#: The columns a position is judged by, in the order `_watched` takes them.
_JUDGED = (
    "id",
    "token",
    "agent",
    "average_high",
    "average_low",
    "peak",
    "opened_at",
    "last_dca_at",
    "stop_percent",
    "remaining",
    "bought",
    "bag",
    "generation",
    "levels_hit",
    "batch_start",
    "total_levels",
    "dca_count",
    "flags",
)


def moment(microseconds_since_epoch: int) -> datetime:
    """Return a time from its microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds_since_epoch)


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def price(high: int, low: int) -> Decimal:
    """Return a price (SOL per token, 24 places) from its two parts.

    >>> price(1, 5 * 10**17)
    Decimal('0.000001500000000000000000')
    """
    return Decimal(high * _HIGH_PART + low).scaleb(-24, context=MONEY)


def percent(integer: int) -> Decimal | None:
    """Return a percentage from 10^-8 percents, None where there is none."""
    return None if integer == NO_INTEGER else Decimal(integer).scaleb(-8, context=MONEY)


def percent_to_integer(value: Decimal) -> int:
    """Return a percentage of eight places as 10^-8 percents."""
    return min(int(value.scaleb(8, context=MONEY)), np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Rise:
    """What is to be stored of a position: prices in SOL per token. None: unchanged.

    `stop_moved` is worth telling people; `point` is the price that made the peak, where it is known.
    """

    position_id: UUID
    agent_id: UUID
    mint: str
    peak_generation: int
    peak_price: Decimal | None
    lowest_price: Decimal | None
    stop_percent: Decimal | None
    stop_price: Decimal | None
    stop_moved: bool
    point: PricePoint | None


class Exactly:
    """Exact figures of the book's rows."""

    def __init__(self, columns: Columns, rules: RuleTable, tokens: Tokens) -> None:
        self._columns, self._rules, self._tokens = columns, rules, tokens

    def watched(self, rows: Rows) -> list[Watched]:
        """Return positions as the exact rules judge them, in the order given."""
        gathered = [getattr(self._columns, name)[rows].tolist() for name in _JUDGED]
        return [self._watched(*values) for values in zip(rows.tolist(), *gathered, strict=True)]

    def _watched(
        self,
        row: int,
        position_id: bytes,
        token: int,
        agent: int,
        average_high: int,
        average_low: int,
        peak: float,
        opened_at: int,
        last_dca_at: int,
        stop_percent: int,
        remaining: int,
        bought: int,
        bag: int,
        generation: int,
        levels_hit: int,
        batch_start: int,
        total_levels: int,
        dca_count: int,
        flags: int,
    ) -> Watched:
        slot = self._tokens[token]
        agent_id = self._rules.ids[agent]
        assert agent_id is not None  # noqa: S101 - a row in use belongs to an agent
        books = Books(
            token_decimals=slot.decimals,
            bought_units=bought,
            remaining_units=remaining,
            invested_lamports=0,
            remaining_cost_lamports=0,
            average_price=price(average_high, average_low),
            dca_count=dca_count,
            levels_hit=levels_hit,
            batch_start=batch_start,
            total_levels=None if total_levels == NO_SMALL else total_levels,
            moon_bag_active=bag != NO_INTEGER,
            moon_bag_units=bag if bag >= 0 else None,
        )
        risen = slot.points.get(peak) if flags & PEAK_RISEN else None
        return Watched(
            id=UUID(bytes=position_id),
            agent_id=agent_id,
            mint=slot.mint,
            books=self._odd(row, books) if flags & ODD else books,
            stop_percent=percent(stop_percent),
            generation=generation,
            opened_at=moment(opened_at),
            config=self._rules.configs[agent],
            peak_price=None if risen is None else risen.price_sol,
            last_dca_at=None if last_dca_at == NO_INTEGER else moment(last_dca_at),
            closing=bool(flags & CLOSING),
            adjusting=bool(flags & ADJUSTING),
            may_sell=bool(self._rules.may_sell[agent]),
            may_add=bool(self._rules.may_add[agent] and self._rules.live[agent] == bool(flags & LIVE)),
        )

    def _odd(self, row: int, books: Books) -> Books:
        """Figures too large for the columns come from the database; such positions are hardly ever seen."""
        position_id = UUID(bytes=self._columns.id[row].tobytes())
        stored = reading.exact([position_id]).get(position_id)
        if stored is None:
            return books
        decimals = books.token_decimals
        return Books(
            token_decimals=decimals,
            bought_units=to_base_units(stored.bought, decimals),
            remaining_units=to_base_units(stored.remaining, decimals),
            invested_lamports=0,
            remaining_cost_lamports=0,
            average_price=stored.average_price,
            dca_count=books.dca_count,
            levels_hit=books.levels_hit,
            batch_start=books.batch_start,
            total_levels=books.total_levels,
            moon_bag_active=books.moon_bag_active,
            moon_bag_units=None if stored.bag is None else to_base_units(stored.bag, decimals),
        )

    def settle(self, rows: Rows) -> None:
        """Work out the stops of rows exactly from the rises kept with their tokens."""
        for row, position in self._each(rows):
            if position.config is not None and position.config.stop_loss.enabled and position.peak_price is not None:
                self._raise(
                    row,
                    watch_rules.raised(
                        position.stop_percent,
                        position.books.average_price,
                        position.peak_price,
                        position.config.stop_loss,
                    ),
                )

    def _each(self, rows: Rows) -> Iterator[tuple[int, Watched]]:
        return zip(rows.tolist(), self.watched(rows), strict=True)

    def fold(self, rows: Rows) -> None:
        """Let rises that are not stored yet count under the rules that stand, before others take their place."""
        self.settle(rows[(self._columns.flags[rows] & PEAK_RISEN) != 0])

    def restate(self, rows: Rows, stored: Mapping[UUID, ExactRow]) -> None:
        """Work out the stops of rows from their peaks, as stored or risen since, under the rules that stand."""
        for row, position in self._each(rows):
            known = stored.get(position.id)
            if known is None or position.config is None or not position.config.stop_loss.enabled:
                continue
            peak = known.peak_price if position.peak_price is None else max(known.peak_price, position.peak_price)
            rules = position.config.stop_loss
            self._raise(row, watch_rules.raised(position.stop_percent, position.books.average_price, peak, rules))

    def _raise(self, row: int, stop_percent: Decimal) -> None:
        columns = self._columns
        integer = percent_to_integer(stop_percent)
        if integer > int(columns.stop_percent[row]):
            columns.stop_percent[row] = integer
            columns.flags[row] |= STOP_MOVED
        columns.stop[row] = float(columns.average[row]) * (1.0 + integer * 1e-10) * _STOP_ABOVE

    def rises(self, rows: Rows) -> list[Rise]:
        """Return what is to be stored of rows, rounded as the columns of the database are."""
        columns = self._columns
        known = (columns.flags, columns.low, columns.peak, columns.peak_generation)
        gathered = [column[rows].tolist() for column in known]
        return [self._rise(*values) for values in zip(self.watched(rows), *gathered, strict=True)]

    def _rise(self, position: Watched, flags: int, low: float, peak: float, peak_generation: int) -> Rise:
        points = self._tokens.by_mint[position.mint].points
        risen = points.get(peak) if flags & PEAK_RISEN else None
        lowest = points.get(low) if flags & LOW_FALLEN else None
        stop = watch_rules.standing_stop(position) if flags & (PEAK_RISEN | STOP_MOVED) else None
        return Rise(
            position_id=position.id,
            agent_id=position.agent_id,
            mint=position.mint,
            peak_generation=peak_generation,
            peak_price=None if risen is None else quantize_price(risen.price_sol),
            lowest_price=None if lowest is None else quantize_price(lowest.price_sol),
            stop_percent=None if stop is None else stop.percent,
            stop_price=None if stop is None else quantize_price(stop.price),
            stop_moved=stop is not None and bool(flags & STOP_MOVED),
            point=risen,
        )
