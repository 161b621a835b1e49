"""Reads of signals. Deleted ones are gone for every caller here; what was traded on them stays."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.signals.models import TradingSignal


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
