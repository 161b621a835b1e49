"""A signal as work: leased, traded for every agent of its owner that wants it, finished once each has its verdict.

Durable by the signal's row: due again if this process dies or something is in the way. Who buys what is decided in
`entry_orders` and again, under lock, in `booking`; a person's buy is in `hand_buys`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db import transaction as database

from apps.core import database_errors, outbox
from apps.core.errors import SoldeskError
from apps.core.http import ProviderError
from apps.prices import services as prices
from apps.signals import queue
from apps.signals.queue import LeasedSignal
from apps.trading import metrics
from apps.trading.domain import eligibility
from apps.trading.selectors import candidates
from apps.trading.services import booking, entry_orders, verdicts
from apps.trading.services.booking import EntryOrder, TokenView
from apps.trading.services.verdicts import Outcome

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignalReport:
    """How a signal ended: agents by verdict, and how long it took since it was leased."""

    signal_id: int
    executed: int
    skipped: int
    failed: int
    seconds: float


def process_signal(signal_id: int) -> SignalReport | None:
    """Trade a signal for every agent of its owner that wants it; None when it is done, in other hands or given back.

    Safe to run twice, at once or after a crash: each (signal, agent) pair gets exactly one verdict. Errors that pass
    (provider away, connection lost, deadlock) give the signal back to be tried again in a second, bugs after pauses
    that grow; once it is too old to trade, every pair still waiting is SKIPPED as SIGNAL_EXPIRED.
    """
    started = time.monotonic()
    signal = queue.lease(signal_id)
    if signal is None:
        return None
    try:
        _trade(signal)
        return _finish(signal, started)
    except queue.LeaseLost:
        log.warning("signal_lease_lost", signal_id=signal.id, attempt=signal.attempts)
    except (DatabaseError, ProviderError) as error:
        log.warning("signal_given_back", signal_id=signal.id, attempt=signal.attempts, error=_name_of(error))
        metrics.signal_broke(_code_of(error))
        _give_back(signal, queue.RETRY_SECONDS)
    except Exception as error:
        log.error("signal_broke", signal_id=signal.id, attempt=signal.attempts, exc_info=error)
        metrics.signal_broke("INTERNAL_ERROR")
        _give_back(signal, queue.growing_pause_seconds(signal.attempts))
    return None


def _give_back(signal: LeasedSignal, after_seconds: float) -> None:
    """Make the signal due again; with the database away its lease does the same a little later."""
    try:
        queue.give_back(signal, after_seconds=after_seconds)
    except DatabaseError:
        connection.close()


def _trade(signal: LeasedSignal) -> None:
    """Bring every waiting pair to its verdict, as far as nothing that passes is in the way.

    Raises:
        LeaseLost, ProviderError, and what the database raises when it is not the rows' fault.
    """
    refusal, inputs = _refusal(signal)
    if refusal is not None:
        waiting = candidates.undecided(signal)
        verdicts.record(signal, [Outcome.skipped(agent_id, [refusal], inputs) for agent_id in waiting])
        return
    plan = entry_orders.for_signal(signal)
    if plan is None:
        return
    sol_usd = prices.usable_sol_usd()
    for start in range(0, len(plan.orders), booking.CHUNK):
        queue.keep(signal)
        _book(signal, plan.token, plan.orders[start : start + booking.CHUNK], sol_usd)
    if plan.unanswered is not None:
        raise plan.unanswered


def _refusal(signal: LeasedSignal) -> tuple[str | None, dict[str, Any] | None]:
    """Return why nobody may trade the signal any more, if so, and the figures that say it."""
    age = entry_orders.age_seconds(signal)
    if signal.is_deleted:
        return eligibility.SIGNAL_DELETED, None
    if age > settings.MAX_SIGNAL_AGE_SECONDS:
        return eligibility.SIGNAL_EXPIRED, {"ageSeconds": round(age, 3)}
    return None, None


def _book(signal: LeasedSignal, token: TokenView, orders: Sequence[EntryOrder], sol_usd: Decimal | None) -> None:
    """Book a chunk; a data error bisects it until the one agent it belongs to fails alone."""
    try:
        _book_together(signal, token, orders, sol_usd)
    except (DatabaseError, SoldeskError) as error:
        code = booking.error_code(error)
        if code is None:
            raise
        if len(orders) == 1:
            log.warning("entry_failed", signal_id=signal.id, agent_id=str(orders[0].candidate.agent_id), code=code)
            verdicts.record(signal, [Outcome.failed(orders[0].candidate.agent_id, code)])
            return
        middle = len(orders) // 2
        _book(signal, token, orders[:middle], sol_usd)
        _book(signal, token, orders[middle:], sol_usd)


def _book_together(
    signal: LeasedSignal, token: TokenView, orders: Sequence[EntryOrder], sol_usd: Decimal | None
) -> None:
    """Book a chunk, again when somebody else decided a pair meanwhile: each time there is one less to decide."""
    while True:
        try:
            outcomes = booking.book_entries(
                token=token,
                orders=orders,
                sol_usd=sol_usd,
                signal=signal,
                max_age_seconds=settings.MAX_SIGNAL_AGE_SECONDS,
            )
        except verdicts.VerdictTaken:
            continue
        verdicts.measure(outcomes, since=signal.created_at)
        return


def _name_of(error: Exception) -> str:
    return error.code if isinstance(error, SoldeskError) else type(error).__name__


def _code_of(error: DatabaseError | ProviderError) -> str:
    return error.code if isinstance(error, ProviderError) else database_errors.passing_code(error)


def _finish(signal: LeasedSignal, started: float) -> SignalReport | None:
    with database.atomic():
        if not queue.finish(signal):
            return None
        counts = verdicts.count(signal.id)
        payload = {"id": signal.id, **{name: counts[name] for name in ("executed", "skipped", "failed")}}
        outbox.append([outbox.Message(f"user:{signal.user_id}", "signal_finished", payload)])
    report = SignalReport(
        signal.id, counts["executed"], counts["skipped"], counts["failed"], time.monotonic() - started
    )
    metrics.signal_ended(executed=report.executed, failed=report.failed, seconds=entry_orders.age_seconds(signal))
    log.info(
        "signal_traded",
        signal_id=signal.id,
        symbol=signal.symbol or signal.token_address,
        executed=report.executed,
        skipped=report.skipped,
        failed=report.failed,
        ms=round(report.seconds * 1000, 1),
    )
    return report
