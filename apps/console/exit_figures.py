"""What an operator must know of exits: what is due and in work, what is stuck and why, what holds sales back.

Read by the desk's panel (of a user or of everybody) and by the admin's home. Constant numbers of queries; words for
codes are `trading.domain.story_codes`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from apps.core import bulk
from apps.trading.domain import story_codes, story_words
from apps.trading.selectors.marks import HeldWorth

#: An exit is stuck when it failed this often, or has been open for this long.
STUCK_ATTEMPTS = 3
STUCK_SECONDS = 30
#: Without a price for this long no rule can fire for a position.
UNWATCHABLE = timedelta(seconds=60)

# Sales are held back where the desk or the agent is halted with exits off.
_HELD_BACK = """
EXISTS (SELECT 1 FROM trading_state t WHERE (t.agent_id IS NULL OR t.agent_id = p.agent_id)
        AND t.state = 'halted' AND NOT t.exits_enabled)
"""
_OPEN = """
FROM exit_intent i JOIN position p ON p.id = i.position_id JOIN agent a ON a.id = p.agent_id
WHERE i.status IN ('due', 'leased') AND (%(user)s::uuid IS NULL OR a.user_id = %(user)s)
"""
_STUCK_IF = "(i.attempts >= %(attempts)s OR i.created_at < now() - make_interval(secs => %(seconds)s))"
_WORK = f"""
SELECT count(*) FILTER (WHERE i.status = 'due'), count(*) FILTER (WHERE i.status = 'leased'), min(i.created_at),
       count(*) FILTER (WHERE {_STUCK_IF}), count(*) FILTER (WHERE {_HELD_BACK})
{_OPEN}
"""
# One token's exits mostly fail together, for one reason: an operator wants the reason, not every agent.
_STUCK = f"""
SELECT p.mint, max(p.symbol), i.reason, i.last_error, {_HELD_BACK}, count(*), max(i.attempts), min(i.created_at),
       min(i.id), min(p.id::text)::uuid, min(a.name)
{_OPEN} AND {_STUCK_IF} GROUP BY p.mint, i.reason, i.last_error, 5 ORDER BY min(i.created_at), p.mint LIMIT %(limit)s
"""
_CLOSED_TODAY = """
SELECT coalesce(c.close_reason, ''), count(*), count(*) FILTER (WHERE c.profit_sol > 0), sum(c.profit_sol)
FROM closed_trade c JOIN agent a ON a.id = c.agent_id LEFT JOIN wallet w ON w.id = c.wallet_id
WHERE c.sale_time >= %(today)s AND (%(user)s::uuid IS NULL OR a.user_id = %(user)s)
  AND (%(mode)s::text IS NULL OR w.wallet_type = %(mode)s) AND c.deleted_at IS NULL
GROUP BY 1 ORDER BY 2 DESC, 1
"""
_DEAD = """
SELECT d.mint, d.symbol, d.checks, d.first_seen_at, count(p.id)
FROM dead_token d JOIN position p ON p.mint = d.mint AND p.closed_at IS NULL
WHERE d.cleared_at IS NULL AND d.checks > 0
GROUP BY d.mint ORDER BY d.first_seen_at, d.mint LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Work:
    """Open exits: waiting, in somebody's hands, since when the oldest, how many are stuck or held back by a halt."""

    due: int
    in_work: int
    oldest_at: datetime | None
    stuck: int
    held_back: int


@dataclass(frozen=True, slots=True)
class StuckExits:
    """Exits of one token, fired by one rule, that one thing keeps from being done; `held_back`: selling is off.

    `attempts` is the most any had, `since` when the oldest fired; intent, position and agent are one's.
    """

    mint: str
    symbol: str
    reason: str
    last_error: str
    held_back: bool
    count: int
    attempts: int
    since: datetime
    intent_id: int
    position_id: UUID
    agent: str

    @property
    def rule(self) -> str:
        """What fired, e.g. "Stop loss"."""
        return story_words.rule_name(self.reason)

    @property
    def why(self) -> str:
        """Why it is not done, as a clause."""
        if self.held_back:
            return story_codes.failure("EXITS_HALTED")
        return story_codes.failure(self.last_error) if self.last_error else "no worker has taken it up"

    @property
    def age_seconds(self) -> float:
        return (timezone.now() - self.since).total_seconds()


@dataclass(frozen=True, slots=True)
class ReasonTotal:
    """Trades closed for one reason ("" for none): how many, how many gained, what they earned in SOL."""

    reason: str
    count: int
    wins: int
    profit_sol: Decimal


@dataclass(frozen=True, slots=True)
class DarkToken:
    """A held token nobody has told a price of for a minute; `price_at` None: not once."""

    mint: str
    symbol: str
    positions: int
    price_at: datetime | None

    @property
    def age_seconds(self) -> float | None:
        return None if self.price_at is None else (timezone.now() - self.price_at).total_seconds()


@dataclass(frozen=True, slots=True)
class DeadHolding:
    """A held token that seems dead: checks that found neither price nor buyer, since when, in how many positions."""

    mint: str
    symbol: str
    checks: int
    since: datetime | None
    positions: int


def work(user_id: UUID | None = None) -> Work:
    """Return what exits of a user's agents, or of everybody's, are open."""
    return Work(*bulk.fetch_all(_WORK, {"user": user_id, "attempts": STUCK_ATTEMPTS, "seconds": STUCK_SECONDS})[0])


def stuck(user_id: UUID | None = None, *, limit: int = 6) -> list[StuckExits]:
    """Return open exits that failed three times or have waited for half a minute, by what keeps them, oldest first."""
    rows = bulk.fetch_all(
        _STUCK, {"user": user_id, "attempts": STUCK_ATTEMPTS, "seconds": STUCK_SECONDS, "limit": limit}
    )
    return [StuckExits(*row) for row in rows]


def closed_today(
    user_id: UUID | None = None, *, mode: str | None = None, now: datetime | None = None
) -> list[ReasonTotal]:
    """Return the trades closed since 00:00 UTC by reason, the most frequent first; of one mode or of both."""
    today = (now or timezone.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = bulk.fetch_all(_CLOSED_TODAY, {"user": user_id, "mode": mode, "today": today})
    return [ReasonTotal(*row) for row in rows]


def unwatchable(held: Iterable[HeldWorth], *, now: datetime | None = None) -> list[DarkToken]:
    """Return the tokens among `held` that have had no trusted price for a minute: no rule can fire for them."""
    before = (now or timezone.now()) - UNWATCHABLE
    dark: dict[str, DarkToken] = {}
    for row in held:
        told_at = None if row.newest is None else row.newest.received_at
        if row.held_since >= before or (told_at is not None and told_at >= before):
            continue
        others = dark[row.mint].positions if row.mint in dark else 0
        dark[row.mint] = DarkToken(row.mint, row.symbol, row.positions + others, told_at)
    return sorted(dark.values(), key=lambda token: (token.price_at is not None, token.price_at or before, token.mint))


def dead_tokens(*, limit: int = 6) -> list[DeadHolding]:
    """Return held tokens that seem dead, longest first: an operator may write them off."""
    return [DeadHolding(*row) for row in bulk.fetch_all(_DEAD, {"limit": limit})]
