"""One second of watching: ask for prices, judge every open position of this shard, store, fire, tell.

The positions are in memory (`apps/trading/book`). A tick stores its ticks and what fired in one transaction, so that a
crash leaves a whole tick or none; peaks and stops are written back after it, and until then the ticks know them.
Selling is not done here: `exit_runner` sells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
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
from apps.trading import metrics, watch_metrics
from apps.trading.adapters.shard_lock import ShardLock
from apps.trading.book import reading
from apps.trading.book.book import PositionBook
from apps.trading.book.check import Checker
from apps.trading.book.judging import Evaluation
from apps.trading.models import IntentKind
from apps.trading.selectors.watched import HeldToken
from apps.trading.services import exit_intents, fired_exits, stop_levels
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.quote_opinions import QuoteOpinions
from apps.trading.services.unwatchable import SolUsdAlarm, Unwatchable

log = structlog.get_logger(__name__)

TASK = "trading.watch"
FETCH_SECONDS = 0.8
#: Beat and the worker's own timer both ask for ticks; whoever comes within this of a tick's start is too early.
_SPACING_SECONDS = 0.85
#: What writing back peaks and stops may take of a tick.
_WRITE_BACK_SECONDS = 0.25
#: How often a part of the book is compared with the database.
_CHECK_EVERY_TICKS = 10
_SLOW_SECONDS = 1.0
_UNKNOWN = "unknown"

Fetch = Callable[..., FetchResult]


@dataclass(frozen=True, slots=True)
class TickReport:
    """What one tick did, for logs and tests. `ran` is False when the lock is elsewhere or it was not yet time.

    `positions` counts those it had a price for, `judged` those that took exact rules.
    """

    ran: bool = False
    tokens: int = 0
    trusted: int = 0
    doubted: int = 0
    positions: int = 0
    judged: int = 0
    fired: int = 0
    took_seconds: float = 0.0


class ShardWatch:
    """The watch of one shard in this process: its lock, its book, the closes it could not store yet."""

    def __init__(
        self,
        shard: int,
        *,
        shards: int,
        book: PositionBook | None = None,
        fetch: Fetch = prices.fetch_prices,
        opinions: QuoteOpinions | None = None,
    ) -> None:
        self.shard = shard
        self._lock = ShardLock(shard, shards)
        self._shards = shards
        self._book = PositionBook(shard, shards) if book is None else book
        self._fetch = fetch
        self._busy = threading.Lock()
        self._started_at = 0.0
        self._next_poll_at = 0.0
        self._checker = Checker(self._book)
        self._ticks_to_check = _CHECK_EVERY_TICKS
        self._unsaved_exits: dict[UUID, FiredExit] = {}
        self._recorded: dict[str, int] = {}
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
            if not self._lock.hold():
                # Another watch has it, or may have had it: what that one saw is in the database, not here.
                self._book.forget()
                return TickReport()
            report = self.tick()
            if report.took_seconds > _SLOW_SECONDS:
                log.warning("watch_slow", shard=self.shard, **asdict(report))
            return report
        finally:
            self._busy.release()

    def tick(self) -> TickReport:
        """Watch once, whatever the time. Raises what the database raises; nothing judged is lost by it."""
        started = time.monotonic()
        self._book.synchronise()
        held = self._book.held()
        if not held:
            self._unwatchable.note(held, (), now=started)
            prices.note_poll(self.shard)
            return TickReport(ran=True)
        self._next_poll_at = _next_poll(started, len(held))
        found = self._fetch(held, deadline_seconds=FETCH_SECONDS, last_good_sol=_last_good(held))
        trusted, doubted = self._hear_quotes(held, *_sort_out(found))
        evaluation, fired = self.judge(trusted, doubted)
        sol_usd = _sol_usd(found)
        _publish(trusted.values(), sol_usd, self._recorded)
        prices.note_poll(self.shard, found, trusted)
        self._write_back()
        self._unwatchable.note(self._book.held(), trusted, now=time.monotonic())
        if self.shard == 0:
            self._sol_usd_alarm.note(sol_usd is not None, now=time.monotonic())
        self._check_if_due()
        report = TickReport(
            ran=True,
            tokens=len(held),
            trusted=len(trusted),
            doubted=len(doubted),
            positions=evaluation.looked_at,
            judged=evaluation.judged,
            fired=len(fired),
            took_seconds=time.monotonic() - started,
        )
        self._measure(report)
        return report

    def judge(
        self, trusted: Mapping[str, PricePoint], doubted: Mapping[str, TrustDecision]
    ) -> tuple[Evaluation, dict[UUID, int]]:
        """Judge one batch of prices, store it with what it fired, and wake the sellers.

        Returns what was judged and the intents by position. This is what stands between a price and its sale.
        """
        started = time.perf_counter()
        self._book.synchronise()
        now = datetime.now(UTC)
        wild = {mint: (doubt.point, doubt.code) for mint, doubt in doubted.items() if doubt.point is not None}
        evaluating = time.perf_counter()
        evaluation = self._book.evaluate(trusted, wild, now=now)
        metrics.STOP_LOSS_SECONDS.observe(time.perf_counter() - evaluating)
        exits = {item.position.id: fired_exits.from_fired(item, now) for item in evaluation.fired}
        fired = self._store(exits, trusted)
        if fired:
            wake.wake(exit_intents.TASK)
        watch_metrics.JUDGE_SECONDS.labels(self.shard).observe(time.perf_counter() - started)
        for item in evaluation.fired:
            watch_metrics.FIRED.labels(item.verdict.reason).inc()
            if item.position.id in fired:
                metrics.rule_fired(str(item.verdict.reason), item.position.books.dca_count)
        return evaluation, fired

    def _check_if_due(self) -> None:
        """Compare a part of the book with the database now and then."""
        self._ticks_to_check -= 1
        if self._ticks_to_check > 0:
            return
        self._ticks_to_check = _CHECK_EVERY_TICKS
        for kind, count in self._checker.step().items():
            watch_metrics.DIFFERENCES.labels(kind).inc(count)
        watch_metrics.WATERMARK_AGE.labels(self.shard).set(reading.watermark_age())

    def _measure(self, report: TickReport) -> None:
        watch_metrics.TICK_SECONDS.labels(self.shard).observe(report.took_seconds)
        watch_metrics.POSITIONS.labels(self.shard).set(len(self._book))
        watch_metrics.BOOK_BYTES.labels(self.shard).set(self._book.columns.bytes_held)
        watch_metrics.UNSAVED.labels(self.shard).set(self._book.unsaved_count())

    def close(self) -> None:
        """Give the shard up."""
        self._lock.release()

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

    def _store(self, judged: Mapping[UUID, FiredExit], trusted: Mapping[str, PricePoint]) -> dict[UUID, int]:
        """Store ticks and exits; return the intents by position. Closes that fail wait in memory for the next tick."""
        self._recorded = {}
        exits = {**self._unsaved_exits, **judged}
        self._unsaved_exits = {key: item for key, item in exits.items() if item.kind is IntentKind.CLOSE}
        try:
            fired = self._store_tick(trusted, exits.values())
        except DatabaseError as error:
            if not database_errors.is_data_error(error):
                raise
            fired = self._store_one_by_one(trusted, exits, error)
        self._unsaved_exits = {}
        adjusts = [item.position_id for item in judged.values() if item.kind is IntentKind.ADJUST]
        self._book.rest(adjusts, now=datetime.now(UTC))
        return fired

    def _store_tick(self, trusted: Mapping[str, PricePoint], exits: Iterable[FiredExit]) -> dict[UUID, int]:
        """Store a whole tick, or part of it, in one transaction."""
        with database.atomic():
            ticks = prices.record_ticks(trusted.values())
            stop_levels.keep_progress(self._shards, self.shard, self._book.progress())
            fired = exit_intents.fire(
                item if item.needs_confirmation else replace(item, trigger_tick=ticks.get(item.mint)) for item in exits
            )
        self._book.recorded(ticks)
        self._recorded |= ticks
        return fired

    def _store_one_by_one(
        self, trusted: Mapping[str, PricePoint], exits: Mapping[UUID, FiredExit], error: DatabaseError
    ) -> dict[UUID, int]:
        """Store a tick token by token, so that the one value the database refuses costs one token its tick."""
        log.warning("tick_refused", shard=self.shard, error=str(error).splitlines()[0])
        fired: dict[UUID, int] = {}
        for mint in {*trusted, *(item.mint for item in exits.values())}:
            own = [item for item in exits.values() if item.mint == mint]
            try:
                fired |= self._store_tick({mint: trusted[mint]} if mint in trusted else {}, own)
            except DatabaseError as refused:
                if not database_errors.is_data_error(refused):
                    raise
                log.error("token_tick_refused", mint=mint, error=str(refused).splitlines()[0])
        return fired

    def _write_back(self) -> None:
        """Store rises, as many as there is time for; the others wait in memory, and the ticks know them."""
        try:
            stop_levels.write_back(self._book, within_seconds=_WRITE_BACK_SECONDS)
        except DatabaseError as error:
            log.warning("rises_not_stored", shard=self.shard, error=type(error).__name__)


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


def _sol_usd(found: FetchResult) -> SolUsd | None:
    """Return SOL in dollars while it is known and fresh."""
    known = prices.sol_usd() if found.sol_usd is None else found.sol_usd
    return None if known is None or known.is_stale else known


def _publish(points: Iterable[PricePoint], sol_usd: SolUsd | None, recorded: Mapping[str, int]) -> None:
    """Tell the live feed the trusted prices with the numbers they were recorded under, and SOL in dollars.

    That SOL in dollars is unknown is told as well.
    """
    rate = None if sol_usd is None else sol_usd.value
    updates = [
        feed.PriceUpdate(
            mint=point.mint,
            price_sol=point.price_sol,
            price_usd=_usd(point, rate),
            source=str(point.source),
            at=point.at,
            tick=recorded.get(point.mint),
        )
        for point in points
    ]
    sol = feed.PriceUpdate(mint=SOL_MINT, price_sol=1, price_usd=rate, source=_UNKNOWN)
    if sol_usd is not None:
        sol["source"], sol["at"] = sol_usd.source, sol_usd.at
    feed.publish_prices([*updates, sol])


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
