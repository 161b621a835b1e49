"""The signer for doors and services: its refusals become errors of the desk, and its door is where the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from apps.core.errors import SoldeskError
from apps.wallets.signer.reasons import Reason
from apps.wallets.signer_client import AsyncSigner, Signer, SignerRefused, SignerUnavailable

#: What a person asked for and did not get: the code of the API and its status.
_TOLD: dict[str, tuple[str, int]] = {
    Reason.KEY_UNKNOWN: ("KEY_NOT_FOUND", 404),
    Reason.KEY_EXISTS: ("KEY_EXISTS", 409),
    Reason.KEY_UNREADABLE: ("KEY_UNREADABLE", 400),
    Reason.KEY_FROM_ENVIRONMENT: ("KEY_FROM_ENVIRONMENT", 409),
    Reason.PASSPHRASE_WEAK: ("PASSPHRASE_WEAK", 400),
    Reason.PASSPHRASE_WRONG: ("PASSPHRASE_WRONG", 400),
    Reason.PASSPHRASE_LOCKED: ("PASSPHRASE_LOCKED", 423),
    Reason.BAD_REQUEST: ("VALIDATION_ERROR", 400),
}


def signer() -> Signer:
    """Return the signer, for code that waits."""
    return Signer(settings.SIGNER_SOCKET)


def async_signer() -> AsyncSigner:
    """Return the signer, for an event loop."""
    return AsyncSigner(settings.SIGNER_SOCKET)


@contextmanager
def asking() -> Iterator[Signer]:
    """Ask the signer; what it refuses, or its absence, is raised as an error of the desk."""
    try:
        yield signer()
    except SignerRefused as refusal:
        told = _TOLD.get(refusal.code)
        if told is None:
            raise SoldeskError("SIGNER_UNAVAILABLE", "The signer could not do it: see its log.", status=503) from None
        raise SoldeskError(told[0], refusal.message, status=told[1]) from None
    except SignerUnavailable:
        raise SoldeskError(
            "SIGNER_UNAVAILABLE", "The signer does not answer: an operator starts it.", status=503
        ) from None
