"""Scripted prices: a chart as points on a clock of its own, and where a token stands that plays one.

Pure: the time is passed in. Which prices a pool can carry is `pools.py`'s; the charts that come with the market are in
`ready_made.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from apps.sandbox.domain.pools import Pool, PoolOutOfRange
from apps.sandbox.domain.sources import Source

#: The name of a script somebody posted.
POSTED = "path"
#: How long the only point of a script is held.
_LONE_POINT_MS = 1_000
_NOTHING_TOLD: Mapping[Source, Decimal] = MappingProxyType({})


class ImpossiblePoint(PoolOutOfRange):
    """A point's price does not fit the pool; says which one (from 0)."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"point {index + 1}: {why}")
        self.index = index


@dataclass(frozen=True, slots=True)
class Point:
    """One price, shown from `at_ms` of the script's clock until the next point.

    `price_sol` is SOL per whole token; without it `percent` counts from the price the token had when the script began
    (-20 is four fifths of it). `told` is what single sources say meanwhile, as a factor of the true price.
    """

    at_ms: int
    price_sol: Decimal | None = None
    percent: Decimal = Decimal(0)
    told: Mapping[Source, Decimal] = field(default_factory=lambda: _NOTHING_TOLD)

    def pool(self, start: Pool) -> Pool:
        """Return the pool at this point's price, for a script that began with `start`.

        Raises:
            PoolOutOfRange: when the pool cannot carry it.
        """
        if self.price_sol is not None:
            return start.at_price(self.price_sol)
        return start.at_ratio(Fraction(start.sol_reserve, start.base_reserve) * (100 + Fraction(self.percent)) / 100)


@dataclass(frozen=True, slots=True)
class Script:
    """A chart. Points are in order of time; the last is held as long as the one before it.

    At its end a script that `loops` begins again, one that `holds` leaves the token standing at the last price, and any
    other lets the token go on from there as it did before.
    """

    name: str
    points: tuple[Point, ...]
    loops: bool = False
    holds: bool = False

    @property
    def length_ms(self) -> int:
        """How long it plays, the last point's time included.

        >>> Script("path", (Point(0), Point(2_000), Point(5_000))).length_ms
        8000
        """
        last = self.points[-1].at_ms
        return last + (last - self.points[-2].at_ms if len(self.points) > 1 else _LONE_POINT_MS)

    def index_at(self, elapsed_ms: float) -> int:
        """Return which point shows `elapsed_ms` into a round; -1 before the first."""
        return bisect_right(self.points, elapsed_ms, key=lambda point: point.at_ms) - 1


@dataclass(slots=True)
class Playing:
    """A script as one token plays it. Its clock runs at `speed` times real time, and stands at speed 0."""

    script: Script
    start: Pool
    pools: Sequence[Pool]
    started_at: float
    speed: float
    #: What the script's clock said (rounds added up) at which Unix time.
    clock_ms: float = 0.0
    read_at: float = 0.0
    index: int = -1
    round: int = 0

    @classmethod
    def begin(cls, script: Script, start: Pool, *, now: float, speed: float) -> Playing:
        """Work out every price of a script on the pool it begins with.

        Raises:
            ImpossiblePoint: when the pool cannot carry one of them.
        """
        pools = []
        for index, point in enumerate(script.points):
            try:
                pools.append(point.pool(start))
            except PoolOutOfRange as refused:
                raise ImpossiblePoint(index, str(refused)) from refused
        return cls(script, start, pools, started_at=now, speed=speed, read_at=now)

    @property
    def point(self) -> Point | None:
        """The point that shows; None before the first."""
        return None if self.index < 0 else self.script.points[self.index]

    @property
    def told(self) -> Mapping[Source, Decimal]:
        """What single sources say now instead of the price."""
        return _NOTHING_TOLD if self.point is None else self.point.told

    def follow(self, now: float) -> Pool | None:
        """Move on to what is due at `now`; return the pool to show, or None when nothing changes."""
        before = (self.round, self.index)
        elapsed = self.elapsed_ms(now)
        if self.script.loops:
            self.round = int(elapsed // self.script.length_ms)
            elapsed -= self.round * self.script.length_ms
        index = self.script.index_at(elapsed)
        if index < 0 and self.round > 0:  # a later round waits for its first point at the last price
            index = len(self.pools) - 1
        self.index = index
        return None if (self.round, index) == before or index < 0 else self.pools[index]

    def elapsed_ms(self, now: float) -> float:
        """Return what the script's clock says, rounds added up."""
        return self.clock_ms + (now - self.read_at) * 1000 * self.speed + 1e-3

    def is_over(self, now: float) -> bool:
        """Say whether the last point has been held for its time."""
        return not self.script.loops and self.elapsed_ms(now) >= self.script.length_ms

    def next_due_at(self, now: float) -> float | None:
        """Return the Unix time of the next change, the end included; None while the clock stands."""
        if self.speed <= 0:
            return None
        return now + max(0.0, self._next_clock_ms(now) - self.elapsed_ms(now) + 1e-3) / 1000 / self.speed

    def ends_at(self, now: float) -> float | None:
        """Return the Unix time of the end; None for a loop, or while the clock stands."""
        if self.script.loops or self.speed <= 0:
            return None
        return now + max(0.0, self.script.length_ms - self.elapsed_ms(now)) / 1000 / self.speed

    def set_speed(self, speed: float, now: float) -> None:
        """Let the clock run at another speed from now on."""
        self.clock_ms, self.read_at, self.speed = self.elapsed_ms(now), now, speed

    def skip(self, now: float) -> None:
        """Put the clock where the next change is due."""
        self.clock_ms, self.read_at = self._next_clock_ms(now), now

    def _next_clock_ms(self, now: float) -> float:
        """Return the clock's reading at the next change."""
        elapsed, length = self.elapsed_ms(now), self.script.length_ms
        base = elapsed // length * length if self.script.loops else 0
        following = self.script.index_at(elapsed - base) + 1
        points = self.script.points
        if following < len(points):
            return base + points[following].at_ms
        return base + length + (points[0].at_ms if self.script.loops else 0)
