"""Hourly balance snapshots: what every wallet was worth at the hour, in one statement however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db import transaction as database
from django.utils import timezone

from apps.core import bulk, database_errors
from apps.core.money import SOL_MINT
from apps.trading.selectors import marks
from apps.wallets.models import Wallet

log = structlog.get_logger(__name__)

#: A price older than this is not fresh: the snapshot says that it is estimated.
FRESH_SECONDS = 60

# Every position at its mark, as everywhere: the last known price of its token, however old, or its own last fill.
_SNAPSHOT = f"""
WITH newest AS (
    SELECT held.mint, tick.price_sol, tick.at
    FROM (SELECT DISTINCT mint FROM position WHERE closed_at IS NULL AND wallet_id = ANY(%(wallets)s)) AS held
    CROSS JOIN LATERAL (SELECT price_sol, coalesce(provider_at, received_at) AS at FROM tick
                        WHERE tick.mint = held.mint ORDER BY tick.id DESC LIMIT 1) AS tick
), worth AS (
    SELECT p.wallet_id, p.epoch, sum(p.remaining_cost_sol) AS cost,
           sum(round(p.remaining_amount * {marks.MARK}, 9)) AS value,
           bool_or(NOT {marks.IS_MARKED} OR newest.at < %(fresh_from)s) AS estimated
    FROM position p LEFT JOIN newest ON newest.mint = p.mint
    WHERE p.closed_at IS NULL AND p.wallet_id = ANY(%(wallets)s)
    GROUP BY p.wallet_id, p.epoch
)
INSERT INTO balance_snapshot AS kept (wallet_id, agent_id, epoch, hour, portfolio_sol, sol_balance, positions_value_sol,
                                      unrealized_profit_sol, estimated, created_at)
SELECT w.id, w.agent_id, w.epoch, %(hour)s, COALESCE(b.amount + b.held, 0) + COALESCE(worth.value, 0),
       COALESCE(b.amount + b.held, 0), COALESCE(worth.value, 0), COALESCE(worth.value - worth.cost, 0),
       COALESCE(worth.estimated, false), now()
FROM wallet w
LEFT JOIN balance b ON b.wallet_id = w.id AND b.mint = %(sol)s
LEFT JOIN worth ON worth.wallet_id = w.id AND worth.epoch = w.epoch
WHERE w.id = ANY(%(wallets)s) AND w.released_at IS NULL
ON CONFLICT (wallet_id, epoch, hour) DO UPDATE
SET portfolio_sol = EXCLUDED.portfolio_sol, sol_balance = EXCLUDED.sol_balance,
    positions_value_sol = EXCLUDED.positions_value_sol, unrealized_profit_sol = EXCLUDED.unrealized_profit_sol,
    estimated = EXCLUDED.estimated, created_at = EXCLUDED.created_at
"""


def snapshot_balances(*, at: datetime | None = None) -> int:
    """Write (or write again) the snapshot of this UTC hour for every wallet in use; return how many were written.

    A wallet whose figures the database refuses is left out, and logged; the others have theirs.
    """
    moment = at or timezone.now()
    wallets = list(Wallet.objects.filter(released_at=None).order_by("pk").values_list("pk", flat=True))
    return _write(wallets, moment)


def _write(wallets: Sequence[UUID], moment: datetime) -> int:
    if not wallets:
        return 0
    try:
        with database.atomic():
            return bulk.execute(
                _SNAPSHOT,
                {
                    "wallets": list(wallets),
                    "hour": moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
                    "fresh_from": moment - timedelta(seconds=FRESH_SECONDS),
                    "sol": SOL_MINT,
                },
            )
    except DatabaseError as error:
        if not database_errors.is_data_error(error):
            raise
        if len(wallets) == 1:
            log.error("snapshot_refused", wallet_id=str(wallets[0]), error=str(error).splitlines()[0])
            return 0
        middle = len(wallets) // 2
        return _write(wallets[:middle], moment) + _write(wallets[middle:], moment)
