"""Exit intents as work: fired, leased by whoever books, due again when that fails, done or cancelled in the end.

Set-based, one statement each. Nothing here trades: `exits` and `exit_runner` drive intents, `sale_booking` and
`dca_booking` end them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from apps.core import bulk
from apps.trading.domain import adjust_decision
from apps.trading.models import IntentKind

TASK = "trading.run_exits"
LEASE_SECONDS = 8
BATCH = 500
#: A position whose doubt a quote has just disproved is not asked again for this long by a doubted price.
DISPROVED_REST_SECONDS = 3
#: An adjust that was cancelled is not fired again for the same reason for this long, and longer for want of money.
ADJUST_REST_SECONDS = 3
MONEY_REST_SECONDS = 60
_FIRST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FiredExit:
    """What a rule or a person wants of a position: a close, or an adjust (take profit, DCA) that lapses soon.

    `generation` is the position's as it was judged. `needs_confirmation` says that the price was doubted: the sell
    quote decides. `details` is JSON-ready.
    """

    position_id: UUID
    reason: str
    generation: int
    kind: IntentKind = IntentKind.CLOSE
    trigger_price_sol: Decimal | None = None
    trigger_tick: int | None = None
    needs_confirmation: bool = False
    details: dict[str, Any] | None = None
    requested_by_id: UUID | None = None
    mint: str = ""


@dataclass(frozen=True, slots=True)
class LeasedExit:
    """An intent in the hands of one process until `lease_until`, with what its quote needs.

    `attempts` counts this one and those that failed before.
    """

    id: int
    position_id: UUID
    reason: str
    attempts: int
    lease_until: datetime
    agent_id: UUID
    wallet_id: UUID
    mint: str
    decimals: int
    remaining_amount: Decimal
    is_open: bool
    kind: str
    trigger_price_sol: Decimal | None
    created_at: datetime
    is_live: bool
    needs_confirmation: bool

    @property
    def is_adjust(self) -> bool:
        return self.kind == IntentKind.ADJUST

    @property
    def is_certain(self) -> bool:
        """A close that needs no quote to be sure of."""
        return not self.is_adjust and not self.needs_confirmation


# A sale in part between judging and firing changes nothing for a close; a DCA does, it moved the average.
# An open close stays what it is; only a doubted one becomes certain when a trusted price (or a person) says the same.
# An open close bars adjusts; an open adjust stays what it is. What was cancelled a moment ago rests.
# The details are one document: in an array of texts psycopg would escape every quotation mark of them on its own.
_FIRE = """
INSERT INTO exit_intent AS kept (position_id, kind, reason, generation, status, trigger_price_sol, trigger_tick,
                                 needs_confirmation, details, attempts, last_error, requested_by_id)
SELECT p.id, v.kind, v.reason, p.generation, 'due', v.price, v.tick, v.doubted,
       NULLIF(%(details)s::jsonb -> (v.place - 1)::int, 'null'), 0, '', v.requested_by
FROM unnest(%(positions)s::uuid[], %(kinds)s::text[], %(reasons)s::text[], %(generations)s::int[],
            %(prices)s::numeric[], %(ticks)s::bigint[], %(doubted)s::bool[], %(actors)s::uuid[]) WITH ORDINALITY
    AS v (position_id, kind, reason, generation, price, tick, doubted, requested_by, place)
JOIN position p ON p.id = v.position_id AND p.closed_at IS NULL
    AND (p.generation = v.generation OR v.kind = 'close' AND v.generation BETWEEN p.peak_generation AND p.generation)
WHERE (NOT v.doubted OR NOT EXISTS (
    SELECT 1 FROM exit_intent past WHERE past.position_id = p.id AND past.status = 'cancelled'
    AND past.last_error = 'BAD_TICK' AND past.finished_at > clock_timestamp() - make_interval(secs => %(rest)s)))
  AND (v.kind = 'close' OR NOT EXISTS (
    SELECT 1 FROM exit_intent open WHERE open.position_id = p.id AND open.kind = 'close'
    AND open.status IN ('due', 'leased')
  ) AND NOT EXISTS (
    SELECT 1 FROM exit_intent past WHERE past.position_id = p.id AND past.status = 'cancelled' AND past.kind = 'adjust'
    AND past.finished_at > clock_timestamp() - make_interval(secs => %(money_rest)s) AND past.reason = v.reason
    AND (past.last_error = ANY(%(money_codes)s)
         OR past.finished_at > clock_timestamp() - make_interval(secs => %(adjust_rest)s))))
