"""Loss limits: set by operators and owners, read in every booking that buys, told to owners when one bars a buy.

Live and simulated money are apart: a buy counts against the limits of its agent's present mode. A booking reads once
for all its agents, after their locks, and counts what it spends itself; sales never come here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction as database
from django.db.models import Field, IntegerField, QuerySet
from django.db.models.expressions import RawSQL

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import Agent, TradingMode
from apps.core import bulk, outbox
from apps.core.errors import Invalid
from apps.core.fields import SolField
from apps.core.money import SOL_MINT, ZERO
from apps.trading.domain import loss_limits as rules
from apps.trading.domain.loss_limits import Bounds, Refusal, Use
from apps.trading.models import CloseReason, LossLimit
from apps.trading.services import gate

ALERT = "LOSS_LIMIT_REACHED"
#: An owner hears of the same limit again after this long, while it still bars buys.
TELL_AGAIN_SECONDS = 3_600
MAX_COOLDOWN_SECONDS = 7 * 86_400
#: Bookings under a limit of what the whole desk has at stake pass one by one: each must see what the others bought.
_EXPOSURE_LOCK = 0x50F7_6A7F
_DESK, _AGENT = "desk", "agent"

_REALISED = """
SELECT COALESCE(sum(r.profit_sol), 0) FROM realised_today r
WHERE r.trading_mode = {mode} AND r.day = (clock_timestamp() AT TIME ZONE 'UTC')::date AND {agent}
"""
_EXPOSURE = f"""
SELECT (SELECT COALESCE(sum(p.remaining_cost_sol), 0) FROM position p JOIN wallet w ON w.id = p.wallet_id
        WHERE p.closed_at IS NULL AND w.wallet_type = {{mode}} AND {{position_agent}})
     + (SELECT COALESCE(sum(b.held), 0) FROM balance b JOIN wallet w ON w.id = b.wallet_id
        WHERE b.mint = '{SOL_MINT}' AND b.held <> 0 AND w.wallet_type = {{mode}} AND {{wallet_agent}})
"""
_SINCE_STOP = f"""
SELECT floor(extract(epoch FROM clock_timestamp() - max(c.sale_time)))::int
FROM closed_trade c JOIN wallet w ON w.id = c.wallet_id
WHERE c.deleted_at IS NULL AND c.close_reason = '{CloseReason.STOP_LOSS.value}' AND w.wallet_type = {{mode}}
  AND {{trade_agent}} AND c.sale_time > clock_timestamp() - make_interval(secs => {{seconds}})
"""


def _of(sql: str, owner: str, mode: str, seconds: str = "") -> str:
    """Return a figure of one agent's, or with `owner` empty of the whole desk's."""
    names = {"agent": "r", "position_agent": "p", "wallet_agent": "w", "trade_agent": "c"}
    whose = {name: f"{table}.agent_id = {owner}" if owner else "TRUE" for name, table in names.items()}
    return sql.format(mode=mode, seconds=seconds, **whose)


def _figures(mode: str, owner: str, seconds: str) -> list[str]:
    """Return the three figures of what is used: of an agent where there is one, else of the desk."""
    return [
        f"CASE WHEN {owner} IS NULL THEN ({_of(sql, '', mode, seconds)}) ELSE ({_of(sql, owner, mode, seconds)}) END"
        for sql in (_REALISED, _EXPOSURE, _SINCE_STOP)
    ]


# Cheap on purpose: most bookings have no limits, and pay for this look alone.
_BOUNDS = """
SELECT l.id, l.agent_id, l.trading_mode, l.max_daily_loss_sol, l.max_exposure_sol, l.cooldown_seconds
FROM loss_limit l
WHERE l.agent_id = ANY(%(agents)s) OR (
    l.agent_id IS NULL AND EXISTS (
        SELECT 1 FROM agent a WHERE a.id = ANY(%(agents)s) AND a.trading_mode = l.trading_mode))
