"""Reads of prices: the newest per token and SOL in dollars, from Redis, memory and, last, the stored ticks.

Unknown is unknown: a token without a price is left out, SOL/USD that no source has told is None, never a default.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings

from apps.core import bulk
from apps.core.money import SOL_MINT
from apps.prices.adapters import newest
from apps.prices.domain.points import PricePoint, SolUsd

#: Older than this SOL/USD is shown as stale and decides nothing.
SOL_USD_STALE = timedelta(seconds=30)
#: What this process knows itself is believed for this long when Redis cannot be asked.
_BELIEVED_WITHOUT_REDIS = timedelta(seconds=5)
_ALWAYS = datetime.min.replace(tzinfo=UTC)

_LATEST_TICKS = """
SELECT asked.mint, tick.price_sol, tick.price_usd, tick.source, tick.provider_at, tick.received_at
FROM unnest(%s::text[]) AS asked(mint)
CROSS JOIN LATERAL (SELECT * FROM tick WHERE tick.mint = asked.mint ORDER BY tick.id DESC LIMIT 1) AS tick
"""


def latest_prices(mints: Iterable[str]) -> dict[str, PricePoint]:
    """Return the newest recorded price of each mint that ever had one; look at its age before using it.

    Redis and memory first; what they do not know, and while Redis is away what is not brand new, from the ticks.
    """
    wanted = list(dict.fromkeys(mints))
    found, redis_answered = newest.recall(wanted)
    believed_from = _ALWAYS if redis_answered else datetime.now(UTC) - _BELIEVED_WITHOUT_REDIS
    unsure = [mint for mint in wanted if mint not in found or found[mint].received_at < believed_from]
    for point in stored_prices(unsure):
        if point.mint not in found or point.received_at > found[point.mint].received_at:
            found[point.mint] = point
    return found


def stored_prices(mints: Sequence[str]) -> list[PricePoint]:
    """Return the last stored tick of each mint that has one."""
    if not mints:
        return []
    return [PricePoint(*row) for row in bulk.fetch_all(_LATEST_TICKS, [list(mints)])]


def price_at(mint: str, at: datetime, *, within: timedelta = timedelta(seconds=60)) -> Decimal | None:
    """Return SOL per token as last recorded at `at`, or None with nothing recorded in the time `within` before."""
    rows = bulk.fetch_all(
        "SELECT price_sol FROM tick WHERE mint = %s AND received_at <= %s AND received_at >= %s"
        " ORDER BY id DESC LIMIT 1",
        [mint, at, at - within],
    )
    return rows[0][0] if rows else None


def sol_usd(*, now: datetime | None = None) -> SolUsd | None:
    """Return SOL in US dollars with its time and source, or None while no source has told it.

    `is_stale` is true when the price is older than 30 s.
    """
    found, redis_answered = newest.recall_sol_usd()
    moment = now or datetime.now(UTC)
    if found is None or (not redis_answered and moment - found.at > _BELIEVED_WITHOUT_REDIS):
        stored = _stored_sol_usd()
        if stored is not None and (found is None or stored.at > found.at):
            found = stored
    return None if found is None else replace(found, is_stale=moment - found.at > SOL_USD_STALE)


def usable_sol_usd() -> Decimal | None:
    """Return SOL in US dollars for the books: None while nobody has told it lately, never a default."""
    known = sol_usd()
    return None if known is None or known.is_stale else known.value


def jupiter_is_configured() -> bool:
    """Tell whether Jupiter answers without the limits of strangers: with a key of ours, or from the sandbox."""
    provider = settings.PROVIDERS["jupiter"]
    return bool(provider.get("api_key")) or provider.get("plan") == "sandbox"


def _stored_sol_usd() -> SolUsd | None:
    rows = bulk.fetch_all(
        "SELECT price_usd, COALESCE(provider_at, received_at), source FROM tick"
        " WHERE mint = %s AND price_usd IS NOT NULL ORDER BY id DESC LIMIT 1",
        [SOL_MINT],
    )
    return SolUsd(*rows[0]) if rows else None
