"""Reads of signals. Deleted ones are gone for every caller here; what was traded on them stays."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.signals.models import SignalDedup, TradingSignal


def list_signals(*, user: User) -> QuerySet[TradingSignal]:
    """Return a user's signals, unordered."""
    return TradingSignal.objects.filter(user=user, deleted_at=None)


def get_signal(*, user: User, signal_id: int) -> TradingSignal:
    """Return one signal of the user.

    Raises:
        NotFound: SIGNAL_NOT_FOUND.
    """
    signal = list_signals(user=user).filter(pk=signal_id).first()
    if signal is None:
        raise NotFound("SIGNAL_NOT_FOUND", "There is no such signal.")
    return signal


def is_held(user_id: UUID, token_address: str, signal_type: str, signal_strength: int) -> bool:
    """Tell whether such a signal would be a duplicate at this moment."""
    return SignalDedup.objects.filter(
        user_id=user_id,
        token_address=token_address,
        signal_type=signal_type,
        signal_strength=signal_strength,
        expires_at__gt=Now(),
    ).exists()
