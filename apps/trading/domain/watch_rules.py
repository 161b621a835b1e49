"""What one price does to one open position: raises its peak and stop, or closes it. The order of the rules is here.

Stop loss, take profit, stale close, DCA: what closes a position ends its tick. Take profit and DCA have their place
below. A doubted price may only fire the stop, for the sell quote to confirm; it raises nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.agents.domain.model import TradingConfig
from apps.core.money import MONEY, quantize_percent, quantize_price
from apps.trading.domain import stale, stop_loss
from apps.trading.domain.stop_loss import StopState

STOP_LOSS = "stop_loss"
STALE_TRADE = "stale_trade"
_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Watched:
    """An open position as the watch sees it; prices in SOL per token. `config` None: it no longer validates.

    `closing` tells that a certain close is open: it is latched, and nothing more is to be decided.
    """

    id: UUID
    agent_id: UUID
    mint: str
    average_price: Decimal
    peak_price: Decimal
    stop_percent: Decimal | None
    stop_price: Decimal | None
    generation: int
    peak_generation: int
    opened_at: datetime
    closing: bool
    config: TradingConfig | None


@dataclass(frozen=True, slots=True)
class Level:
    """Peak and stop to be stored, rounded as the columns are; `stop_moved` is worth telling people."""

    position_id: UUID
    agent_id: UUID
    mint: str
    peak_generation: int
    peak_price: Decimal
    stop_percent: Decimal | None = None
    stop_price: Decimal | None = None
    stop_moved: bool = False


@dataclass(frozen=True, slots=True)
class TickVerdict:
    """What a price did. `level` is None when nothing is to be stored, `close_reason` when nothing fired."""

    level: Level | None = None
    close_reason: str | None = None
    stop_price: Decimal | None = None


NOTHING = TickVerdict()


def judge(position: Watched, price: Decimal, *, now: datetime) -> TickVerdict:
    """Judge a trusted price (SOL per token) against a position; the first rule that closes it ends its tick."""
    if position.closing:
        return NOTHING
    if position.config is None:
        return _judge_unconfigured(position, price)
    stop = stop_loss.evaluate(
        position.average_price,
        StopState(position.peak_price, position.stop_percent),
        price,
        position.config.stop_loss,
    )
    level = _level(position, stop.state, stop.stop_price)
    if stop.triggered:
        return TickVerdict(level, STOP_LOSS, stop.stop_price)
    # Take profit is judged here, before the stale close.
    if stale.is_stale(_age_minutes(position, now), position.average_price, price, position.config.stale_trade):
        return TickVerdict(level, STALE_TRADE, stop.stop_price)
    # DCA is judged here, last.
    return TickVerdict(level, None, stop.stop_price)


def judge_doubted(position: Watched, price: Decimal) -> TickVerdict:
    """Judge a price nobody vouches for: it may fire the stop as it stands, to be confirmed, and does nothing else."""
    if position.closing or price > position.peak_price:
        return NOTHING
    if position.config is None:
        return _judge_unconfigured(position, price)
    stop = stop_loss.evaluate(
        position.average_price,
        StopState(position.peak_price, position.stop_percent),
        price,
        position.config.stop_loss,
    )
    return TickVerdict(None, STOP_LOSS, stop.stop_price) if stop.triggered else NOTHING


def restate(position: Watched) -> Level | None:
    """Return the level the position's own peak gives under its rules as they are now, None when it is what is stored.

    Needs no price: a change of configuration counts even while the token has none.
    """
    if position.closing or position.config is None:
        return None
    state = StopState(position.peak_price, position.stop_percent)
    stop = stop_loss.evaluate(position.average_price, state, position.peak_price, position.config.stop_loss)
    return _level(position, stop.state, stop.stop_price)


def raised(position: Watched, level: Level) -> Watched:
    """Return the position with a peak and stop that were judged before but are not stored yet.

    A level of an older average (before a DCA) does not count.
    """
    if level.peak_generation != position.peak_generation:
        return position
    return replace(
        position,
        peak_price=max(position.peak_price, level.peak_price),
        stop_percent=_higher(position.stop_percent, level.stop_percent),
        stop_price=_higher(position.stop_price, level.stop_price),
    )


def _judge_unconfigured(position: Watched, price: Decimal) -> TickVerdict:
    """The rules of an agent whose configuration broke cannot be read; the stop it had stands."""
    if position.stop_price is None or price > position.stop_price:
        return NOTHING
    return TickVerdict(None, STOP_LOSS, position.stop_price)


def _level(position: Watched, state: StopState, stop_price: Decimal | None) -> Level | None:
    if state.peak_price is None or state.stop_percent is None or stop_price is None:
        return None
    percent, price = quantize_percent(state.stop_percent), quantize_price(stop_price)
    stop_moved = position.stop_percent is None or percent > position.stop_percent
    if not stop_moved and state.peak_price <= position.peak_price:
        return None
    return Level(
        position_id=position.id,
        agent_id=position.agent_id,
        mint=position.mint,
        peak_generation=position.peak_generation,
        peak_price=state.peak_price,
        stop_percent=percent,
        stop_price=price,
        stop_moved=stop_moved,
    )


def _age_minutes(position: Watched, now: datetime) -> Decimal:
    age = now - position.opened_at
    seconds = Decimal(age.days * 86_400 + age.seconds) + Decimal(age.microseconds).scaleb(-6)
    return MONEY.divide(seconds, Decimal(_SECONDS_PER_MINUTE))


def _higher(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return other if one is None else one if other is None else max(one, other)