ORDER BY p.id
ON CONFLICT (position_id, kind) WHERE status IN ('due', 'leased') DO UPDATE
SET needs_confirmation = false, reason = EXCLUDED.reason, trigger_price_sol = EXCLUDED.trigger_price_sol,
    trigger_tick = EXCLUDED.trigger_tick, details = EXCLUDED.details, generation = EXCLUDED.generation,
    requested_by_id = coalesce(EXCLUDED.requested_by_id, kept.requested_by_id),
    due_at = least(kept.due_at, clock_timestamp())
WHERE kept.needs_confirmation AND NOT EXCLUDED.needs_confirmation
RETURNING kept.id, kept.position_id, kept.kind
"""


def fire(exits: Iterable[FiredExit]) -> dict[UUID, int]:
    """Insert intents in the caller's transaction, one per position; return the new (or newly certain) ones by position.

    A position that is closed, has an open close already, or has changed since it was judged in a way that matters, is
    left out; so is an adjust that rests. Open adjusts of positions that close are cancelled: an open close bars them.
    """
    wanted = sorted(exits, key=lambda item: item.position_id)
    if not wanted:
        return {}
    rows = bulk.fetch_all(
        _FIRE,
        {
            "positions": [item.position_id for item in wanted],
            "kinds": [str(item.kind) for item in wanted],
            "reasons": [str(item.reason) for item in wanted],
            "generations": [item.generation for item in wanted],
            "prices": [item.trigger_price_sol for item in wanted],
            "ticks": [item.trigger_tick for item in wanted],
            "doubted": [item.needs_confirmation for item in wanted],
            "details": orjson.dumps([item.details for item in wanted]).decode(),
            "actors": [item.requested_by_id for item in wanted],
            "rest": DISPROVED_REST_SECONDS,
            "adjust_rest": ADJUST_REST_SECONDS,
            "money_rest": MONEY_REST_SECONDS,
            "money_codes": sorted(adjust_decision.MONEY_CODES),
        },
    )
    closing = [position_id for _, position_id, kind in rows if kind == IntentKind.CLOSE]
    if closing:
        cancel_open(closing, "BARRED_BY_CLOSE", kinds=(IntentKind.ADJUST,))
    return {position_id: intent_id for intent_id, position_id, _ in rows}


# Where exits are halted nothing is taken: a close stays due, and is sold within a second of their coming back; an
# adjust lapses. A live position waits while an order for the same side of its token is in flight, whatever it is for.
_LEASE = """
WITH due AS (
    SELECT i.id FROM exit_intent i
    JOIN position p ON p.id = i.position_id
    JOIN wallet w ON w.id = p.wallet_id
    WHERE (w.wallet_type = 'simulation' OR NOT %(write_offs)s AND NOT EXISTS (
             SELECT 1 FROM trade_order o WHERE o.wallet_id = p.wallet_id AND o.mint = p.mint
             AND o.side = CASE i.reason WHEN 'dca' THEN 'buy' ELSE 'sell' END
             AND o.status IN ('built', 'reserved', 'sent', 'signed', 'unresolved')))
      AND (i.status = 'due' AND i.due_at <= clock_timestamp()
           OR i.status = 'leased' AND i.lease_until < clock_timestamp())
      AND i.kind = %(kind)s AND (%(ids)s::bigint[] IS NULL OR i.id = ANY(%(ids)s::bigint[]))
      AND (i.reason = 'write_off') = %(write_offs)s AND NOT p.mint = ANY(%(without)s)
      AND (i.kind = 'close' OR i.created_at > clock_timestamp() - make_interval(secs => %(lapse)s)
           AND (%(buys)s OR i.reason <> 'dca') AND NOT EXISTS (
             SELECT 1 FROM exit_intent barring WHERE barring.position_id = i.position_id AND barring.kind = 'close'
             AND barring.status IN ('due', 'leased')))
      AND NOT EXISTS (SELECT 1 FROM trading_state t WHERE (t.agent_id IS NULL OR t.agent_id = p.agent_id)
                      AND t.state = 'halted' AND NOT t.exits_enabled)
    ORDER BY i.due_at, i.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE exit_intent i
SET status = 'leased', lease_until = statement_timestamp() + %(lease)s, attempts = i.attempts + 1
FROM due, position p
WHERE i.id = due.id AND p.id = i.position_id
RETURNING i.id, i.position_id, i.reason, i.attempts, i.lease_until, p.agent_id, p.wallet_id, p.mint, p.decimals,
          p.remaining_amount, p.closed_at IS NULL, i.kind, i.trigger_price_sol, i.created_at,
          (SELECT wallet_type = 'live' FROM wallet WHERE id = p.wallet_id), i.needs_confirmation
"""


def lease_due(
    *,
    limit: int = BATCH,
    intent_ids: Sequence[int] | None = None,
    write_offs: bool = False,
    without: Collection[str] = (),
) -> list[LeasedExit]:
    """Take due closes (or those whose lease ran out), oldest first, at most `limit`; only `intent_ids` when given.

    Those to be sold or, with `write_offs`, those to be written off: never both, for nobody buys the latter. None in the
    tokens `without`.
    """
    return _lease(IntentKind.CLOSE, limit, intent_ids, without, write_offs=write_offs)


def lease_adjusts(
    *,
    limit: int = BATCH,
    intent_ids: Sequence[int] | None = None,
    buys: bool = True,
    without: Collection[str] = (),
) -> list[LeasedExit]:
    """Take due take profits and, with `buys`, DCAs that have not lapsed and that no close bars, as `lease_due` does."""
    return _lease(IntentKind.ADJUST, limit, intent_ids, without, buys=buys)


def _lease(
    kind: IntentKind,
    limit: int,
    intent_ids: Sequence[int] | None,
    without: Collection[str],
    *,
    write_offs: bool = False,
    buys: bool = True,
) -> list[LeasedExit]:
    rows = bulk.fetch_all(
        _LEASE,
        {
            "kind": str(kind),
            "ids": None if intent_ids is None else list(intent_ids),
            "limit": limit,
            "write_offs": write_offs,
            "without": list(without),
            "buys": buys,
            "lapse": adjust_decision.LAPSE_SECONDS,
            "lease": timedelta(seconds=LEASE_SECONDS),
        },
    )
    return [LeasedExit(*row) for row in rows]


# Whoever changes many intents locks them in one order, closes first, each kind by position: bookings, rules that fire
# and those who give back meet each other without a deadlock.
_CANCEL_LAPSED = """
WITH held AS (
    SELECT id FROM exit_intent
    WHERE kind = 'adjust' AND (status = 'due' OR status = 'leased' AND lease_until < clock_timestamp())
      AND created_at <= clock_timestamp() - make_interval(secs => %(seconds)s)
    ORDER BY position_id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE exit_intent i
SET status = 'cancelled', lease_until = NULL, finished_at = clock_timestamp(), last_error = %(code)s,
    details = CASE WHEN i.last_error = '' THEN i.details
                   ELSE COALESCE(i.details, '{}') || jsonb_build_object('lastError', i.last_error) END
FROM held WHERE i.id = held.id
"""


def cancel_lapsed() -> int:
    """Cancel adjusts nobody could book in time, with what stood in the way last; return how many."""
    return bulk.execute(_CANCEL_LAPSED, {"code": adjust_decision.LAPSED, "seconds": adjust_decision.LAPSE_SECONDS})


_GIVE_BACK = """
WITH held AS (
    SELECT i.id, v.code, v.seconds
    FROM exit_intent i
    JOIN unnest(%s::bigint[], %s::timestamptz[], %s::float8[], %s::text[]) AS v (id, lease, seconds, code) USING (id)
    WHERE i.status = 'leased' AND i.lease_until = v.lease
    ORDER BY i.kind DESC, i.position_id FOR NO KEY UPDATE OF i
)
UPDATE exit_intent i
SET status = 'due', lease_until = NULL, last_error = held.code,
    due_at = clock_timestamp() + make_interval(secs => held.seconds),
    attempts = i.attempts - CASE WHEN held.seconds = 0 THEN 1 ELSE 0 END
FROM held WHERE i.id = held.id
"""


def give_back(exits: Sequence[LeasedExit], code: str, *, at_once: bool = False) -> None:
    """Make leased intents due again: after a pause that grows with the attempts, or at once. `code` is kept to be seen.

    What is due again at once has not failed: its attempt does not count. An intent whose lease has passed to somebody
    else is left alone.
    """
    if not exits:
        return
    bulk.execute(
        _GIVE_BACK,
        [
            [item.id for item in exits],
            [item.lease_until for item in exits],
            [0.0 if at_once else retry_seconds(item.attempts) for item in exits],
            [code[:60]] * len(exits),
        ],
    )


def hand_to_orders(intent_ids: Collection[int]) -> None:
    """Leave leased intents to their orders, in the transaction that reserves those: no lease runs out on them.

    What was doubted is not doubted any more.
    """
    if intent_ids:
        bulk.execute(
            "UPDATE exit_intent SET lease_until = NULL, needs_confirmation = false WHERE id = ANY(%s)",
            [list(intent_ids)],
        )


_TAKE_BACK = """
WITH held AS (
    SELECT i.id, v.code, v.seconds
    FROM exit_intent i JOIN unnest(%s::bigint[], %s::text[], %s::float8[]) AS v (id, code, seconds) USING (id)
    WHERE i.status = 'leased' AND i.lease_until IS NULL
    ORDER BY i.kind DESC, i.position_id FOR NO KEY UPDATE OF i
)
UPDATE exit_intent i
SET status = 'due', last_error = held.code, due_at = clock_timestamp() + make_interval(secs => held.seconds)
FROM held WHERE i.id = held.id
"""


def take_back(ended: Mapping[int, tuple[str, float]]) -> None:
    """Make intents due again whose orders ended and left something to do: each with a code and a pause in seconds."""
    if ended:
        codes, pauses = zip(*ended.values(), strict=True)
        bulk.execute(_TAKE_BACK, [list(ended), [code[:60] for code in codes], list(pauses)])


def retry_seconds(attempts: int) -> float:
    """Return how long an intent waits after its `attempts`-th failure: half a second, doubling, at most thirty.

    >>> [retry_seconds(n) for n in (1, 2, 5, 50)]
    [0.5, 1.0, 8.0, 30.0]
    """
    return min(_FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 10), _LONGEST_RETRY_SECONDS)


def finish(done: Mapping[int, UUID], booked: Mapping[int, Mapping[str, str]] | None = None) -> None:
    """Mark intents done with the transaction that filled them, inside the transaction that booked it.

    `booked` are the figures of the fill, by intent; they stand under `booked` in its details.
    """
    if not done:
        return
    facts = {str(intent): figures for intent, figures in (booked or {}).items()}
    bulk.execute(
        "UPDATE exit_intent i SET status = 'done', lease_until = NULL, last_error = '', transaction_id = v.fill,"
        " finished_at = clock_timestamp(), details = CASE WHEN %(booked)s::jsonb ? i.id::text"
        " THEN COALESCE(i.details, '{}') || jsonb_build_object('booked', %(booked)s::jsonb -> i.id::text)"
        " ELSE i.details END"
        " FROM unnest(%(ids)s::bigint[], %(fills)s::uuid[]) AS v (id, fill) WHERE i.id = v.id",
        {"ids": list(done), "fills": list(done.values()), "booked": orjson.dumps(facts).decode()},
    )


_CANCEL = """
WITH held AS (
    SELECT i.id, v.code
    FROM exit_intent i JOIN unnest(%s::bigint[], %s::text[]) AS v (id, code) USING (id)
    WHERE i.status IN ('due', 'leased') ORDER BY i.kind DESC, i.position_id FOR NO KEY UPDATE OF i
)
UPDATE exit_intent i SET status = 'cancelled', lease_until = NULL, last_error = held.code,
    finished_at = clock_timestamp()
FROM held WHERE i.id = held.id
"""


def cancel(cancelled: Mapping[int, str]) -> None:
    """Cancel intents by id, each with its code, inside the transaction that decided it."""
    if cancelled:
        bulk.execute(_CANCEL, [list(cancelled), list(cancelled.values())])


_CANCEL_OPEN = """
WITH held AS (
    SELECT id FROM exit_intent
    WHERE position_id = ANY(%s) AND kind = ANY(%s) AND status IN ('due', 'leased')
    ORDER BY kind DESC, position_id FOR NO KEY UPDATE
)
UPDATE exit_intent i SET status = 'cancelled', lease_until = NULL, last_error = %s, finished_at = clock_timestamp()
FROM held WHERE i.id = held.id
"""


def cancel_open(
    position_ids: Iterable[UUID], code: str, *, kinds: Sequence[str] = (IntentKind.CLOSE, IntentKind.ADJUST)
) -> int:
    """Cancel every open intent of the positions, in the caller's transaction; return how many."""
    return bulk.execute(_CANCEL_OPEN, [list(position_ids), [str(kind) for kind in kinds], code])
