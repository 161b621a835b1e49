"""Looking for dead tokens: held, without a price for a minute, with no buyer. The evidence is a row per mint.

Runs beside the watch, in worker-default, and burdens it with nothing: a pass asks only about tokens without a tick,
each at most every 30 s. What follows from evidence is `write_off`'s; when it counts is `domain.dead_tokens`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import structlog
from django.conf import settings
from django.db import transaction as database

from apps.core import bulk
from apps.core.errors import SoldeskError
from apps.core.http import Lane
from apps.core.money import SOL_MINT, to_base_units
from apps.prices import services as prices
from apps.prices.services import FetchResult
from apps.trading.adapters import jupiter
from apps.trading.domain import dead_tokens as rules
from apps.trading.domain.fills import Quote
from apps.trading.errors import TokenNotTradable
from apps.trading.models import DeadTokenEnd
from apps.trading.services import alerts
from apps.trading.services.alerts import Alert

log = structlog.get_logger(__name__)

#: A token without a stored tick for this long is looked at.
SILENT = timedelta(seconds=60)
#: Tokens one pass asks about; the others are the next pass's. Together they cost each price source one call.
AT_ONCE = 30
PRICE_SECONDS = 5.0
QUOTE_SECONDS = 4.0

DEAD = "TOKEN_DEAD"
LIVES = "TOKEN_LIVES"
_MESSAGES = {
    DEAD: "No source has a price of this token and nobody buys it: it seems to be dead.",
    LIVES: "This token lives again: it has a price or a buyer.",
}
_NO_SOL_PRICE = "SOL_PRICE_MISSING"
_TOO_SLOW = "PRICES_TOO_SLOW"
_CONTROL_FAILED = "CONTROL_QUOTE_FAILED"
#: A poll that is done within this part of its time has asked both sources.
_ASKED_BOTH_SHARE = 0.9
#: A pair that always has a market: while not even it is quoted, a refusal says nothing of a token.
_CONTROL = (SOL_MINT, "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 10_000_000)


class Finding(StrEnum):
    """What one check of one token found."""

    PRICE = "price"
    QUOTE = "quote"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A token to be checked, with the largest holding of it; `asked_at` is this check's time and claim."""

    mint: str
    symbol: str
    decimals: int
    amount: Decimal
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What a check of a suspect found; `code` says more: the aggregator's reason, or what failed."""

    suspect: Suspect
    finding: Finding
    code: str = ""


def check() -> list[Found]:
    """Check the tokens that are due, at most `AT_ONCE`, and return what was found; also end evidence that ticks refute.

    Not to be called inside a transaction: it waits for the outside. May run in several processes at once.
    """
    _end_what_is_over()
    suspects = _claim()
    if not suspects:
        return []
    found = _ask(suspects)
    _store(found)
    return found


# What ticks have answered since, and what nobody holds any more, needs no question.
_OVER = """
SELECT d.mint, held.mint IS NOT NULL
FROM dead_token d
LEFT JOIN LATERAL (SELECT p.mint FROM position p WHERE p.mint = d.mint AND p.closed_at IS NULL LIMIT 1) held ON true
LEFT JOIN LATERAL (SELECT t.received_at FROM tick t WHERE t.mint = d.mint ORDER BY t.id DESC LIMIT 1) newest ON true
WHERE d.cleared_at IS NULL
  AND (held.mint IS NULL OR newest.received_at > COALESCE(d.last_seen_at, d.asked_at))
ORDER BY d.mint FOR NO KEY UPDATE OF d
"""


def _end_what_is_over() -> None:
    with database.atomic():
        rows = bulk.fetch_all(_OVER)
        lives = _end({mint: DeadTokenEnd.PRICE if held else DeadTokenEnd.NOT_HELD for mint, held in rows})
        alerts.tell_holders(lives)


