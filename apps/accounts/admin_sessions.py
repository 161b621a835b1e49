"""Django's session engine over `AdminSession`: rows that know their user and place, under a digest of the cookie.

Only the digest is stored. `services.sessions` lists and ends rows; this is how Django reads and writes them.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import AdminSession
from apps.accounts.services import last_use
from apps.accounts.services.sessions import Client
from apps.core.api import limits

#: What a sign-in leaves in its session's own data: since when, from where, with what.
ORIGIN = "origin"
_NAMESPACE = uuid.UUID("8a6e3a0e-6c1f-4e0e-9f57-0a4b5f3f6d21")


def session_id(session_key: str) -> uuid.UUID:
    """Return the row's key of a cookie's value; the way back does not exist."""
    return uuid.uuid5(_NAMESPACE, session_key)


def note_origin(request: HttpRequest, **_signal: Any) -> None:
    """Remember where a sign-in comes from (Django's user_logged_in)."""
    client = Client.of(address=limits.client_address(request), user_agent=request.META.get("HTTP_USER_AGENT", ""))
    request.session[ORIGIN] = {
        "at": timezone.now().isoformat(),
        "address": client.address,
        "user_agent": client.user_agent,
    }


class SessionStore(SessionBase):
    """One admin session."""

    def load(self) -> dict[str, Any]:
        row = self._row()
        if row is None:
            self._session_key = None
            return {}
        last_use.admin_sessions.note(row.pk, newest=row.last_used_at)
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return AdminSession.objects.filter(pk=session_id(session_key)).exists()

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]  # the stubs lack it
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        key, values = session_id(self.session_key), self._columns(no_load=must_create)
        if not must_create:
            if not AdminSession.objects.filter(pk=key).update(**values):
                raise UpdateError
            return
        try:
            with transaction.atomic():
                AdminSession.objects.create(pk=key, **{"created_at": timezone.now(), **values})
        except IntegrityError:
            raise CreateError from None

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            AdminSession.objects.filter(pk=session_id(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        AdminSession.objects.filter(expires_at__lt=timezone.now()).delete()

    def _row(self) -> AdminSession | None:
        if self.session_key is None:
            return None
        return AdminSession.objects.filter(pk=session_id(self.session_key), expires_at__gt=timezone.now()).first()

    def _columns(self, *, no_load: bool) -> dict[str, Any]:
        data = self._get_session(no_load=no_load)  # type: ignore[attr-defined]  # the stubs lack it
        values = {
            "user_id": data.get(SESSION_KEY),
            "session_data": self.encode(data),
            "expires_at": self.get_expiry_date(),
        }
        origin = data.get(ORIGIN)
        if origin:
            values |= {
                "created_at": datetime.fromisoformat(origin["at"]),
                "address": origin["address"],
                "user_agent": origin["user_agent"],
            }
        return values
