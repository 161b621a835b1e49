"""The demo market's own life: small pumps and dips all the time, now and then a crash, a gap or a rug.

In between it plays the ready-made charts in turn, on tokens that are held if there are any, so that whoever watches a
desk sees every way out of a position within minutes. A decision per tick, a pure function of seed, tick and what is
held. Only demo tokens that walk calmly are touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import exp

from apps.sandbox.domain import noise
from apps.sandbox.domain.ready_made import READY_MADE, ReadyMade
from apps.sandbox.domain.scenarios import ScenarioName

#: Each demo token meets something about this often.
_SECONDS_BETWEEN_EVENTS_PER_TOKEN = 150.0
#: A rugged token finds new liquidity after this long.
_RELAUNCH_AFTER_SECONDS = 180.0
#: How strongly a token far from its anchor is sent back: at twice the price (log 0.7) about 4 of 5 events are falls.
_LEAN = 2.0

_SECONDS_BETWEEN_SHOWS = 15.0
#: What is shown, in turn; of a group one in each round.
_SHOWS: tuple[tuple[str, ...], ...] = (
    ("dca_recovery",),
    ("trailing_fixed", "trailing_custom"),
    ("take_profit_ladder", "moon_bag_crash", "take_profit_jump"),
    ("stale_drift",),
    ("gap_through_stop",),
    ("trailing_zones", "trailing_exponential"),
    ("dca_then_stop",),
    ("flash_crash",),
    ("bad_tick",),
)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do: a scenario on a token."""

    mint: str
    scenario: ScenarioName
    change_percent: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    weight: float
    scenario: ScenarioName
    percent: tuple[float, float]
    seconds: tuple[float, float]


_RISES = (
    _Kind(0.8, ScenarioName.PUMP, (12, 45), (10, 25)),
    _Kind(0.2, ScenarioName.PUMP, (60, 150), (20, 35)),
)
_FALLS = (
    _Kind(0.58, ScenarioName.CRASH, (8, 22), (6, 15)),
    _Kind(0.20, ScenarioName.CRASH, (30, 55), (5, 10)),
    _Kind(0.10, ScenarioName.GAP, (12, 35), (0, 0)),
    _Kind(0.06, ScenarioName.CRASH, (60, 80), (4, 8)),
    _Kind(0.04, ScenarioName.GAP, (50, 70), (0, 0)),
    _Kind(0.02, ScenarioName.RUG, (95, 98), (2, 3)),
)


@dataclass(frozen=True, slots=True)
class Show:
    """A ready-made chart to be played on a token."""

    mint: str
    chart: ReadyMade


def decide_show(
    *, seed: int, tick: int, tick_ms: int, calm: Sequence[tuple[str, float]], held: AbstractSet[str]
) -> Show | None:
    """Return the chart that begins at this tick, if one does, and on which token.

    Charts that rise go to tokens below their anchor rather than above it, and the other way round.
    """
    period = max(1, round(_SECONDS_BETWEEN_SHOWS * 1000 / tick_ms))
    if tick % period:
        return None
    stage = [candidate for candidate in calm if candidate[0] in held] or calm
    if not stage:
        return None
    number, turn = divmod(tick // period, len(_SHOWS))
    group = _SHOWS[turn]
    chart = READY_MADE[group[number % len(group)]]
    weights = [exp(-chart.direction * _LEAN * distance) for _, distance in stage]
    mint, _ = noise.weighted(stage, weights, seed, "show", tick)
    return Show(mint, chart)


def decide(
    *,
    seed: int,
    tick: int,
    tick_ms: int,
    calm: Sequence[tuple[str, float]],
    drained: Sequence[tuple[str, int]],
) -> list[Act]:
    """Return what happens at this tick.

    `calm` holds the tokens that may be touched, with log(price / anchor): the further risen, the likelier a fall.
    `drained` holds rugged tokens with the ticks since their rug.
    """
    acts = [
        Act(mint, ScenarioName.CALM) for mint, ticks in drained if ticks * tick_ms >= _RELAUNCH_AFTER_SECONDS * 1000
    ]
    chance = len(calm) * tick_ms / (_SECONDS_BETWEEN_EVENTS_PER_TOKEN * 1000)
    draw = (seed, "director", tick)
    if noise.uniform(*draw) >= chance:
        return acts
    mint, distance = noise.pick(calm, *draw, "token")
    rises = noise.uniform(*draw, "direction") < 1 / (1 + exp(_LEAN * distance))
    kinds = _RISES if rises else _FALLS
    kind = noise.weighted(kinds, [kind.weight for kind in kinds], *draw, "kind")
    acts.append(
        Act(
            mint=mint,
            scenario=kind.scenario,
            change_percent=noise.between(*kind.percent, *draw, "percent"),
            seconds=noise.between(*kind.seconds, *draw, "seconds"),
        )
    )
    return acts
