"""One second of watching: ask for prices, judge every open position of this shard, store, fire, tell.

A tick stores its ticks, its peaks and what fired in one transaction, so that a crash leaves a whole tick or none. What
could not be stored is kept in memory and stored with the next tick. Selling is not done here: `exit_runner` sells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db import transaction as database

from apps.core import database_errors, feed, wake
from apps.core.money import SOL_MINT
from apps.prices import services as prices
from apps.prices.domain.points import PricePoint, SolUsd, price_in_usd
from apps.prices.domain.trust import TrustDecision
from apps.prices.services import FetchResult
from apps.trading.adapters.shard_lock import ShardLock
from apps.trading.domain import watch_rules
from apps.trading.domain.watch_rules import Level, TickVerdict, Watched
from apps.trading.selectors import watched
from apps.trading.selectors.watched import HeldToken, PositionSource, StoredPositions
from apps.trading.services import exit_intents, stop_levels
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.quote_opinions import QuoteOpinions
from apps.trading.services.unwatchable import SolUsdAlarm, Unwatchable

log = structlog.get_logger(__name__)

TASK = "trading.watch"
FETCH_SECONDS = 0.8
#: Beat and the worker's own timer both ask for ticks; whoever comes within this of a tick's start is too early.
_SPACING_SECONDS = 0.85
#: What telling people of risen stops may take of a tick.
_TELL_SECONDS = 0.25
_SLOW_SECONDS = 1.0

Fetch = Callable[..., FetchResult]


@dataclass(frozen=True, slots=True)
class TickReport:
    """What one tick did, for logs and tests. `ran` is False when the lock is elsewhere or it was not yet time.

    `positions` counts those its prices concerned.
    """

    ran: bool = False
    tokens: int = 0
    trusted: int = 0
    doubted: int = 0
    positions: int = 0
    fired: int = 0
    took_seconds: float = 0.0


@dataclass(slots=True)
class _Judged:
    """What one tick's prices did to the positions."""

    levels: dict[UUID, Level] = field(default_factory=dict)
    exits: dict[UUID, FiredExit] = field(default_factory=dict)