"""
# What many agents use, each figure gathered once for all of them.
_USE_OF_AGENTS = f"""
WITH stake AS (
    SELECT w.agent_id, w.wallet_type, sum(p.remaining_cost_sol) AS sol
    FROM position p JOIN wallet w ON w.id = p.wallet_id
    WHERE p.closed_at IS NULL AND p.agent_id = ANY(%(agents)s) GROUP BY 1, 2
), held AS (
    SELECT w.agent_id, w.wallet_type, sum(b.held) AS sol
    FROM wallet w JOIN balance b ON b.wallet_id = w.id
    WHERE w.agent_id = ANY(%(agents)s) AND b.mint = '{SOL_MINT}' AND b.held <> 0 GROUP BY 1, 2
), stop AS (
    SELECT w.agent_id, w.wallet_type, max(c.sale_time) AS at
    FROM closed_trade c JOIN wallet w ON w.id = c.wallet_id
    WHERE c.agent_id = ANY(%(agents)s) AND c.deleted_at IS NULL AND c.close_reason = '{CloseReason.STOP_LOSS.value}'
      AND c.sale_time > clock_timestamp() - make_interval(secs => %(seconds)s) GROUP BY 1, 2
)
SELECT v.agent, v.mode, COALESCE(r.profit_sol, 0), COALESCE(stake.sol, 0) + COALESCE(held.sol, 0),
       floor(extract(epoch FROM clock_timestamp() - stop.at))::int
FROM unnest(%(agents)s::uuid[], %(modes)s::text[]) AS v (agent, mode)
LEFT JOIN realised_today r ON r.agent_id = v.agent AND r.trading_mode = v.mode
    AND r.day = (clock_timestamp() AT TIME ZONE 'UTC')::date
LEFT JOIN stake ON stake.agent_id = v.agent AND stake.wallet_type = v.mode
LEFT JOIN held ON held.agent_id = v.agent AND held.wallet_type = v.mode
LEFT JOIN stop ON stop.agent_id = v.agent AND stop.wallet_type = v.mode
"""
_USE = f"""
SELECT v.agent, v.mode, {", ".join(_figures("v.mode", "v.agent", str(MAX_COOLDOWN_SECONDS)))}
FROM unnest(%(agents)s::uuid[], %(modes)s::text[]) AS v (agent, mode)
"""


@dataclass(slots=True)
class _Limit:
    id: int
    scope: str
    bounds: Bounds
    use: Use


@dataclass(slots=True)
class Limits:
    """The limits that hold for the agents of one booking, with what the booking itself has spent so far counted in."""

    of_agent: dict[tuple[UUID, str], _Limit] = field(default_factory=dict)
    of_desk: dict[str, _Limit] = field(default_factory=dict)
    refused: dict[int, tuple[_Limit, UUID | None, Refusal]] = field(default_factory=dict)

    def refusal(self, agent_id: UUID, trading_mode: str, *, spending_sol: Decimal = ZERO) -> Refusal | None:
        """Return why an agent may not spend so much on a buy now, its own limit before the desk's, or None."""
        for limit in self._that_hold(agent_id, trading_mode):
            found = rules.refusal(limit.scope, limit.bounds, limit.use, spending_sol=spending_sol)
            if found is not None:
                self.refused.setdefault(limit.id, (limit, agent_id if limit.scope == _AGENT else None, found))
                return found
        return None

    def spend(self, agent_id: UUID, trading_mode: str, spent_sol: Decimal) -> None:
        """Count a buy of this booking: the next one of it must see it."""
        for limit in self._that_hold(agent_id, trading_mode):
            limit.use = replace(limit.use, exposure_sol=limit.use.exposure_sol + spent_sol)

    def _that_hold(self, agent_id: UUID, trading_mode: str) -> list[_Limit]:
        both = (self.of_agent.get((agent_id, trading_mode)), self.of_desk.get(trading_mode))
        return [limit for limit in both if limit is not None]


