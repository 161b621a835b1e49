"""The numbers of the home page and of an agent's summary, each by one query whatever the number of agents.

Amounts are SOL unless named otherwise. Positions are valued at their marks (`trading.selectors.marks`); those that no
price was told of since their last fill are counted beside. What exits do is `exit_figures`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from apps.core import bulk
from apps.core.money import SOL_MINT, ZERO, divide
from apps.trading.models import State
from apps.trading.selectors import marks
from apps.trading.selectors.marks import HeldWorth

STALE_PRICE = timedelta(seconds=10)
DAYS = 7
HOURS = 48

_NEWEST_TICK = "SELECT extract(epoch FROM now() - received_at)::float FROM tick ORDER BY id DESC LIMIT 1"
_WAITING = """
WITH feed AS (SELECT count(*) AS n, min(created_at) AS since FROM outbox WHERE published_at IS NULL),
signals AS (SELECT count(*) AS n, min(created_at) AS since FROM trading_signal WHERE status <> 'done'),
exits AS (SELECT count(*) AS n, min(created_at) AS since FROM exit_intent WHERE status IN ('due', 'leased'))
SELECT feed.n, extract(epoch FROM now() - feed.since)::float,
       signals.n, extract(epoch FROM now() - signals.since)::float,
       exits.n, extract(epoch FROM now() - exits.since)::float
FROM feed, signals, exits
"""
_SWITCHED = """
SELECT s.agent_id, coalesce(a.name, 'The whole desk'), s.state, s.exits_enabled, s.reason, s.updated_at
FROM trading_state s LEFT JOIN agent a ON a.id = s.agent_id
WHERE s.state <> 'active' AND (a.id IS NULL OR a.archived_at IS NULL)
ORDER BY s.agent_id NULLS FIRST LIMIT 20
"""
_DAYS = """
SELECT day, coalesce(sum(c.profit_sol), 0)
FROM generate_series(%(first)s::timestamptz, %(today)s::timestamptz, interval '1 day') AS day
LEFT JOIN (
    SELECT t.sale_time, t.profit_sol FROM closed_trade t JOIN wallet w ON w.id = t.wallet_id
    WHERE w.wallet_type = %(mode)s AND t.sale_time >= %(first)s AND t.deleted_at IS NULL
) c ON c.sale_time >= day AND c.sale_time < day + interval '1 day'
GROUP BY day ORDER BY day
"""
_PORTFOLIO = """
SELECT s.hour, sum(s.portfolio_sol) FROM balance_snapshot s JOIN wallet w ON w.id = s.wallet_id
WHERE w.wallet_type = %(mode)s AND s.epoch = w.epoch AND s.hour > %(since)s GROUP BY 1 ORDER BY 1
"""
_CASH = """
SELECT w.wallet_type, coalesce(sum(b.amount + b.held), 0) FROM wallet w
LEFT JOIN balance b ON b.wallet_id = w.id AND b.mint = %(sol)s
WHERE w.released_at IS NULL AND (%(agent)s::uuid IS NULL OR w.agent_id = %(agent)s) GROUP BY 1
"""
_CLOSED = """
SELECT w.wallet_type,
       coalesce(sum(c.profit_sol) FILTER (WHERE c.sale_time >= %(today)s), 0),
       count(*) FILTER (WHERE c.sale_time >= %(today)s),
       coalesce(sum(c.profit_sol), 0), count(*), count(*) FILTER (WHERE c.profit_sol > 0)
FROM closed_trade c JOIN wallet w ON w.id = c.wallet_id
WHERE c.sale_time >= %(since)s AND (%(agent)s::uuid IS NULL OR c.agent_id = %(agent)s) AND c.deleted_at IS NULL
GROUP BY 1
"""


@dataclass(slots=True)
class Money:
    """What one mode (simulation or live) is worth and made; `days` are the last seven."""

    mode: str
    cash_sol: Decimal = ZERO
    positions_value_sol: Decimal = ZERO
    open_positions: int = 0
    unpriced_positions: int = 0
    unrealized_sol: Decimal = ZERO
    realized_today_sol: Decimal = ZERO
    trades_today: int = 0
    realized_days_sol: Decimal = ZERO
    trades_days: int = 0
    wins_days: int = 0

    @property
    def portfolio_sol(self) -> Decimal:
        return self.cash_sol + self.positions_value_sol

    @property
    def win_rate_percent(self) -> Decimal | None:
        return divide(Decimal(100 * self.wins_days), Decimal(self.trades_days)) if self.trades_days else None


@dataclass(frozen=True, slots=True)
class Health:
    """How late things are, in seconds; None where there is nothing to be late."""

    newest_tick_seconds: float | None
    held_tokens: int
    stale_tokens: int
    outbox_waiting: int
    outbox_seconds: float | None
    due_signals: int
    oldest_signal_seconds: float | None
    open_intents: int
    oldest_intent_seconds: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Executions of the last day that failed with one code."""

    code: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Switched:
    """A trading state that is not ACTIVE; `agent_id` None is the desk."""

    agent_id: UUID | None
    agent: str
    state: str
    exits_enabled: bool
    reason: str
    updated_at: datetime

    @property
    def exits_off(self) -> bool:
        """Nothing is sold, not even by a stop."""
        return self.state == State.HALTED and not self.exits_enabled


