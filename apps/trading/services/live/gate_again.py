"""The gate once more, right before a live buy is built and before its bytes first leave (CONCURRENCY 17).

Minutes may have passed since it was reserved: an operator may have halted trading, the signal may have grown too old,
the price may have gone. What is refused here was never sent, and ends as a refusal. Sales are never asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.agents.models import TradingMode
from apps.core import bulk
from apps.core.money import MONEY
from apps.trading.domain import adjust_decision, eligibility, entry_rules, exit_decision, fills
from apps.trading.models import OrderPurpose
from apps.trading.services import gate, loss_limits

#: A price drawn from a quote this young is not compared with the market again.
DRIFT_CHECK_SECONDS = 5


@dataclass(frozen=True, slots=True)
class _Buy:
    """A buy as it stands now. Ages are seconds by the database's clock; `price_sol` is the newest one of a tick."""

    order_id: UUID
    agent_id: UUID
    purpose: str
    decimals: int
    archived: bool
    trading_mode: str
    automated: bool
    desk_state: str
    own_state: str
    wallet_current: bool
    wallet_loaded: bool
    wallet_reconciled: bool
    age_seconds: Decimal
    signal_age_seconds: Decimal | None
    signal_deleted: bool
    intent_open: bool | None
    intent_age_seconds: Decimal | None
    price_sol: Decimal | None
    quoted_lamports: Decimal | None
    quoted_tokens: Decimal | None

    @property
    def by_itself(self) -> bool:
        """No person asked for it."""
        return self.purpose != OrderPurpose.MANUAL


_READ = """
SELECT o.id, o.agent_id, o.purpose, o.decimals, a.archived_at IS NOT NULL, a.trading_mode, a.automated_trading_live,
       COALESCE((SELECT state FROM trading_state WHERE agent_id IS NULL), 'active'), COALESCE(t.state, 'active'),
       w.released_at IS NULL AND w.epoch = o.epoch,
       EXISTS (SELECT 1 FROM live_key k WHERE k.address = w.address AND k.loaded), w.unreconciled_since IS NULL,
       extract(epoch FROM clock_timestamp() - o.created_at),
       extract(epoch FROM clock_timestamp() - s.created_at), s.deleted_at IS NOT NULL,
       i.status IN ('due', 'leased'), extract(epoch FROM clock_timestamp() - i.created_at),
       newest.price_sol,
       (o.inputs ->> 'quotedLamports')::numeric, (o.inputs ->> 'quotedTokens')::numeric
FROM trade_order o
JOIN agent a ON a.id = o.agent_id
JOIN wallet w ON w.id = o.wallet_id
LEFT JOIN trading_state t ON t.agent_id = o.agent_id
LEFT JOIN trading_signal s ON s.id = o.signal_id AND o.purpose = 'entry'
LEFT JOIN exit_intent i ON i.id = o.intent_id
LEFT JOIN LATERAL (
    SELECT price_sol FROM tick
    WHERE tick.mint = o.mint AND tick.received_at > clock_timestamp() - make_interval(secs => 60)
    ORDER BY tick.id DESC LIMIT 1
) AS newest ON true
WHERE o.id = ANY(%s) AND o.side = 'buy'
"""


def check(order_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the code of why a buy may not go on, for those that may not. Reads only, in one moment for all."""
    wanted = list(order_ids)
    buys = [_Buy(*row) for row in bulk.fetch_all(_READ, [wanted])] if wanted else []
    barred = loss_limits.entry_refusals({buy.agent_id for buy in buys})
    refused = {buy.order_id: _refusal(buy, barred) for buy in buys}
    return {order_id: code for order_id, code in refused.items() if code is not None}


def _refusal(buy: _Buy, barred: dict[UUID, Any]) -> str | None:
    if buy.archived:
        return entry_rules.AGENT_NOT_FOUND
    if not buy.wallet_current:
        return exit_decision.WALLET_RESET
    if not buy.wallet_loaded:
        return entry_rules.WALLET_NOT_LOADED
    if not buy.wallet_reconciled:
        return entry_rules.WALLET_NOT_RECONCILED
    if buy.trading_mode != TradingMode.LIVE:
        return entry_rules.TRADING_MODE_MISMATCH
    if buy.by_itself and not buy.automated:
        return eligibility.PAUSED
    closed = gate.entry_refusal(buy.desk_state, buy.own_state)
    if closed is not None:
        return closed
    if buy.agent_id in barred:
        return str(barred[buy.agent_id].code)
    return _too_late(buy)


def _too_late(buy: _Buy) -> str | None:
    """Tell what grew too old meanwhile, or whose price has gone: both are never a late buy."""
    if buy.signal_deleted:
        return eligibility.SIGNAL_DELETED
    if buy.intent_open is False:
        return adjust_decision.BARRED_BY_CLOSE
    if buy.intent_age_seconds is not None and buy.intent_age_seconds > adjust_decision.LAPSE_SECONDS:
        return adjust_decision.LAPSED
    age = buy.age_seconds if buy.signal_age_seconds is None else buy.signal_age_seconds
    if age > settings.MAX_SIGNAL_AGE_SECONDS or _drifted(buy):
        return eligibility.SIGNAL_EXPIRED
    return None


def _drifted(buy: _Buy) -> bool:
    """Tell whether the market has left the price the buy was decided at; unknown is not far."""
    if buy.age_seconds < DRIFT_CHECK_SECONDS or buy.price_sol is None:
        return False
    if not buy.quoted_lamports or not buy.quoted_tokens:
        return False
    then = fills.price_per_token(int(buy.quoted_lamports), int(buy.quoted_tokens), buy.decimals)
    gone = MONEY.multiply(abs(buy.price_sol - then), Decimal(100))
    return gone > MONEY.multiply(then, settings.MAX_ENTRY_DRIFT_PERCENT)
