"""The stop formulas of `domain/stop_loss.py` over arrays of floats: where a rise puts the stops, nearly.

Good to ten digits, which is all a screen needs; what decides and what is stored comes from the exact formulas. Fixed,
exponential and zones rise with the peak, so that the highest peak alone gives the stop; custom levels need not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.trading.book import rules
from apps.trading.book.rules import RuleTable

Floats = NDArray[np.float64]

_NOTHING = -np.inf


@dataclass(frozen=True, slots=True)
class Stops:
    """Where peaks put stops, one entry per position.

    `percents` are from the average, -inf where the formula gives nothing above zero. `exact` are those of custom levels
    in 10^-8 percent, `NO_INTEGER` elsewhere. `unsure` marks who stands within rounding of a custom level, or has more
    levels than the arrays.
    """

    percents: Floats
    exact: NDArray[np.int64]
    unsure: NDArray[np.bool_]


def stops_of(changes: Floats, agents: NDArray[np.int32], modes: NDArray[np.uint8], table: RuleTable) -> Stops:
    """Return the stops that peak gains of `changes` percent give under the rules of these agents, of these modes."""
    stops = np.full(len(changes), _NOTHING)
    exact = np.full(len(changes), rules.NO_INTEGER, dtype=np.int64)
    unsure = modes == rules.EXACT_ONLY
    for mode in np.flatnonzero(np.bincount(modes, minlength=1)).tolist():
        of_mode = np.flatnonzero(modes == mode)
        if mode == rules.FIXED:
            stops[of_mode] = _fixed(changes[of_mode])
        elif mode == rules.EXPONENTIAL:
            stops[of_mode] = _exponential(changes[of_mode])
        elif mode == rules.ZONES:
            stops[of_mode] = _zones(changes[of_mode])
        elif mode == rules.CUSTOM:
            found, unsure[of_mode] = _custom(changes[of_mode], agents[of_mode], table)
            exact[of_mode], stops[of_mode] = found, np.where(found > 0, found * 1e-8, _NOTHING)
    return Stops(stops, exact, unsure)


def _fixed(change: Floats) -> Floats:
    return np.where(change >= 20.0, change - 10.0, _NOTHING)


def _exponential(change: Floats) -> Floats:
    x = change - 20.0
    far = np.minimum(x, 700.0)
    kept = 1.0 - np.exp(far * -0.032) - 0.12 * np.exp(-(((far - 55.0) / 8.0) ** 2) / 2.0)
    np.clip(kept, 0.0, 0.90, out=kept)
    boosted = np.minimum(0.90, kept + 0.30 * (1.0 - np.exp(-(far - 65.0) / 80.0)))
    kept = np.where(x > 65.0, boosted, kept)
    return np.where((x > 0.0) & (kept > 0.0), change * kept, _NOTHING)


def _zones(change: Floats) -> Floats:
    share = np.where(change <= 25.0, 0.50, np.where(change <= 50.0, 0.60, 0.70))
    share = np.where(change > 100.0, np.where(change <= 200.0, 0.80, 0.85), share)
    return np.where(change >= 20.0, change * share, _NOTHING)


def _custom(change: Floats, agents: NDArray[np.int32], table: RuleTable) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the stop of the highest level surely reached, and who may have reached one more."""
    levels = table.trailing_change[:, : table.trailing_width][agents]
    rounding = 1e-9 * (1.0 + np.abs(change))
    surely = (levels <= (change - rounding)[:, None]).sum(axis=1)
    perhaps = (levels <= (change + rounding)[:, None]).sum(axis=1)
    found = table.trailing_stop[agents, np.maximum(surely - 1, 0)]
    return np.where(surely > 0, found, rules.NO_INTEGER), surely != perhaps
