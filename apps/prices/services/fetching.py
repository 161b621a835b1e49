"""One poll of the price sources: the primary for all, the other one for what is missing, stale or wildly moved.

On plans with few calls DexScreener is the primary, since Jupiter's calls are kept for quotes. Every price comes back
with its verdict (`domain/trust.py`); what a doubtful one means is the caller's to decide.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType

import structlog
from django.conf import settings

from apps.core.http import Lane, ProviderError, call_loop, provider_config
from apps.core.metrics_registry import ERRORS, PRICE_UPDATE_LATENCY, PRICE_UPDATES
from apps.prices import selectors
from apps.prices.adapters import dexscreener, jupiter_prices, newest
from apps.prices.adapters.source_answer import SourceAnswer
from apps.prices.domain.points import PricePoint, SolUsd
from apps.prices.domain.tokens import is_mint_shaped
from apps.prices.domain.trust import Trust, TrustDecision, judge
from apps.prices.services import sol_price

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 0.8
#: The primary may use this much of the deadline; the rest is for the second source.
_PRIMARY_SHARE = 0.6
_LEAST_FOR_SECOND_SECONDS = 0.05
_SMALL_PLANS = frozenset({"keyless", "free"})
_SHORTEST_INTERVAL_SECONDS = 1.0
_LOGGED_MINTS = 5


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What one poll found, by mint.

    `decisions` has every mint asked for: the verdict on its price, code `no_price` when no source had one.
    `alternatives` has the second source's own verdict where the main one is not trusted: a stop may look at it while
    the main price waits for its confirmation. `errors` are the batches that failed, `sol_usd` is a dollar price of SOL
    seen on the way.
    """

    decisions: Mapping[str, TrustDecision] = field(default_factory=dict)
    alternatives: Mapping[str, TrustDecision] = field(default_factory=dict)
    errors: tuple[ProviderError, ...] = ()
    sol_usd: SolUsd | None = None
    took_seconds: float = 0.0

    @property
    def trusted(self) -> list[PricePoint]:
        """The prices that may decide on their own; these are what `record_ticks` takes."""
        return [d.point for d in self.decisions.values() if d.trust is Trust.TRUSTED and d.point is not None]

    @property
    def doubtful(self) -> list[TrustDecision]:
        """The verdicts that wait for a quote's confirmation."""
        return [d for d in self.decisions.values() if d.trust is Trust.NEEDS_CONFIRMATION]

    @property
    def missing(self) -> frozenset[str]:
        """The mints no source has a price of."""
        return frozenset(mint for mint, decision in self.decisions.items() if decision.point is None)


def fetch_prices(
    mints: Iterable[str],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    last_good_sol: Mapping[str, Decimal] | None = None,
    lane: Lane = Lane.HELD_PRICES,
) -> FetchResult:
    """Ask the price sources for `mints` and judge what they say; takes no longer than `deadline_seconds`.

    `last_good_sol` are the prices a move is measured from; without it, the newest recorded ones. `lane` is where the
    calls stand in the plan: whoever is not the watch leaves it its own. Never raises for a
    provider's failure: a failed batch leaves its mints without a price and is in `errors`. Stores nothing, except that
    a dollar price of SOL replaces one that has grown old.
    """
    started = time.monotonic()
    asked = list(dict.fromkeys(mints))
    wanted = [mint for mint in asked if is_mint_shaped(mint)]
    shapeless = {mint: judge(None, last_good_sol=None, now=datetime.now(UTC)) for mint in set(asked).difference(wanted)}
    if not wanted:
        return FetchResult(shapeless)
    if last_good_sol is None:
        last_good_sol = {mint: point.price_sol for mint, point in selectors.latest_prices(wanted).items()}
    _learn_block()
    left = deadline_seconds - (time.monotonic() - started)
    result = call_loop.run(_poll(wanted, last_good_sol, left, started, lane))
    if result.sol_usd is not None:
        sol_price.offer_fallback(result.sol_usd)
    return replace(result, decisions={**result.decisions, **shapeless}) if shapeless else result