# Held tokens by a walk along the index of open positions: as many steps as tokens, however many positions.
_CLAIM = """
WITH RECURSIVE held AS (
    (SELECT mint FROM position WHERE closed_at IS NULL ORDER BY mint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.mint FROM position p WHERE p.closed_at IS NULL AND p.mint > held.mint ORDER BY p.mint LIMIT 1)
    FROM held WHERE held.mint IS NOT NULL
), suspect AS (
    SELECT held.mint, largest.symbol, largest.decimals, largest.remaining_amount
    FROM held
    CROSS JOIN LATERAL (
        SELECT p.symbol, p.decimals, p.remaining_amount FROM position p
        WHERE p.mint = held.mint AND p.closed_at IS NULL AND p.remaining_amount > 0
          AND p.opened_at < statement_timestamp() - %(silent)s
        ORDER BY p.remaining_amount DESC LIMIT 1) largest
    LEFT JOIN LATERAL (
        SELECT t.received_at FROM tick t WHERE t.mint = held.mint ORDER BY t.id DESC LIMIT 1) newest ON true
    LEFT JOIN dead_token d ON d.mint = held.mint
    WHERE (newest.received_at IS NULL OR newest.received_at < statement_timestamp() - %(silent)s)
      AND (d.asked_at IS NULL OR d.asked_at <= statement_timestamp() - %(apart)s)
    ORDER BY d.asked_at NULLS FIRST, held.mint LIMIT %(limit)s
), claimed AS (
    INSERT INTO dead_token AS kept (mint, symbol, asked_at, checks, last_code, cleared_code)
    SELECT mint, symbol, statement_timestamp(), 0, '', '' FROM suspect ORDER BY mint
    ON CONFLICT (mint) DO UPDATE
    SET asked_at = EXCLUDED.asked_at, symbol = EXCLUDED.symbol, cleared_at = NULL, cleared_code = '',
        checks = CASE WHEN kept.cleared_at IS NULL THEN kept.checks ELSE 0 END,
        last_code = CASE WHEN kept.cleared_at IS NULL THEN kept.last_code ELSE '' END,
        first_seen_at = CASE WHEN kept.cleared_at IS NULL THEN kept.first_seen_at END,
        last_seen_at = CASE WHEN kept.cleared_at IS NULL THEN kept.last_seen_at END,
        alerted_at = CASE WHEN kept.cleared_at IS NULL THEN kept.alerted_at END,
        write_off_requested_at = CASE WHEN kept.cleared_at IS NULL THEN kept.write_off_requested_at END,
        write_off_requested_by_id = CASE WHEN kept.cleared_at IS NULL THEN kept.write_off_requested_by_id END
    WHERE kept.asked_at <= EXCLUDED.asked_at - %(apart)s
    RETURNING mint, asked_at
)
SELECT suspect.*, claimed.asked_at FROM suspect JOIN claimed USING (mint) ORDER BY mint
"""


def _claim() -> list[Suspect]:
    """Take the tokens that are due for a check; whoever else looks finds them asked about just now."""
    rows = bulk.fetch_all(_CLAIM, {"silent": SILENT, "apart": rules.CHECK_EVERY, "limit": AT_ONCE})
    return [Suspect(*row) for row in rows]


def _ask(suspects: Sequence[Suspect]) -> list[Found]:
    """Ask the price sources about all, and for a sale of those no source has a price of."""
    result = prices.fetch_prices(
        [suspect.mint for suspect in suspects], deadline_seconds=PRICE_SECONDS, last_good_sol={}, lane=Lane.REST
    )
    missing = result.missing
    found = [Found(suspect, Finding.PRICE) for suspect in suspects if suspect.mint not in missing]
    unpriced = [suspect for suspect in suspects if suspect.mint in missing]
    failure = _failure(result)
    if failure is not None:
        return found + [Found(suspect, Finding.UNKNOWN, failure) for suspect in unpriced]
    return found + _ask_to_sell(unpriced)


def _failure(result: FetchResult) -> str | None:
    """Return why a poll that left tokens without a price proves nothing, or None when every source has answered.

    A failed call leaves them without one too, and so does an answer of Jupiter's without SOL's own price. A primary
    that took all the time leaves none for the second source.
    """
    if result.errors:
        return result.errors[0].code
    if result.sol_usd is None:
        return _NO_SOL_PRICE
    return _TOO_SLOW if result.took_seconds > PRICE_SECONDS * _ASKED_BOTH_SHARE else None


def _ask_to_sell(suspects: Sequence[Suspect]) -> list[Found]:
    """Ask for a sale of each suspect's holding, and for one that must be quoted, or no refusal counts."""
    if not suspects:
        return []
    wanted = [(one.mint, SOL_MINT, to_base_units(one.amount, one.decimals)) for one in suspects]
    control, *answers = jupiter.quote_many([_CONTROL, *wanted], lane="check", deadline_seconds=QUOTE_SECONDS)
    trusted = isinstance(control, Quote)
    return [_judge(suspect, answer, trusted) for suspect, answer in zip(suspects, answers, strict=True)]