class ShardWatch:
    """The watch of one shard in this process: its lock, what it could not store yet, which tokens have no price."""

    def __init__(
        self,
        shard: int,
        *,
        shards: int,
        source: PositionSource | None = None,
        fetch: Fetch = prices.fetch_prices,
        opinions: QuoteOpinions | None = None,
    ) -> None:
        self.shard = shard
        self._lock = ShardLock(shard, shards)
        self._source = source or StoredPositions(shard, shards)
        self._fetch = fetch
        self._busy = threading.Lock()
        self._started_at = 0.0
        self._next_poll_at = 0.0
        self._unsaved_levels: dict[UUID, Level] = {}
        self._unsaved_exits: dict[UUID, FiredExit] = {}
        self._caught_up = False
        self._unwatchable = Unwatchable(shard)
        self._sol_usd_alarm = SolUsdAlarm()
        self._opinions = opinions or QuoteOpinions()

    def tick_if_due(self) -> TickReport:
        """Run a tick unless one is running or ran a moment ago, here or in the process that holds the shard."""
        if not self._busy.acquire(blocking=False):
            return TickReport()
        try:
            now = time.monotonic()
            if now - self._started_at < _SPACING_SECONDS or now < self._next_poll_at:
                return TickReport()
            self._started_at = now
            report = self.tick() if self._lock.hold() else TickReport()
            if report.took_seconds > _SLOW_SECONDS:
                log.warning("watch_slow", shard=self.shard, **asdict(report))
            return report
        finally:
            self._busy.release()

    def tick(self) -> TickReport:
        """Watch once, whatever the time. Raises what the database raises; nothing judged is lost by it."""
        started = time.monotonic()
        held = self._source.held()
        if not held:
            self._unwatchable.note(held, (), now=started)
            return TickReport(ran=True)
        self._next_poll_at = _next_poll(started, len(held))
        if not self._caught_up:
            self._catch_up(held)
        found = self._fetch(held, deadline_seconds=FETCH_SECONDS, last_good_sol=_last_good(held))
        trusted, doubted = self._hear_quotes(held, *_sort_out(found))
        positions = list(
            self._source.concerned(
                held.keys(),
                trusted={mint: point.price_sol for mint, point in trusted.items()},
                doubted={mint: doubt.point.price_sol for mint, doubt in doubted.items() if doubt.point is not None},
                also=self._unsaved_levels.keys(),
            )
        )
        fired = self._store(self._judge(positions, trusted, doubted), trusted)
        self._source.settled()
        if fired:
            wake.wake(exit_intents.TASK)
        sol_usd = _sol_usd(found)
        _publish(trusted.values(), sol_usd)
        self._unwatchable.note(held, trusted, now=time.monotonic())
        if self.shard == 0:
            self._sol_usd_alarm.note(sol_usd is not None, now=time.monotonic())
        return TickReport(
            ran=True,
            tokens=len(held),
            trusted=len(trusted),
            doubted=len(doubted),
            positions=len(positions),
            fired=len(fired),
            took_seconds=time.monotonic() - started,
        )

    def close(self) -> None:
        """Give the shard up."""
        self._lock.release()

    def _catch_up(self, held: Mapping[str, HeldToken]) -> None:
        """Take over the highs a watch before this one had recorded but not written back to the positions."""
        self._unsaved_levels |= {level.position_id: level for level in watched.highs_not_stored(list(held))}
        self._caught_up = True

    def _hear_quotes(
        self, held: Mapping[str, HeldToken], trusted: dict[str, PricePoint], doubted: dict[str, TrustDecision]
    ) -> tuple[dict[str, PricePoint], dict[str, TrustDecision]]:
        """Trust a doubted price that a sell quote of a moment ago agrees with; ask for one where there is none."""
        still = {}
        for mint, doubt in doubted.items():
            if doubt.point is not None and self._opinions.confirms(doubt.point):
                log.info("price_confirmed_by_quote", mint=mint, price_sol=f"{doubt.point.price_sol:f}")
                trusted[mint] = doubt.point
            else:
                still[mint] = doubt
                self._opinions.ask(held[mint])
        return trusted, still

    def _judge(
        self, positions: Iterable[Watched], trusted: Mapping[str, PricePoint], doubted: Mapping[str, TrustDecision]
    ) -> _Judged:
        """Judge every position; one that breaks is logged and never stops the others."""
        judged, now = _Judged(), datetime.now(UTC)
        for position in positions:
            try:
                unsaved = self._unsaved_levels.get(position.id)
                current = position if unsaved is None else watch_rules.raised(position, unsaved)
                if unsaved is not None and current is not position:
                    judged.levels[position.id] = unsaved
                self._judge_one(current, trusted.get(position.mint), doubted.get(position.mint), now, judged)
            except Exception as error:
                log.error("position_not_judged", position_id=str(position.id), exc_info=error)
        return judged

    def _judge_one(
        self,
        position: Watched,
        point: PricePoint | None,
        doubt: TrustDecision | None,
        now: datetime,
        judged: _Judged,
    ) -> None:
        if point is None:
            verdict = TickVerdict(watch_rules.restate(position))
        else:
            verdict = watch_rules.judge(position, point.price_sol, now=now)
            if verdict.close_reason is not None:
                judged.exits[position.id] = _fired(position, verdict, point, now)
        if verdict.level is not None:
            unsaved = judged.levels.get(position.id)
            untold = unsaved is not None and unsaved.stop_moved
            judged.levels[position.id] = replace(verdict.level, stop_moved=verdict.level.stop_moved or untold)
        if verdict.close_reason is None and doubt is not None and doubt.point is not None:
            verdict = watch_rules.judge_doubted(position, doubt.point.price_sol)
            if verdict.close_reason is not None:
                judged.exits[position.id] = _fired(position, verdict, doubt.point, now, doubt=doubt.code)

    def _store(self, judged: _Judged, trusted: Mapping[str, PricePoint]) -> dict[UUID, int]:
        """Store ticks, levels and exits; return the intents by position. What fails waits in memory for the next."""
        levels = list(judged.levels.values())
        exits = self._unsaved_exits | judged.exits
        self._unsaved_levels = {level.position_id: level for level in levels}
        self._unsaved_exits = exits
        try:
            fired = self._store_tick(trusted, [level for level in levels if not level.stop_moved], exits.values())
        except DatabaseError as error:
            if not database_errors.is_data_error(error):
                raise
            fired = self._store_one_by_one(judged, trusted, exits, error)
        self._unsaved_exits = {}
        self._tell([level for level in levels if level.stop_moved])
        return fired

    def _store_tick(
        self, trusted: Mapping[str, PricePoint], levels: list[Level], exits: Iterable[FiredExit]
    ) -> dict[UUID, int]:
        """Store a whole tick, or part of it, in one transaction."""
        with database.atomic():
            ticks = prices.record_ticks(trusted.values())
            written = stop_levels.store(levels)
            fired = exit_intents.fire(
                item if item.needs_confirmation else replace(item, trigger_tick=ticks.get(item.mint)) for item in exits
            )
        for position_id in written:
            self._unsaved_levels.pop(position_id, None)
        return fired

    def _store_one_by_one(
        self,
        judged: _Judged,
        trusted: Mapping[str, PricePoint],
        exits: Mapping[UUID, FiredExit],
        error: DatabaseError,
    ) -> dict[UUID, int]:
        """Store a tick token by token, so that the one value the database refuses costs one token its tick."""
        log.warning("tick_refused", shard=self.shard, error=str(error).splitlines()[0])
        fired: dict[UUID, int] = {}
        for mint in {*trusted, *(item.mint for item in exits.values())}:
            own_exits = [item for item in exits.values() if item.mint == mint]
            own_levels = [level for level in judged.levels.values() if level.mint == mint and not level.stop_moved]
            try:
                fired |= self._store_tick({mint: trusted[mint]} if mint in trusted else {}, own_levels, own_exits)
            except DatabaseError as refused:
                if not database_errors.is_data_error(refused):
                    raise
                log.error("token_tick_refused", mint=mint, error=str(refused).splitlines()[0])
        return fired

    def _tell(self, levels: list[Level]) -> None:
        """Store stops that rose and tell the agents, as many as there is time for; the others wait in memory."""
        if not levels:
            return
        try:
            for position_id in stop_levels.store_and_tell(levels, within_seconds=_TELL_SECONDS):
                self._unsaved_levels.pop(position_id, None)
        except DatabaseError as error:
            log.warning("stops_not_stored", shard=self.shard, levels=len(levels), error=type(error).__name__)


