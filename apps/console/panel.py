"""What the desk shows beside its positions: header figures, exits, the last signals with their verdicts, closed trades.

Rebuilt at most once a second for all who watch the same scope. Figures leave here as JSON numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.console import exit_figures
from apps.core import bulk
from apps.core.http.usage import calls_left
from apps.core.money import ZERO
from apps.prices import selectors as prices
from apps.trading.presentation import number, timestamp
from apps.trading.selectors import marks
from apps.trading.selectors.marks import HeldWorth

SIGNALS = 30
TRADES = 30
EXECUTIONS = 500
STUCK_KINDS = 5

_TODAY = """
SELECT count(*), count(*) FILTER (WHERE c.profit_sol > 0), coalesce(sum(c.profit_sol), 0), sum(c.profit_usd),
       count(*) FILTER (WHERE c.profit_usd IS NULL)
FROM closed_trade c JOIN agent a ON a.id = c.agent_id
WHERE c.sale_time >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AND c.deleted_at IS NULL
  AND (%(user)s::uuid IS NULL OR a.user_id = %(user)s)
"""
_STATE = """
WITH switched AS (
    SELECT s.state, s.exits_enabled FROM trading_state s JOIN agent a ON a.id = s.agent_id
    WHERE s.state <> 'active' AND a.archived_at IS NULL AND (%(user)s::uuid IS NULL OR a.user_id = %(user)s)
)
SELECT state, exits_enabled, reason, updated_at, (SELECT count(*) FROM switched),
       (SELECT count(*) FROM switched WHERE state = 'halted' AND NOT exits_enabled)
FROM (SELECT 1) one LEFT JOIN trading_state ON agent_id IS NULL
"""
_SIGNALS = """
SELECT s.id, s.created_at, s.token_address, s.symbol, s.signal_type, s.signal_strength, s.activation_reason, s.source,
       s.status, s.finished_at, v.executed, v.skipped, v.failed, v.pending
FROM (SELECT * FROM trading_signal s WHERE s.deleted_at IS NULL AND (%(user)s::uuid IS NULL OR s.user_id = %(user)s)
      ORDER BY s.id DESC LIMIT %(limit)s) s
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE verdict = 'executed') AS executed,
           count(*) FILTER (WHERE verdict = 'skipped') AS skipped,
           count(*) FILTER (WHERE verdict = 'failed') AS failed,
           count(*) FILTER (WHERE verdict = 'pending') AS pending
    FROM signal_execution e WHERE e.signal_id = s.id
) v ORDER BY s.id DESC
"""
_TRADES = """
SELECT c.id, c.agent_id, a.name, c.mint, c.symbol, c.amount, c.purchase_price, c.sale_price, c.change_percent,
       c.profit_sol, c.profit_usd, c.purchase_time, c.sale_time, c.close_reason, c.signal_id, c.position_id
FROM closed_trade c JOIN agent a ON a.id = c.agent_id
WHERE c.deleted_at IS NULL AND (%(user)s::uuid IS NULL OR a.user_id = %(user)s)
ORDER BY c.sale_time DESC, c.id DESC LIMIT %(limit)s
"""
_EXECUTIONS = """
SELECT e.agent_id, a.name, e.verdict, e.code, e.reasons, e.inputs::text, e.executed_at, e.position_id
FROM signal_execution e JOIN agent a ON a.id = e.agent_id JOIN trading_signal s ON s.id = e.signal_id
WHERE e.signal_id = %(signal)s ORDER BY e.verdict, a.name, e.agent_id LIMIT %(limit)s
"""


def build(user_id: UUID | None) -> dict[str, Any]:
    """Return the panel of a user's agents, or of everybody's (`None`): `summary`, `signals`, `closedTrades`."""
    return {"summary": summary(user_id), "signals": signals(user_id), "closedTrades": closed_trades(user_id)}


def summary(user_id: UUID | None) -> dict[str, Any]:
    """Return the header's figures; amounts in SOL. Positions valued at their last fill are `unpricedPositions`."""
    held = marks.worth_by_token(user_id=user_id)
    closed, wins, profit_sol, profit_usd, without_usd = bulk.fetch_all(_TODAY, {"user": user_id})[0]
    sol_usd = prices.sol_usd()
    value = sum((row.value_sol for row in held), ZERO)
    return {
        "openPositions": sum(row.positions for row in held),
        "unpricedPositions": sum(row.unpriced for row in held),
        "valueSol": number(value),
        "unrealizedSol": number(value - sum((row.cost_sol for row in held), ZERO)),
        "oldestPriceAt": timestamp(min((row.newest.at for row in held if row.newest is not None), default=None)),
        "closedToday": closed,
        "winsToday": wins,
        "realizedTodaySol": number(profit_sol),
        "realizedTodayUsd": _complete(profit_usd, without_usd, closed),
        "solUsd": None if sol_usd is None else number(sol_usd.value),
        "solUsdAt": None if sol_usd is None else timestamp(sol_usd.at),
        "solUsdSource": None if sol_usd is None else sol_usd.source,
        "polling": _polling(),
        "tradingState": _trading_state(user_id),
        "exits": exits(user_id, held),
    }


