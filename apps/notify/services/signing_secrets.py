"""Signing secrets: made, sealed for the database, opened to sign. Shown once, by whoever made them."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Protocol
from uuid import UUID

from apps.accounts import sealing
from apps.notify.domain import signing


class Signed(Protocol):
    """Whatever carries an endpoint's sealed secrets."""

    @property
    def endpoint_id(self) -> UUID: ...
    @property
    def sealed_secret(self) -> str: ...
    @property
    def sealed_previous_secret(self) -> str: ...
    @property
    def previous_secret_until(self) -> datetime | None: ...


def make(endpoint_id: UUID, clear: str | None = None) -> tuple[str, str]:
    """Return a secret, a new one unless given, in clear and sealed for one endpoint."""
    clear = clear or signing.secret_text(secrets.token_bytes(signing.SECRET_BYTES))
    return clear, sealing.seal(clear.encode(), bound_to=_bound_to(endpoint_id))


def of_parcel(parcel: Signed, *, now: datetime) -> list[str]:
    """Return the secrets to sign with at `now`, the present one first.

    Raises:
        Unreadable: SECRET_KEY is not the one the present secret was sealed with.
    """
    sealed = [parcel.sealed_secret]
    if parcel.previous_secret_until is not None and now < parcel.previous_secret_until:
        sealed.append(parcel.sealed_previous_secret)
    return [sealing.unseal(text, bound_to=_bound_to(parcel.endpoint_id)).decode() for text in sealed]


def _bound_to(endpoint_id: UUID) -> str:
    return f"webhook endpoint {endpoint_id}"
