"""Ready-made DCA and take-profit levels, and how a mode is resolved to them.

A preset mode decides levels and moon bag by itself; what the document lists counts in custom mode only.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from apps.agents.domain.model import DcaLevel, MoonBag, PresetMode, TakeProfitLevel


def _dca(*levels: tuple[int, int]) -> tuple[DcaLevel, ...]:
    return tuple(DcaLevel(Decimal(drop), Decimal(buy)) for drop, buy in levels)


def _take_profit(*levels: tuple[int, int]) -> tuple[TakeProfitLevel, ...]:
    return tuple(TakeProfitLevel(Decimal(target), Decimal(sell)) for target, sell in levels)


def _bag(trigger: int, retain: int) -> MoonBag:
    return MoonBag(enabled=True, trigger_percent=Decimal(trigger), retain_percent=Decimal(retain))


_DCA_LEVELS: dict[str, tuple[DcaLevel, ...]] = {
    PresetMode.AGGRESSIVE: _dca((-10, 100), (-10, 100), (-10, 100)),
    PresetMode.MODERATE: _dca((-20, 75), (-20, 75)),
    PresetMode.CONSERVATIVE: _dca((-20, 100)),
}

_TAKE_PROFIT: dict[str, tuple[tuple[TakeProfitLevel, ...], MoonBag]] = {
    PresetMode.AGGRESSIVE: (
        _take_profit((25, 25), (50, 25), (100, 25), (150, 15)),
        _bag(100, 10),
    ),
    PresetMode.MODERATE: (
        _take_profit((50, 25), (150, 25), (300, 25), (400, 15)),
        _bag(300, 10),
    ),
    PresetMode.CONSERVATIVE: (
        _take_profit((100, 20), (200, 20), (400, 25), (600, 20)),
        _bag(400, 15),
    ),
    PresetMode.CUSTOM: ((), _bag(300, 10)),
}


def dca_levels(mode: str, custom_levels: Iterable[DcaLevel] = ()) -> tuple[DcaLevel, ...]:
    """Return the levels a DCA mode buys at, least negative drop first; an unknown mode is read as moderate.

    >>> [int(level.drop_percent) for level in dca_levels("aggressive")]
    [-10, -10, -10]
    """
    if mode == PresetMode.CUSTOM:
        return tuple(sorted(custom_levels, key=lambda level: -level.drop_percent))
    return _DCA_LEVELS.get(mode, _DCA_LEVELS[PresetMode.MODERATE])


def take_profit_template(mode: str) -> tuple[tuple[TakeProfitLevel, ...], MoonBag]:
    """Return the levels and the moon bag a take-profit mode starts from; `custom` starts with no level."""
    return _TAKE_PROFIT.get(mode, _TAKE_PROFIT[PresetMode.MODERATE])


def take_profit_plan(
    mode: str, custom_levels: tuple[TakeProfitLevel, ...], custom_moon_bag: MoonBag
) -> tuple[tuple[TakeProfitLevel, ...], MoonBag]:
    """Return the levels and the moon bag the engine acts on under `mode`.

    >>> levels, bag = take_profit_plan("conservative", (), take_profit_template("custom")[1])
    >>> [int(level.target_percent) for level in levels], int(bag.retain_percent)
    ([100, 200, 400, 600], 15)
    """
    if mode == PresetMode.CUSTOM:
        return custom_levels, custom_moon_bag
    return take_profit_template(mode)
