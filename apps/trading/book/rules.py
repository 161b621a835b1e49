"""What each agent's configuration, switches and the desk's allow, as arrays the screen can take from by agent number.

An agent keeps its number as long as the book lives; number 0 is nobody. The typed configuration is kept beside it for
the exact decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.agents.domain.model import StopLossMode, TradingConfig
from apps.trading.book.columns import NO_INTEGER
from apps.trading.book.reading import AgentRules, StateRow

#: How a stop moves: not at all (off), as it stands (unreadable rules), by a formula that does nothing below a gain of
#: 20 %, by custom levels, or by exact decimals only.
OFF, STANDING, FIXED, EXPONENTIAL, ZONES, CUSTOM, EXACT_ONLY = range(7)
_MODES = {
    StopLossMode.FIXED: FIXED,
    StopLossMode.EXPONENTIAL: EXPONENTIAL,
    StopLossMode.ZONES: ZONES,
    StopLossMode.CUSTOM: CUSTOM,
}
#: Levels of a custom stop the arrays have room for; who has more is judged exactly at every rise.
MOST_TRAILING_LEVELS = 24
#: Take profit and DCA never use more levels than this (trading.md 1.1).
MOST_LEVELS = 10

_FORMULAS_FROM_PERCENT = 20.0
_MICROSECONDS = 1_000_000
_ZERO = Decimal(0)
_PERCENT_SCALE = Decimal(10**8)
_ACTIVE, _HALTED = "active", "halted"
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class _Switch:
    state: str = _ACTIVE
    exits_enabled: bool = True

    @property
    def may_sell(self) -> bool:
        return self.state != _HALTED or self.exits_enabled

    @property
    def may_add(self) -> bool:
        return self.state == _ACTIVE


class RuleTable:
    """The rules by agent number. Percents are plain percent floats, times microseconds.

    An agent adds in the wallet of its mode only (`live`). Below a gain of `moves_from` percent no rise moves a stop.
    At most `trailing_width` levels are in use.
    `trailing_change` and `trailing_stop` are ascending levels padded with infinity; `trailing_stop` in 10^-8 percent.
    """

    def __init__(self) -> None:
        self.ids: list[UUID | None] = [None]
        self.configs: list[TradingConfig | None] = [None]
        self._number: dict[UUID, int] = {}
        self._automated: list[bool] = [False]
        self._states: dict[UUID | None, _Switch] = {}
        self.trailing_width = 1
        self._allocate(64)

    def _allocate(self, size: int) -> None:
        def grown(name: str, shape: tuple[int, ...], kind: str, fill: float) -> None:
            column = np.full(shape, fill, dtype=kind)
            if hasattr(self, name):
                old = getattr(self, name)
                column[: len(old)] = old
            setattr(self, name, column)

        grown("mode", (size,), "u1", STANDING)
        grown("default_stop", (size,), "f8", 0.0)
        grown("moves_from", (size,), "f8", np.inf)
        grown("trailing_change", (size, MOST_TRAILING_LEVELS), "f8", np.inf)
        grown("trailing_stop", (size, MOST_TRAILING_LEVELS), "i8", NO_INTEGER)
        grown("hold", (size,), "i8", NEVER)
        grown("stale_low", (size,), "f8", np.inf)
        grown("stale_high", (size,), "f8", -np.inf)
        grown("targets", (size, MOST_LEVELS + 1), "f8", np.inf)
        grown("level_count", (size,), "i2", 0)
        grown("drops", (size, MOST_LEVELS + 1), "f8", -np.inf)
        grown("cooldown", (size,), "i8", 0)
        grown("may_sell", (size,), "?", True)
        grown("may_add", (size,), "?", False)
        grown("live", (size,), "?", False)

    mode: NDArray[np.uint8]
    default_stop: NDArray[np.float64]
    moves_from: NDArray[np.float64]
    trailing_change: NDArray[np.float64]
    trailing_stop: NDArray[np.int64]
    hold: NDArray[np.int64]
    stale_low: NDArray[np.float64]
    stale_high: NDArray[np.float64]
    targets: NDArray[np.float64]
    level_count: NDArray[np.int16]
    drops: NDArray[np.float64]
    cooldown: NDArray[np.int64]
    may_sell: NDArray[np.bool_]
    may_add: NDArray[np.bool_]
    live: NDArray[np.bool_]

    def number_of(self, agent_id: UUID) -> int | None:
        """Return an agent's number, None while it has none."""
        return self._number.get(agent_id)

    def differing(self, agents: Iterable[AgentRules]) -> list[int]:
        """Return the numbers of known agents whose configuration is another now."""
        return [
            number
            for agent in agents
            if (number := self._number.get(agent.agent_id)) is not None and self.configs[number] != agent.config
        ]

    def learn(self, agents: Iterable[AgentRules]) -> None:
        """Take over agents as they are now; who is new gets a number."""
        for agent in agents:
            number = self._number.get(agent.agent_id)
            if number is None:
                number = self._add(agent.agent_id)
            self._automated[number], self.live[number] = agent.automated, agent.is_live
            self.configs[number] = agent.config
            self._write(number, agent.config)
            self._write_switches(number)

    def learn_states(self, rows: Iterable[StateRow]) -> None:
        """Take over trading states as they are now."""
        for row in rows:
            self._states[row.agent_id] = _Switch(row.state, row.exits_enabled)
            if row.agent_id is None:
                for number in range(1, len(self.ids)):
                    self._write_switches(number)
            elif row.agent_id in self._number:
                self._write_switches(self._number[row.agent_id])

    def _add(self, agent_id: UUID) -> int:
        number = len(self.ids)
        if number >= len(self.mode):
            self._allocate(2 * len(self.mode))
        self.ids.append(agent_id)
        self.configs.append(None)
        self._automated.append(False)
        self._number[agent_id] = number
        return number

    def _write_switches(self, number: int) -> None:
        desk, own = self._states.get(None, _Switch()), self._states.get(self.ids[number], _Switch())
        self.may_sell[number] = desk.may_sell and own.may_sell
        self.may_add[number] = self._automated[number] and desk.may_add and own.may_add

    def _write(self, number: int, config: TradingConfig | None) -> None:
        self._write_stop(number, config)
        self.hold[number], self.stale_low[number], self.stale_high[number] = NEVER, np.inf, -np.inf
        self.targets[number], self.drops[number] = np.inf, -np.inf
        self.level_count[number] = 0
        if config is None:
            return
        stale, profit, dca = config.stale_trade, config.take_profit, config.dca
        if stale.enabled:
            self.hold[number] = int(stale.min_hold_minutes * 60 * _MICROSECONDS)
            self.stale_low[number] = float(stale.min_profit_percent)
            self.stale_high[number] = float(stale.max_profit_percent)
        self.level_count[number] = len(profit.levels)
        if profit.enabled:
            for place, level in enumerate(profit.levels[:MOST_LEVELS]):
                self.targets[number, place] = float(level.target_percent)
        if dca.enabled:
            self.cooldown[number] = int(dca.cooldown_seconds * _MICROSECONDS)
            for place, drop in enumerate(dca.levels[:MOST_LEVELS]):
                if place < dca.max_count:
                    self.drops[number, place] = float(drop.drop_percent)

    def _write_stop(self, number: int, config: TradingConfig | None) -> None:
        self.trailing_change[number], self.trailing_stop[number] = np.inf, NO_INTEGER
        self.moves_from[number] = np.inf
        if config is None:
            self.mode[number] = STANDING
            return
        rules = config.stop_loss
        self.mode[number] = _MODES.get(StopLossMode(rules.mode), STANDING) if rules.enabled else OFF
        self.default_stop[number] = float(rules.default_percent)
        if self.mode[number] in (FIXED, EXPONENTIAL, ZONES):
            self.moves_from[number] = _FORMULAS_FROM_PERCENT
        if self.mode[number] != CUSTOM:
            return
        # The first listed wins a tie: the last one written does, so they are written from the end.
        levels = {level.change_percent: level.stop_percent for level in reversed(rules.trailing_levels)}
        self.moves_from[number] = float(min(levels, default=_ZERO))
        self.trailing_width = max(self.trailing_width, min(len(levels), MOST_TRAILING_LEVELS))
        if len(levels) > MOST_TRAILING_LEVELS:
            self.mode[number] = EXACT_ONLY
            return
        for place, change in enumerate(sorted(levels)):
            self.trailing_change[number, place] = float(change)
            self.trailing_stop[number, place] = int(levels[change] * _PERCENT_SCALE)
