"""The story of a position as data: its events, the exits behind them, and how a run of like events becomes one.

Sentences are `story_words`' matter, reading the rows `selectors.story`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from apps.core.money import MONEY
from apps.trading.domain.pnl import price_change

STOP_LOSS = "stop_loss"
TAKE_PROFIT = "take_profit"
STALE_TRADE = "stale_trade"
DCA = "dca"
MANUAL = "manual"
WRITE_OFF = "write_off"
RESET = "reset"


class StoryKind(StrEnum):
    """What an event did to the position; `colour` is a badge's."""

    OPENED = "opened"
    STOP_RAISED = "stop_raised"
    PENDING = "pending"
    FAILING = "failing"
    CANCELLED = "cancelled"
    SOLD_PART = "sold_part"
    ADDED = "added"
    SOLD = "sold"
    WRITTEN_OFF = "written_off"
    RESET = "reset"
    CLOSED = "closed"

    @property
    def colour(self) -> str:
        """The badge colour: success, info, warning, danger or muted."""
        return _COLOURS[self]


_COLOURS: dict[StoryKind, str] = {
    StoryKind.OPENED: "info",
    StoryKind.STOP_RAISED: "success",
    StoryKind.PENDING: "warning",
    StoryKind.FAILING: "danger",
    StoryKind.CANCELLED: "muted",
    StoryKind.SOLD_PART: "success",
    StoryKind.ADDED: "info",
    StoryKind.SOLD: "warning",
    StoryKind.WRITTEN_OFF: "danger",
    StoryKind.RESET: "muted",
    StoryKind.CLOSED: "muted",
}
_EARNING = frozenset({StoryKind.SOLD_PART, StoryKind.SOLD, StoryKind.CLOSED})
#: Events of these kinds that follow each other for the same reason are one.
_FOLDED = frozenset({StoryKind.STOP_RAISED, StoryKind.CANCELLED})


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One decision and what came of it. `facts` are exact figures as text, by their names on the wire.

    `id` stays the same while a decision ripens (fired, failing, sold). `price_sol` is the price that decided, with who
    told it and how old it was then; `rule` the rule it belongs to. `count` > 1: as many like it, since `first_at`.
    """

    id: str
    at: datetime
    kind: StoryKind
    title: str
    text: str
    facts: Mapping[str, str] = field(default_factory=dict)
    rule: str | None = None
    price_sol: Decimal | None = None
    price_source: str | None = None
    price_age_seconds: Decimal | None = None
    transaction_id: UUID | None = None
    intent_id: int | None = None
    count: int = 1
    first_at: datetime | None = None
    code: str = ""

    @property
    def colour(self) -> str:
        """The badge colour of its kind; of what it earned where it sold."""
        earned = Decimal(self.facts.get("profitSol", "0"))
        if self.kind not in _EARNING or earned == 0:
            return self.kind.colour
        return "success" if earned > 0 else "danger"


@dataclass(frozen=True, slots=True)
class StopRise:
    """A rise of the stop as it was written back; the average it is measured from follows from its two figures."""

    at: datetime
    peak_sol: Decimal
    stop_percent: Decimal
    stop_sol: Decimal
    source: str = ""
    price_at: datetime | None = None

    @property
    def average_sol(self) -> Decimal | None:
        """The trigger average behind the stop; None for a stop at −100 %, which says nothing about it.

        >>> from datetime import UTC
        >>> rise = StopRise(datetime(2026, 1, 1, tzinfo=UTC), Decimal(150), Decimal(40), Decimal(140))
        >>> rise.average_sol == 100, rise.peak_percent == 50
        (True, True)
        """
        if self.stop_percent <= -100:
            return None
        return MONEY.divide(self.stop_sol * 100, 100 + self.stop_percent)

    @property
    def peak_percent(self) -> Decimal | None:
        """The peak's gain over the average."""
        average = self.average_sol
        return None if average is None else price_change(average, self.peak_sol)


@dataclass(frozen=True, slots=True)
class LevelOfPlan:
    """A take-profit level as it fired: percent of gain, percent of all tokens ever bought."""

    target_percent: Decimal
    sell_percent: Decimal


@dataclass(frozen=True, slots=True)
class Evidence:
    """What spoke for a token being dead: checks without a price or a buyer, and since when."""

    checks: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class FiredRule:
    """Why an exit (or a DCA) fired: what was known then. None where an older version did not keep it."""

    rule: str
    at: datetime
    price_sol: Decimal | None = None
    change_percent: Decimal | None = None
    peak_sol: Decimal | None = None
    average_sol: Decimal | None = None
    stop_percent: Decimal | None = None
    stop_sol: Decimal | None = None
    doubt: str | None = None
    levels: tuple[LevelOfPlan, ...] = ()
    first_level: int | None = None
    drop_percent: Decimal | None = None
    buy_percent: Decimal | None = None
    dca_number: int | None = None
    held_minutes: Decimal | None = None
    requested_by: str | None = None
    evidence: Evidence | None = None

    @property
    def by_hand(self) -> bool:
        """A person asked for it: nothing but their wish decided."""
        if self.rule == WRITE_OFF:
            return False
        return self.rule == MANUAL or (self.requested_by is not None and self.price_sol is None)

    @property
    def peak_percent(self) -> Decimal | None:
        if self.peak_sol is None or self.average_sol is None or self.average_sol <= 0:
            return None
        return price_change(self.average_sol, self.peak_sol)


@dataclass(frozen=True, slots=True)
class ClosedResult:
    """How a position ended as a whole; SOL with all fees, USD None while SOL/USD was unknown."""

    invested_sol: Decimal
    received_sol: Decimal
    profit_sol: Decimal
    change_percent: Decimal
    profit_usd: Decimal | None
    held_seconds: int


def fold(events: Iterable[StoryEvent]) -> list[StoryEvent]:
    """Return the events with each run of rises, or of cancellations for one reason, as its last event.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> rises = [StoryEvent(f"stop-{n}", at, StoryKind.STOP_RAISED, f"{n}", "up.") for n in range(3)]
    >>> [(event.title, event.count) for event in fold(rises)]
    [('2', 3)]
    """
    folded: list[StoryEvent] = []
    for event in events:
        before = folded[-1] if folded else None
        if before is not None and _alike(before, event):
            first_at = before.first_at or before.at
            folded[-1] = replace(event, count=before.count + event.count, first_at=first_at)
        else:
            folded.append(event)
    return folded


def _alike(one: StoryEvent, other: StoryEvent) -> bool:
    return one.kind in _FOLDED and (one.kind, one.rule, one.code) == (other.kind, other.rule, other.code)
