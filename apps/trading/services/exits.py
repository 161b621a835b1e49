"""Closing a position because a person (or another use case) asks for it: a close intent, and the wait for its sale.

The same intent, lease and booking as a fired stop. A close that is open already is joined, never doubled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.core import wake
from apps.core.money import ZERO
from apps.trading import errors
from apps.trading.models import ClosedTrade, ExitIntent, IntentKind, IntentStatus, Position
from apps.trading.services import exit_intents, exit_runner, gate
from apps.trading.services.exit_intents import FiredExit

#: How long a worker may take to pick a close up before the caller sells by itself.
_WORKER_GRACE_SECONDS = 0.25
_SHORTEST_LOOK_SECONDS = 0.01
_LONGEST_LOOK_SECONDS = 0.2
_OPEN = (IntentStatus.DUE, IntentStatus.LEASED)


@dataclass(frozen=True, slots=True)
class CloseResult:
    """A position as it ended: whole tokens in, SOL out before fees, SOL per token; USD None while unknown.

    Nothing comes out of one that was written off.
    """

    transaction_id: UUID
    historical_swap_id: UUID
    position_id: UUID
    input_amount: Decimal
    output_amount: Decimal
    sale_price: Decimal
    profit_loss_sol: Decimal
    profit_loss_usd: Decimal | None
    change_percent: Decimal
    transaction_hash: str | None


def request_close(
    *,
    position: Position,
    reason: str,
    actor: User | None,
    on_requested: Callable[[ExitIntent], None] = lambda _: None,
) -> ExitIntent:
    """Ask for a full sale and return the intent that will bring it, a new one or the one that is open already.

    `on_requested` runs in the transaction of the request, and by raising undoes it.
    A doubted stop that is joined becomes certain: a person wants out, whatever the price was. Wakes worker-critical.

    Raises:
        PositionNotFound: the position is closed.
        ExitsHalted: exits are switched off for the desk or the agent.
    """
    with database.atomic():
        if not gate.read([position.agent_id]).exits_allowed(position.agent_id):
            raise errors.ExitsHalted
        intent, joined = _open_close(position, reason, actor)
        audit.record(
            actor=actor,
            action="position.close_requested",
            object_type="position",
            object_id=str(position.pk),
            before=None,
            after={"reason": reason, "intent": intent.pk, "joined": joined},
        )
        on_requested(intent)
    wake.wake_on_commit(exit_intents.TASK)
    return intent


def _open_close(position: Position, reason: str, actor: User | None) -> tuple[ExitIntent, bool]:
    """Fire a close, or join the open one; a fill or a finished close in between is met by looking again."""
    while True:
        generation = (
            Position.objects.filter(pk=position.pk, closed_at=None).values_list("generation", flat=True).first()
        )
        if generation is None:
            raise errors.PositionNotFound
        fired = exit_intents.fire(
            [FiredExit(position.pk, reason, generation, requested_by_id=None if actor is None else actor.pk)]
        )
        intent = ExitIntent.objects.filter(position=position, kind=IntentKind.CLOSE, status__in=_OPEN).first()
        if intent is not None:
            return intent, not fired


def close_position(
    *,
    position: Position,
    reason: str,
    actor: User | None,
    timeout_seconds: float = 15.0,
    on_requested: Callable[[ExitIntent], None] = lambda _: None,
) -> CloseResult:
    """Sell a position and return how it ended, whether a worker sells it or, without one, this caller.

    Not to be called inside a transaction: it waits for the outside. `on_requested`: see `request_close`.

    Raises:
        PositionNotFound, ExitsHalted: see `request_close`.
        ClosePending: not sold within `timeout_seconds`; the intent stays due and will be.
        CloseCancelled: the intent ended without a sale, e.g. the wallet was reset.
    """
    intent = request_close(position=position, reason=reason, actor=actor, on_requested=on_requested)
    return wait_for_close(intent=intent, timeout_seconds=timeout_seconds)


def get_requested(*, intent_id: int) -> ExitIntent:
    """Return a close that was asked for before, ended or not."""
    return ExitIntent.objects.get(pk=intent_id)


def wait_for_close(*, intent: ExitIntent, timeout_seconds: float = 15.0) -> CloseResult:
    """Wait until an intent has ended, selling it in this thread when no worker takes it.

    Raises:
        ClosePending, CloseCancelled: see `close_position`.
    """
    started = time.monotonic()
    look = _SHORTEST_LOOK_SECONDS
    while True:
        intent.refresh_from_db()
        if intent.status not in _OPEN:
            return _result(intent)
        waited = time.monotonic() - started
        if waited >= timeout_seconds:
            raise errors.ClosePending(intent_id=intent.pk, last_error=intent.last_error)
        if waited >= _WORKER_GRACE_SECONDS and intent.status == IntentStatus.DUE:
            exit_runner.run_due(intent_ids=[intent.pk], quote_seconds=timeout_seconds - waited)
        time.sleep(min(look, max(0.0, timeout_seconds - waited)))
        look = min(look * 2, _LONGEST_LOOK_SECONDS)


def _result(intent: ExitIntent) -> CloseResult:
    trade = ClosedTrade.objects.select_related("sale_transaction").filter(position_id=intent.position_id).first()
    sale = None if trade is None else trade.sale_transaction
    if trade is None or sale is None or sale.input_amount is None:
        raise errors.CloseCancelled(intent.last_error)
    return CloseResult(
        transaction_id=sale.pk,
        historical_swap_id=trade.pk,
        position_id=intent.position_id,
        input_amount=sale.input_amount,
        output_amount=ZERO if sale.output_amount is None else sale.output_amount,
        sale_price=trade.sale_price if sale.input_price is None else sale.input_price,
        profit_loss_sol=trade.profit_sol,
        profit_loss_usd=trade.profit_usd,
        change_percent=trade.change_percent,
        transaction_hash=sale.transaction_hash,
    )