def money(
    agent_id: UUID | None = None, *, held: Sequence[HeldWorth] | None = None, now: datetime | None = None
) -> list[Money]:
    """Return the figures by mode, simulation first; of one agent, or of the desk. `held` when it was read already."""
    moment = now or timezone.now()
    today = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    values = {"agent": agent_id, "sol": SOL_MINT, "today": today, "since": today - timedelta(days=DAYS - 1)}
    modes: dict[str, Money] = {}
    for mode, cash in bulk.fetch_all(_CASH, values):
        modes[mode] = Money(mode, cash_sol=cash)
    for worth in marks.worth_by_token(agent_id=agent_id) if held is None else held:
        row = modes.setdefault(worth.mode, Money(worth.mode))
        row.open_positions += worth.positions
        row.unpriced_positions += worth.unpriced
        row.positions_value_sol += worth.value_sol
        row.unrealized_sol += worth.value_sol - worth.cost_sol
    for mode, today_sol, today_count, days_sol, days_count, wins in bulk.fetch_all(_CLOSED, values):
        row = modes.setdefault(mode, Money(mode))
        row.realized_today_sol, row.trades_today = today_sol, today_count
        row.realized_days_sol, row.trades_days, row.wins_days = days_sol, days_count, wins
    return sorted(modes.values(), key=lambda row: row.mode, reverse=True) or [Money("simulation")]


def health(held: Sequence[HeldWorth], *, now: datetime | None = None) -> Health:
    """Return how late prices, feed, signals and exits are; `held` are the desk's holdings."""
    fresh_from = (now or timezone.now()) - STALE_PRICE
    stale = {
        row.mint
        for row in held
        if row.held_since < fresh_from and (row.newest is None or row.newest.received_at < fresh_from)
    }
    ticks = bulk.fetch_all(_NEWEST_TICK)
    feed, feed_age, signals, signal_age, exits, exit_age = bulk.fetch_all(_WAITING)[0]
    return Health(
        newest_tick_seconds=ticks[0][0] if ticks else None,
        held_tokens=len({row.mint for row in held}),
        stale_tokens=len(stale),
        outbox_waiting=feed,
        outbox_seconds=feed_age,
        due_signals=signals,
        oldest_signal_seconds=signal_age,
        open_intents=exits,
        oldest_intent_seconds=exit_age,
    )


def failures(*, limit: int = 6) -> list[Failure]:
    """Return the codes executions of agents in use failed with in the last 24 hours, most frequent first."""
    rows = bulk.fetch_all(
        "SELECT e.code, count(*), max(e.created_at) FROM signal_execution e JOIN agent a ON a.id = e.agent_id"
        " WHERE e.verdict = 'failed' AND e.created_at > now() - interval '24 hours' AND a.archived_at IS NULL"
        " GROUP BY e.code ORDER BY 2 DESC, 1 LIMIT %s",
        [limit],
    )
    return [Failure(*row) for row in rows]


def switched() -> list[Switched]:
    """Return every trading state that is not ACTIVE, the desk's first."""
    return [Switched(*row) for row in bulk.fetch_all(_SWITCHED)]


def profit_by_day(mode: str, *, now: datetime | None = None) -> list[tuple[datetime, Decimal]]:
    """Return the realised profit of each of the last seven UTC days, oldest first."""
    today = (now or timezone.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = bulk.fetch_all(_DAYS, {"first": today - timedelta(days=DAYS - 1), "today": today, "mode": mode})
    return [(day, profit) for day, profit in rows]


def portfolio_by_hour(mode: str, *, now: datetime | None = None) -> list[tuple[datetime, Decimal]]:
    """Return what all wallets of a mode were worth at each of the last 48 hours that has snapshots."""
    rows = bulk.fetch_all(_PORTFOLIO, {"mode": mode, "since": (now or timezone.now()) - timedelta(hours=HOURS)})
    return [(hour, value) for hour, value in rows]