def _next_poll(started: float, tokens: int) -> float:
    """Return when the plan allows the next poll; a plan that allows each second never makes a tick wait."""
    interval = prices.poll_interval_seconds(tokens)
    return started if interval <= 1.0 else started + interval - _SPACING_SECONDS / 2


def _last_good(held: Mapping[str, HeldToken]) -> dict[str, Decimal]:
    """Return the price each token's next one is compared with: its last recorded one, or a newer fill."""
    recorded = prices.latest_prices(held)
    good = {}
    for mint, token in held.items():
        point = recorded.get(mint)
        price = token.fill_price if point is None or point.received_at < token.filled_at else point.price_sol
        if price.is_finite() and price > 0:
            good[mint] = price
    return good


def _sort_out(found: FetchResult) -> tuple[dict[str, PricePoint], dict[str, TrustDecision]]:
    """Return what may decide, by mint, and what only a quote can confirm. A second source may stand in for a first."""
    trusted: dict[str, PricePoint] = {}
    doubted: dict[str, TrustDecision] = {}
    for mint, decision in found.decisions.items():
        if decision.allowed and decision.point is not None:
            trusted[mint] = decision.point
            continue
        other = found.alternatives.get(mint)
        if other is not None and other.allowed and other.point is not None:
            trusted[mint] = other.point
        if decision.needs_confirmation:
            doubted[mint] = decision
        elif other is not None and other.needs_confirmation:
            doubted[mint] = other
    return trusted, doubted


def _fired(
    position: Watched, verdict: TickVerdict, point: PricePoint, now: datetime, *, doubt: str | None = None
) -> FiredExit:
    stop = verdict.stop_price
    return FiredExit(
        position_id=position.id,
        reason=verdict.close_reason or "",
        generation=position.generation,
        mint=position.mint,
        trigger_price_sol=point.price_sol,
        needs_confirmation=doubt is not None,
        details={
            "source": str(point.source),
            "priceAgeSeconds": round(point.age(now).total_seconds(), 3),
            "stopPriceSol": None if stop is None else f"{stop:f}",
            "doubt": doubt,
        },
    )


def _sol_usd(found: FetchResult) -> SolUsd | None:
    """Return SOL in dollars while it is known and fresh."""
    known = prices.sol_usd() if found.sol_usd is None else found.sol_usd
    return None if known is None or known.is_stale else known


def _publish(points: Iterable[PricePoint], sol_usd: SolUsd | None) -> None:
    """Tell the live feed the trusted prices, and SOL in dollars."""
    rate = None if sol_usd is None else sol_usd.value
    updates = [
        feed.PriceUpdate(
            mint=point.mint, price_sol=point.price_sol, price_usd=_usd(point, rate), source=str(point.source)
        )
        for point in points
    ]
    if sol_usd is not None:
        updates.append(feed.PriceUpdate(mint=SOL_MINT, price_sol=1, price_usd=sol_usd.value, source=sol_usd.source))
    feed.publish_prices(updates)


def _usd(point: PricePoint, sol_usd: Decimal | None) -> Decimal | None:
    if point.price_usd is not None or sol_usd is None:
        return point.price_usd
    return price_in_usd(point.price_sol, sol_usd)


_watches: dict[int, ShardWatch] = {}
_watches_lock = threading.Lock()


def of_shard(shard: int) -> ShardWatch:
    """Return this process's watch of a shard."""
    with _watches_lock:
        if shard not in _watches:
            _watches[shard] = ShardWatch(shard, shards=settings.PRICE_SHARDS)
        return _watches[shard]


def tick(shard: int) -> TickReport:
    """Watch a shard once, if it is time and this process holds it."""
    return of_shard(shard).tick_if_due()