def poll_interval_seconds(mint_count: int) -> float:
    """Return how often a shard may poll `mint_count` tokens on the present plan, at best each second.

    All shards together spend at most half of the primary's window, and no more than its lane has for itself: the rest
    is for the other lanes and for second opinions.
    """
    primary, _ = sources()
    limits = provider_config(primary.PROVIDER).limits
    if limits is None or mint_count <= 0:
        return _SHORTEST_INTERVAL_SECONDS
    calls = -(-mint_count // primary.TOKENS_PER_CALL) * settings.PRICE_SHARDS
    allowed = min(limits.limit / 2, limits.reserved.get(Lane.HELD_PRICES, limits.limit))
    return max(_SHORTEST_INTERVAL_SECONDS, calls * limits.window_seconds / allowed)


def primary_source() -> str:
    """Return the name of the provider that is asked first."""
    return str(sources()[0].PROVIDER)


def sources() -> tuple[ModuleType, ModuleType]:
    """Return (primary, second) source for the configured plans."""
    if provider_config(jupiter_prices.PROVIDER).plan in _SMALL_PLANS:
        return dexscreener, jupiter_prices
    return jupiter_prices, dexscreener


async def _poll(
    mints: Sequence[str], last_good: Mapping[str, Decimal], deadline_seconds: float, started: float, lane: Lane
) -> FetchResult:
    until = time.monotonic() + deadline_seconds
    primary, second = sources()
    first = await _ask(primary, mints, deadline_seconds * _PRIMARY_SHARE, lane)
    now = datetime.now(UTC)
    decisions = {mint: judge(first.points.get(mint), last_good_sol=last_good.get(mint), now=now) for mint in mints}
    in_doubt = [mint for mint, decision in decisions.items() if not decision.allowed]
    left = until - time.monotonic()
    alternatives: dict[str, TrustDecision] = {}
    errors = first.errors
    sol_usd = first.sol_usd
    if in_doubt and left >= _LEAST_FOR_SECOND_SECONDS:
        other = await _ask(second, in_doubt, left, lane)
        errors += other.errors
        sol_usd = sol_usd or other.sol_usd
        now = datetime.now(UTC)
        for mint in in_doubt:
            decisions[mint], alternative = _settle(
                first.points.get(mint), other.points.get(mint), last_good.get(mint), now
            )
            if alternative is not None:
                alternatives[mint] = alternative
    _log_untrusted(decisions.values())
    return FetchResult(decisions, alternatives, errors, sol_usd, time.monotonic() - started)


def _settle(
    first: PricePoint | None, other: PricePoint | None, last_good: Decimal | None, now: datetime
) -> tuple[TrustDecision, TrustDecision | None]:
    """Return the verdict with both sources heard, and the second source's own where the verdict is not trust.

    A primary price that is absent or refused gives way to the second source's; a wild one stays and waits.
    """
    with_second = judge(first, last_good_sol=last_good, now=now, second_opinion=other)
    if with_second.allowed or other is None:
        return with_second, None
    own = judge(other, last_good_sol=last_good, now=now)
    if with_second.trust is Trust.REFUSED:
        return (own, None) if own.trust is not Trust.REFUSED or first is None else (with_second, own)
    return with_second, own


def _log_untrusted(decisions: Iterable[TrustDecision]) -> None:
    """Write one line per verdict and poll, however many tokens it met."""
    by_code: dict[str, list[str]] = {}
    for decision in decisions:
        if not decision.allowed and decision.point is not None:
            by_code.setdefault(decision.code, []).append(decision.point.mint)
    for code, mints in by_code.items():
        log.warning("prices_not_trusted", code=code, count=len(mints), mints=mints[:_LOGGED_MINTS])


async def _ask(source: ModuleType, mints: Sequence[str], deadline_seconds: float, lane: Lane) -> SourceAnswer:
    began = time.monotonic()
    answer: SourceAnswer = await source.fetch(mints, lane=lane, deadline_seconds=deadline_seconds)
    PRICE_UPDATE_LATENCY.labels(source.PROVIDER).observe(time.monotonic() - began)
    status = "success" if not answer.errors else "partial" if answer.points else "failed"
    PRICE_UPDATES.labels(source.PROVIDER, status).inc()
    for error in answer.errors:
        ERRORS.labels("prices", error.code).inc()
    return answer


def _learn_block() -> None:
    """Take over from other processes how far the feed has come, once, so that a frozen one is not taken for new."""
    if jupiter_prices.newest_block() is None:
        seen = newest.recall_block()
        if seen is not None:
            jupiter_prices.know_block(*seen)