def read(agent_ids: Iterable[UUID]) -> Limits:
    """Return the limits that hold for these agents, and what is used of them.

    A booking calls it once agents and wallets are locked. A cheap query without limits, one more where agents have some
    and one for the desk's; bookings under a limit of what the desk has at stake pass one by one from here on.
    """
    return _read(list(agent_ids), in_booking=True)


def entry_refusals(agent_ids: Iterable[UUID]) -> dict[UUID, Refusal]:
    """Return the agents that may buy nothing at all now, each with why; funds their orders hold are counted in."""
    wanted = list(agent_ids)
    limits = _read(wanted, in_booking=False)
    if not limits.of_agent and not limits.of_desk:
        return {}
    modes = bulk.fetch_all("SELECT id, trading_mode FROM agent WHERE id = ANY(%s)", [wanted])
    refusals = {agent_id: limits.refusal(agent_id, mode) for agent_id, mode in modes}
    return {agent_id: found for agent_id, found in refusals.items() if found is not None}


def _read(agent_ids: list[UUID], *, in_booking: bool) -> Limits:
    limits = Limits()
    for limit_id, agent_id, mode, *bounds in bulk.fetch_all(_BOUNDS, {"agents": agent_ids}):
        limit = _Limit(limit_id, _DESK if agent_id is None else _AGENT, Bounds(*bounds), Use())
        if agent_id is None:
            limits.of_desk[mode] = limit
        else:
            limits.of_agent[agent_id, mode] = limit
    if in_booking and any(limit.bounds.max_exposure_sol is not None for limit in limits.of_desk.values()):
        bulk.fetch_all("SELECT pg_advisory_xact_lock(%s)", [_EXPOSURE_LOCK])
    if limits.of_agent:
        _add_use_of_agents(limits.of_agent)
    if limits.of_desk:
        for (_, mode), use in use_of((None, mode) for mode in limits.of_desk).items():
            limits.of_desk[mode].use = use
    return limits


def _add_use_of_agents(limits: dict[tuple[UUID, str], _Limit]) -> None:
    seconds = max((limit.bounds.cooldown_seconds or 0 for limit in limits.values()), default=0)
    rows = bulk.fetch_all(
        _USE_OF_AGENTS,
        {"agents": [agent for agent, _ in limits], "modes": [mode for _, mode in limits], "seconds": seconds},
    )
    for agent, mode, realised, at_stake, since in rows:
        limits[agent, mode].use = Use(realised, at_stake, since)


def use_of(pairs: Iterable[tuple[UUID | None, str]]) -> dict[tuple[UUID | None, str], Use]:
    """Return what (agent or None for the desk, mode) pairs have lost today and have at stake, limited or not.

    A stop loss counts back as far as a cooldown may reach.
    """
    wanted = list(pairs)
    rows = bulk.fetch_all(_USE, {"agents": [agent for agent, _ in wanted], "modes": [str(mode) for _, mode in wanted]})
    return {(agent, mode): Use(realised, at_stake, since) for agent, mode, realised, at_stake, since in rows}


def with_use(rows: QuerySet[LossLimit]) -> QuerySet[LossLimit]:
    """Add to each limit what is used of it: `realised_today_sol`, `exposure_sol`, `seconds_since_stop`."""
    figures = _figures("loss_limit.trading_mode", "loss_limit.agent_id", str(MAX_COOLDOWN_SECONDS))
    names: tuple[tuple[str, Field[Any, Any]], ...] = (
        ("realised_today_sol", SolField()),
        ("exposure_sol", SolField()),
        ("seconds_since_stop", IntegerField()),
    )
    return rows.annotate(
        **{
            name: RawSQL(figure, [], output_field=kind)  # noqa: S611 - made of this module's own text alone
            for (name, kind), figure in zip(names, figures, strict=True)
        }
    )