def _polling() -> dict[str, Any] | None:
    """Return how held tokens' prices are polled, the desk's and not the user's alone; None while it is not known."""
    polling = prices.polling()
    if polling is None:
        return None
    calls = calls_left(polling.source)
    return {
        "tokens": polling.tokens,
        "trusted": polling.trusted,
        "doubted": polling.doubted,
        "missing": polling.missing,
        "intervalSeconds": polling.interval_seconds,
        "tookSeconds": polling.took_seconds,
        "polledAt": timestamp(polling.polled_at),
        "oldestPriceAt": timestamp(polling.oldest_at),
        "source": polling.source,
        "plan": polling.plan,
        "callLimit": None if calls is None else calls.limit,
        "callsLeft": None if calls is None else calls.left,
    }


def _trading_state(user_id: UUID | None) -> dict[str, Any]:
    state, exits_enabled, reason, since, switched, exits_off = bulk.fetch_all(_STATE, {"user": user_id})[0]
    return {
        "state": state or "active",
        "exitsEnabled": True if exits_enabled is None else exits_enabled,
        "reason": reason or "",
        "since": timestamp(since),
        "agentsSwitched": switched,
        "agentsExitsOff": exits_off,
    }


def exits(user_id: UUID | None, held: Sequence[HeldWorth]) -> dict[str, Any]:
    """Return what exits are open, those that are stuck in words, tokens nobody can watch, today's closes by reason."""
    work = exit_figures.work(user_id)
    return {
        "due": work.due,
        "inWork": work.in_work,
        "oldestAt": timestamp(work.oldest_at),
        "heldBack": work.held_back,
        "stuckCount": work.stuck,
        "stuck": [_stuck(row) for row in exit_figures.stuck(user_id, limit=STUCK_KINDS)] if work.stuck else [],
        "unwatchable": [
            {"mint": row.mint, "symbol": row.symbol, "positions": row.positions, "priceAt": timestamp(row.price_at)}
            for row in exit_figures.unwatchable(held)
        ],
        "closedToday": [
            {"reason": row.reason, "count": row.count, "wins": row.wins, "profitSol": number(row.profit_sol)}
            for row in exit_figures.closed_today(user_id)
        ],
    }


def _stuck(row: exit_figures.StuckExits) -> dict[str, Any]:
    return {
        "mint": row.mint,
        "tokenSymbol": row.symbol,
        "count": row.count,
        "agentName": row.agent if row.count == 1 else None,
        "positionId": str(row.position_id) if row.count == 1 else None,
        "rule": row.rule,
        "why": row.why,
        "code": row.last_error,
        "attempts": row.attempts,
        "since": timestamp(row.since),
    }


def _complete(total: Decimal | None, missing: int, count: int) -> float | None:
    """A sum of dollars is unknown when a part of it is."""
    return None if missing else number(total if count else ZERO)


def signals(user_id: UUID | None) -> list[dict[str, Any]]:
    """Return the last 30 signals with how many agents executed, skipped, failed or still wait."""
    rows = bulk.fetch_all(_SIGNALS, {"user": user_id, "limit": SIGNALS})
    return [
        {
            "id": row[0],
            "createdAt": timestamp(row[1]),
            "tokenAddress": row[2],
            "symbol": row[3],
            "signalType": row[4],
            "signalStrength": row[5],
            "activationReason": row[6],
            "source": row[7],
            "status": row[8],
            "finishedAt": timestamp(row[9]),
            "executed": row[10],
            "skipped": row[11],
            "failed": row[12],
            "pending": row[13],
        }
        for row in rows
    ]


def closed_trades(user_id: UUID | None) -> list[dict[str, Any]]:
    """Return the last 30 closed trades; amounts in whole tokens, prices in SOL per token."""
    rows = bulk.fetch_all(_TRADES, {"user": user_id, "limit": TRADES})
    return [
        {
            "id": str(row[0]),
            "agentId": str(row[1]),
            "agentName": row[2],
            "tokenAddress": row[3],
            "tokenSymbol": row[4],
            "amount": number(row[5]),
            "purchasePrice": number(row[6]),
            "salePrice": number(row[7]),
            "changePercent": number(row[8]),
            "profitLossSol": number(row[9]),
            "profitLossUsd": number(row[10]),
            "purchaseTime": timestamp(row[11]),
            "saleTime": timestamp(row[12]),
            "closeReason": row[13],
            "signalId": row[14],
            "positionId": None if row[15] is None else str(row[15]),
        }
        for row in rows
    ]


def executions(signal_id: int) -> list[dict[str, Any]]:
    """Return the verdicts on a signal with every reason, 500 at most."""
    rows = bulk.fetch_all(_EXECUTIONS, {"signal": signal_id, "limit": EXECUTIONS})
    return [
        {
            "agentId": str(row[0]),
            "agentName": row[1],
            "verdict": row[2],
            "code": row[3],
            "reasons": row[4],
            "inputs": row[5],
            "executedAt": timestamp(row[6]),
            "positionId": None if row[7] is None else str(row[7]),
        }
        for row in rows
    ]