def _judge(suspect: Suspect, answer: Quote | SoldeskError, refusals_count: bool) -> Found:
    if isinstance(answer, Quote):
        return Found(suspect, Finding.QUOTE)
    if not isinstance(answer, TokenNotTradable):
        return Found(suspect, Finding.UNKNOWN, answer.code)
    if not rules.speaks_of_the_token(answer.reason):
        return Found(suspect, Finding.UNKNOWN, answer.reason)
    if not refusals_count:
        return Found(suspect, Finding.UNKNOWN, _CONTROL_FAILED)
    return Found(suspect, Finding.DEAD, answer.reason)


_LOCK = "SELECT mint FROM dead_token WHERE mint = ANY(%s) ORDER BY mint FOR NO KEY UPDATE"
_NOTE_UNKNOWN = """
UPDATE dead_token d SET last_code = v.code
FROM unnest(%s::text[], %s::timestamptz[], %s::text[]) AS v (mint, asked_at, code)
WHERE d.mint = v.mint AND d.asked_at = v.asked_at AND d.cleared_at IS NULL
"""
# A check counts at the time it was asked; after a gap nobody can speak for, the evidence starts over.
_NOTE_DEAD = """
UPDATE dead_token d
SET checks = CASE WHEN d.last_seen_at >= v.asked_at - %(gap)s THEN d.checks + 1 ELSE 1 END,
    first_seen_at = CASE WHEN d.last_seen_at >= v.asked_at - %(gap)s THEN d.first_seen_at ELSE v.asked_at END,
    last_seen_at = v.asked_at, last_code = v.code
FROM unnest(%(mints)s::text[], %(times)s::timestamptz[], %(codes)s::text[]) AS v (mint, asked_at, code)
WHERE d.mint = v.mint AND d.asked_at = v.asked_at AND d.cleared_at IS NULL
  AND (d.last_seen_at IS NULL OR d.last_seen_at < v.asked_at)
RETURNING d.mint, d.symbol, d.checks, d.alerted_at IS NULL
"""


_END = """
UPDATE dead_token d SET cleared_at = clock_timestamp(), cleared_code = v.code
FROM unnest(%s::text[], %s::text[]) AS v (mint, code)
WHERE d.mint = v.mint AND d.cleared_at IS NULL
RETURNING d.mint, d.symbol, d.alerted_at IS NOT NULL AND v.code <> 'not_held'
"""
_ENDS = {Finding.PRICE: DeadTokenEnd.PRICE, Finding.QUOTE: DeadTokenEnd.QUOTE}


def _store(found: Sequence[Found]) -> None:
    """Write what a pass found, in one transaction, and tell the holders what has become certain."""
    unknown = [one for one in found if one.finding is Finding.UNKNOWN]
    dead = [one for one in found if one.finding is Finding.DEAD]
    with database.atomic():
        bulk.fetch_all(_LOCK, [[one.suspect.mint for one in found]])
        bulk.execute(_NOTE_UNKNOWN, _columns(unknown))
        certain = _note_dead(dead)
        lives = _end({one.suspect.mint: _ENDS[one.finding] for one in found if one.finding in _ENDS})
        alerts.tell_holders(certain, lives)
    for one in dead:
        log.info("dead_token_seen", mint=one.suspect.mint, code=one.code)


def _note_dead(dead: Sequence[Found]) -> Alert:
    """Count checks that found tokens dead; return the alert about those that now have enough of them."""
    mints, times, codes = _columns(dead)
    rows = bulk.fetch_all(_NOTE_DEAD, {"gap": rules.LONGEST_GAP, "mints": mints, "times": times, "codes": codes})
    certain = {
        mint: symbol for mint, symbol, checks, untold in rows if untold and checks >= settings.WRITE_OFF_MINIMUM_CHECKS
    }
    bulk.execute("UPDATE dead_token SET alerted_at = clock_timestamp() WHERE mint = ANY(%s)", [list(certain)])
    return Alert(DEAD, _MESSAGES[DEAD], certain)


def _end(ended: Mapping[str, DeadTokenEnd]) -> Alert:
    """End suspicions and evidence; return the alert about tokens that were told to be dead and live."""
    rows = bulk.fetch_all(_END, [list(ended), [str(code) for code in ended.values()]])
    for mint, *_ in rows:
        log.info("dead_token_ended", mint=mint, code=str(ended[mint]))
    return Alert(LIVES, _MESSAGES[LIVES], {mint: symbol for mint, symbol, told in rows if told})


def _columns(found: Sequence[Found]) -> tuple[list[str], list[datetime], list[str]]:
    return (
        [one.suspect.mint for one in found],
        [one.suspect.asked_at for one in found],
        [one.code[:60] for one in found],
    )
