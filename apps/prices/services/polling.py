"""What the watch's polls are like, told to whoever wants to know: a record per shard, and gauges.

The watch calls `note_poll` after each poll. Nothing here decides anything, and nothing here may fail a tick.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from django.db import DatabaseError

from apps.core.http import provider_config
from apps.prices import metrics, selectors
from apps.prices.adapters import polls
from apps.prices.domain.points import PricePoint
from apps.prices.domain.polls import Poll, oldest_and_median
from apps.prices.services import fetching
from apps.prices.services.fetching import FetchResult

log = structlog.get_logger(__name__)

_lock = threading.Lock()
#: When each held token's newest trusted price was true, by shard; None for one that never had any.
_priced_at: dict[int, dict[str, datetime | None]] = {}


def note_poll(shard: int, found: FetchResult | None = None, trusted: Mapping[str, PricePoint] | None = None) -> Poll:
    """Tell what a shard's poll found; without `found` that it holds no token.

    `trusted` are the prices that were acted on (what quotes confirmed included); without it, those of the poll.
    """
    result = found or FetchResult()
    acted_on = {point.mint: point for point in result.trusted} if trusted is None else trusted
    times = _times(shard, list(result.decisions), acted_on)
    oldest, median = oldest_and_median(time for time in times.values() if time is not None)
    source = fetching.primary_source()
    poll = Poll(
        shard=shard,
        tokens=len(times),
        trusted=len(acted_on),
        doubted=sum(decision.needs_confirmation for mint, decision in result.decisions.items() if mint not in acted_on),
        missing=len(result.missing - acted_on.keys()),
        unpriced=sum(time is None for time in times.values()),
        interval_seconds=fetching.poll_interval_seconds(len(times)),
        took_seconds=round(result.took_seconds, 3),
        source=source,
        plan=provider_config(source).plan,
        polled_at=datetime.now(UTC),
        oldest_at=oldest,
        median_at=median,
    )
    _measure(poll)
    polls.remember(poll)
    return poll


def forget() -> None:
    """Forget what this process knows of prices' ages."""
    with _lock:
        _priced_at.clear()


def _times(shard: int, mints: list[str], trusted: Mapping[str, PricePoint]) -> dict[str, datetime | None]:
    """Return when each token's newest trusted price was true; what was priced before this process is looked up once."""
    with _lock:
        known = _priced_at.get(shard, {})
    unknown = [mint for mint in mints if mint not in trusted and mint not in known]
    recorded, looked_up = _recorded(unknown)
    times: dict[str, datetime | None] = {}
    for mint in mints:
        point = trusted.get(mint) or recorded.get(mint)
        times[mint] = known.get(mint) if point is None else point.at
    with _lock:
        _priced_at[shard] = times if looked_up else {mint: at for mint, at in times.items() if at is not None}
    return times


def _recorded(mints: list[str]) -> tuple[dict[str, PricePoint], bool]:
    """Return the last recorded price of each mint that has one, and whether the database could be asked."""
    try:
        return (selectors.latest_prices(mints) if mints else {}), True
    except DatabaseError as error:
        log.warning("price_ages_unknown", error=type(error).__name__)
        return {}, False


def _measure(poll: Poll) -> None:
    shard, now = str(poll.shard), poll.polled_at
    for statistic, at in (("oldest", poll.oldest_at), ("median", poll.median_at)):
        metrics.AGE.labels(shard, statistic).set(0 if at is None else max(0.0, (now - at).total_seconds()))
    for outcome, count in (("trusted", poll.trusted), ("doubted", poll.doubted), ("missing", poll.missing)):
        metrics.TOKENS.labels(shard, outcome).set(count)
    metrics.INTERVAL.labels(shard).set(poll.interval_seconds)
    metrics.POLLED_AT.labels(shard).set(now.timestamp())