def alerts(limits: Limits) -> list[outbox.Message]:
    """Return what owners are to be told of limits that barred a buy, and note that they were; for `outbox.append`.

    At most once an hour for the same limit and reason. In the booking's transaction, before it appends.
    """
    messages = []
    for limit, agent_id, found in limits.refused.values():
        told = bulk.execute(
            "UPDATE loss_limit SET told_code = %(code)s, told_at = clock_timestamp() WHERE id = %(id)s AND"
            " (told_code <> %(code)s OR told_at IS NULL"
            " OR told_at < clock_timestamp() - make_interval(secs => %(again)s))",
            {"id": limit.id, "code": found.code, "again": TELL_AGAIN_SECONDS},
        )
        if told:
            messages += _tell(limit, agent_id, found)
    return messages


_OWNERS = """
SELECT DISTINCT user_id FROM agent a JOIN loss_limit l ON l.id = %s
WHERE a.archived_at IS NULL AND a.trading_mode = l.trading_mode AND (l.agent_id IS NULL OR l.agent_id = a.id)
ORDER BY user_id
"""


def _tell(limit: _Limit, agent_id: UUID | None, found: Refusal) -> list[outbox.Message]:
    payload: dict[str, Any] = {
        "code": ALERT,
        "message": rules.MESSAGES[found.code],
        "reason": found.code,
        "agentId": None if agent_id is None else str(agent_id),
        **found.inputs,
    }
    owners = bulk.fetch_all(_OWNERS, [limit.id])
    return [outbox.Message(outbox.user_stream(user_id), "alert", payload) for (user_id,) in owners]


def find_limit(*, agent: Agent | None, trading_mode: str) -> Bounds:
    """Return the limits of an agent, or of the desk, in one mode; all None where nothing was ever set."""
    row = LossLimit.objects.filter(agent=agent, trading_mode=trading_mode).first()
    return Bounds() if row is None else _bounds(row)


def set_limit(*, agent: Agent | None, trading_mode: str, bounds: Bounds, actor: User | None) -> Bounds:
    """Set the limits of an agent, or of the desk, in one mode; all None takes them away.

    When this has returned, no buy that had not seen them can follow. Locks the agent's state row, or the desk against
    every booking.

    Raises:
        Invalid: INVALID_LOSS_LIMIT.
    """
    _check(trading_mode, bounds)
    with database.atomic():
        if agent is None:
            gate.lock_desk_alone()
        else:
            locks.lock_states([agent.pk])
        row = LossLimit.objects.select_for_update(of=("self",)).filter(agent=agent, trading_mode=trading_mode).first()
        before = Bounds() if row is None else _bounds(row)
        if before == bounds:
            return bounds
        if row is None:
            row = LossLimit(agent=agent, trading_mode=trading_mode)
        if bounds.any:
            for name, value in asdict(bounds).items():
                setattr(row, name, value)
            row.told_code, row.told_at = "", None
            row.save()
        else:
            row.delete()
        audit.record(
            actor=actor,
            action="loss_limit.changed",
            object_type=_DESK if agent is None else _AGENT,
            object_id=_DESK if agent is None else str(agent.pk),
            before={"mode": trading_mode, **asdict(before)},
            after={"mode": trading_mode, **asdict(bounds)},
        )
    return bounds


def _bounds(row: LossLimit) -> Bounds:
    return Bounds(row.max_daily_loss_sol, row.max_exposure_sol, row.cooldown_seconds)


def _check(trading_mode: str, bounds: Bounds) -> None:
    wrong = None
    if trading_mode not in TradingMode.values:
        wrong = f"mode must be one of {', '.join(TradingMode.values)}"
    for name in ("max_daily_loss_sol", "max_exposure_sol"):
        value = getattr(bounds, name)
        if value is not None and value <= ZERO:
            wrong = f"{name} must be more than zero, or empty for no limit"
    if bounds.cooldown_seconds is not None and not 1 <= bounds.cooldown_seconds <= MAX_COOLDOWN_SECONDS:
        wrong = f"cooldown_seconds must be 1 to {MAX_COOLDOWN_SECONDS}, or empty for none"
    if wrong is not None:
        raise Invalid("INVALID_LOSS_LIMIT", wrong)
