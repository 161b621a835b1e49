"""Taking signals in and settling their place in the queue of work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.accounts.services import audit
from apps.core import base58, events, fixed_sql, outbox, wake
from apps.core.errors import Invalid, NotFound
from apps.signals import errors
from apps.signals.events import SignalCreated
from apps.signals.models import SignalStatus, TradingSignal

DEDUP_SECONDS = 60
MAX_STRENGTH = 5


def create_signal(
    *,
    user: User,
    api_key: ApiKey | None,
    token_address: str,
    signal_type: str,
    signal_strength: int,
    symbol: str | None = None,
    activation_reason: str | None = None,
    source: str | None = None,
) -> TradingSignal:
    """Record a signal for the user's agents; the duplicate check, the row and its announcement are one statement.

    `SignalCreated` is published after it: once it is committed, or, within a caller's transaction, inside of that.

    Raises:
        Invalid: INVALID_MINT, INVALID_STRENGTH.
        SignalDuplicate: same user, token, type and strength within 60 seconds.
    """
    if not base58.is_address(token_address):
        raise errors.InvalidMint()
    if not 1 <= signal_strength <= MAX_STRENGTH:
        raise Invalid("INVALID_STRENGTH", "signalStrength must be an integer from 1 to 5")
    signal = _take(
        {
            "user": user.pk,
            "api_key": None if api_key is None else api_key.pk,
            "token_address": token_address,
            "symbol": symbol,
            "signal_type": signal_type,
            "activation_reason": activation_reason,
            "signal_strength": signal_strength,
            "source": source,
            "window": timedelta(seconds=DEDUP_SECONDS),
        }
    )
    if signal is None:
        raise errors.SignalDuplicate(DEDUP_SECONDS)
    with wake.together():
        events.publish(SignalCreated(signal_id=signal.pk, user_id=user.pk))
        outbox.wake_on_commit()  # who shows it is woken after who trades it
    return signal


def send_by_hand(*, user: User, actor: User, **fields: Any) -> TradingSignal:
    """Record a signal an operator sends for a user, and who did; otherwise `create_signal`."""
    with transaction.atomic():
        signal = create_signal(user=user, api_key=None, **fields)
        audit.record(
            actor=actor,
            action="signal.sent",
            object_type="signal",
            object_id=signal.pk,
            after={"user": user.email, **fields},
        )
    return signal


def update_signal(*, signal: TradingSignal, changes: Mapping[str, Any], actor: User | None) -> TradingSignal:
    """Correct what a signal says; nothing is traded again and the duplicate key stays as it was.

    Raises:
        Invalid: INVALID_MINT. NotFound: SIGNAL_NOT_FOUND, deleted meanwhile.
    """
    if "token_address" in changes and not base58.is_address(changes["token_address"]):
        raise errors.InvalidMint()
    with transaction.atomic():
        row = TradingSignal.objects.select_for_update(no_key=True).filter(pk=signal.pk, deleted_at=None).first()
        if row is None:
            raise NotFound("SIGNAL_NOT_FOUND", "There is no such signal.")
        before = {name: getattr(row, name) for name in changes}
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=[*changes, "updated_at"])
        audit.record(
            actor=actor,
            action="signal.updated",
            object_type="signal",
            object_id=row.pk,
            before=before,
            after=dict(changes),
        )
    return row


def delete_signals(*, user: User, actor: User | None, signal_id: int | None = None) -> int:
    """Mark one signal of the user, or all, as deleted; executions stay. Return how many were marked.

    What is not traded yet never will be: each agent still to decide ends as SKIPPED `signal_deleted`.
    """
    rows = TradingSignal.objects.filter(user=user, deleted_at=None)
    if signal_id is not None:
        rows = rows.filter(pk=signal_id)
    with transaction.atomic():
        marked = rows.update(deleted_at=timezone.now())
        if marked:
            audit.record(
                actor=actor,
                action="signals.deleted",
                object_type="signal",
                object_id="all" if signal_id is None else signal_id,
                after={"deleted": marked},
            )
    return marked


# One round trip for the duplicate key, the row and what the feed says of it. Equal signals at once wait for each other.
_TAKE = f"""
WITH claim AS (
    INSERT INTO signal_dedup (user_id, token_address, signal_type, signal_strength, expires_at)
    VALUES (%(user)s, %(token_address)s, %(signal_type)s, %(signal_strength)s, now() + %(window)s)
    ON CONFLICT (user_id, token_address, signal_type, signal_strength)
    DO UPDATE SET expires_at = EXCLUDED.expires_at WHERE signal_dedup.expires_at <= now()
    RETURNING user_id
), signal AS (
    INSERT INTO trading_signal (user_id, api_key_id, token_address, symbol, signal_type, activation_reason,
                                signal_strength, source, status, due_at, attempts, created_at, updated_at)
    SELECT user_id, %(api_key)s::uuid, %(token_address)s, %(symbol)s, %(signal_type)s, %(activation_reason)s,
           %(signal_strength)s, %(source)s, '{SignalStatus.DUE.value}', now(), 0, now(), now()
    FROM claim
    RETURNING {fixed_sql.columns_of(TradingSignal, "trading_signal")}
), message AS (
    SELECT 'user:' || user_id AS stream, 'signal_created' AS kind, jsonb_build_object(
        'id', id, 'tokenAddress', token_address, 'symbol', symbol, 'signalType', signal_type,
        'signalStrength', signal_strength, 'source', source, 'createdAt', created_at
    ) AS payload
    FROM signal
), {outbox.APPEND_MESSAGE}
SELECT * FROM signal
"""


def _take(values: Mapping[str, Any]) -> TradingSignal | None:
    """Insert the signal and its announcement unless its duplicate key is held by another for now."""
    rows = fixed_sql.fetch_all(_TAKE, values)
    return fixed_sql.model_from(TradingSignal, rows[0]) if rows else None
