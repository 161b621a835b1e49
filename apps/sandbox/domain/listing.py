"""One token as it trades now: its pool, what moves it, and what its charts show."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import log

from apps.sandbox.domain.activity import Activity
from apps.sandbox.domain.pools import Pool
from apps.sandbox.domain.scenarios import Plan
from apps.sandbox.domain.scripts import Playing
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import Rest, Token

#: Ticks of price kept for the charts.
HISTORY_TICKS = 360


@dataclass(slots=True)
class Listing:
    """One token as it trades now. A plan or a script moves it; without either it rests."""

    token: Token
    pool: Pool
    anchor_price: float
    rest: Rest
    activity: Activity
    listed_at: float
    plan: Plan | None = None
    plan_started_tick: int = 0
    playing: Playing | None = None
    drained_since_tick: int | None = None
    history: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY_TICKS))

    @property
    def scenario(self) -> str:
        """What the token is doing, as one word."""
        if self.plan is not None:
            return self.plan.name
        if self.playing is not None:
            return self.playing.script.name
        return "rugged" if self.drained_since_tick is not None else str(self.rest)

    @property
    def told(self) -> Mapping[Source, Decimal]:
        """What single sources say now instead of the price, as factors of it."""
        return {} if self.playing is None else self.playing.told

    @property
    def distance(self) -> float:
        """How far the price is from its anchor, as a log return."""
        return log(self.pool.price_number() / self.anchor_price)
