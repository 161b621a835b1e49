"""API keys: made, checked, deleted. Only a key's SHA-256 is kept; the key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import audit

KEY_PREFIX = "nex_"
_RANDOM_BYTES = 24
_SHOWN_CHARACTERS = 8
_NOTE_EVERY_SECONDS = 60.0

_noted: dict[UUID, float] = {}
_to_write: dict[UUID, datetime] = {}
_lock = threading.Lock()


def looks_like_key(text: str) -> bool:
    """Tell a key from a token by its form.

    >>> looks_like_key("nex_" + "a" * 32), looks_like_key("eyJhbGciOi"), looks_like_key("nex_short")
    (True, False, False)
    """
    return text.startswith(KEY_PREFIX) and 36 <= len(text) <= 40


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def create(
    *, user: User, name: str, scopes: Sequence[str], actor: User | None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which nobody can read again."""
    key = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    with transaction.atomic():
        row = ApiKey.objects.create(
            user=user,
            name=name,
            key_hash=key_hash(key),
            prefix=key[:_SHOWN_CHARACTERS],
            scopes=list(dict.fromkeys(scopes)),
            expires_at=expires_at,
        )
        audit.record(
            actor=actor,
            action="api_key.created",
            object_type="api_key",
            object_id=row.pk,
            after={"name": name, "scopes": row.scopes, "prefix": row.prefix, "expires_at": expires_at},
        )
    return row, key


def ensure(*, user: User, name: str, scopes: Sequence[str], key: str) -> ApiKey:
    """Make sure that exactly this key works for the user; for keys that are given to us, as the sandbox's is."""
    with transaction.atomic():
        row, made = ApiKey.objects.get_or_create(
            key_hash=key_hash(key),
            defaults={"user": user, "name": name, "prefix": key[:_SHOWN_CHARACTERS], "scopes": list(scopes)},
        )
        if made:
            audit.record(
                actor=None,
                action="api_key.created",
                object_type="api_key",
                object_id=row.pk,
                after={"name": name, "scopes": row.scopes, "prefix": row.prefix},
            )
    return row


def delete(*, api_key: ApiKey, actor: User | None) -> None:
    """Delete a key; it stops working at once."""
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="api_key.deleted",
            object_type="api_key",
            object_id=api_key.pk,
            before={"name": api_key.name, "scopes": api_key.scopes, "prefix": api_key.prefix},
        )
        api_key.delete()


def identify(key: str) -> ApiKey:
    """Return the live key this text is, with its user, in one query; note its use.

    Raises:
        Unauthenticated: unknown, expired, or its user may not sign in.
    """
    row = _find(key_hash(key))
    if row is None or not row.user.is_active:
        raise Unauthenticated("API_KEY_INVALID", "The API key is not valid.")
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise Unauthenticated("API_KEY_EXPIRED", "The API key has expired.")
    _note_use(row.pk)
    return row


def _columns(model: type[Model]) -> list[str]:
    return [str(field.column) for field in model._meta.concrete_fields]


def _listed(model: type[Model], alias: str) -> str:
    return ", ".join(f'{alias}."{column}"' for column in _columns(model))


# Written once: building this query anew for every signal costs more than running it.
_FIND = (
    f"SELECT {_listed(ApiKey, 'k')}, {_listed(User, 'u')}"
    " FROM api_key k JOIN account u ON u.id = k.user_id WHERE k.key_hash = %s"
)


def _find(hashed: str) -> ApiKey | None:
    """Return the key with this hash and its user, as the ORM would."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [hashed])
        found = cursor.fetchone()
    if found is None:
        return None
    of_key = [field.attname for field in ApiKey._meta.concrete_fields]
    of_user = [field.attname for field in User._meta.concrete_fields]
    row = ApiKey.from_db(connection.alias, of_key, found[: len(of_key)])
    row.user = User.from_db(connection.alias, of_user, found[len(of_key) :])
    return row


def allows(scopes: Iterable[str], wanted: str) -> bool:
    """Tell whether a key with `scopes` may do what needs the scope `wanted`.

    >>> allows(["signals"], "signals:create"), allows(["agents"], "positions"), allows(["full_access"], "history")
    (True, False, True)
    """
    held = set(scopes)
    return "full_access" in held or wanted in held or wanted.partition(":")[0] in held


def _note_use(key_id: UUID) -> None:
    """Remember a use, at most once a minute per key; `write_uses` stores it after the answer has left."""
    now = time.monotonic()
    if now - _noted.get(key_id, -_NOTE_EVERY_SECONDS) < _NOTE_EVERY_SECONDS:
        return
    with _lock:
        _noted[key_id] = now
        _to_write[key_id] = timezone.now()


def write_uses(**_signal: object) -> None:
    """Store the noted times of last use. Runs when a request has been answered (Django's request_finished)."""
    if not _to_write:
        return
    with _lock:
        uses, waiting = dict(_to_write), _to_write
        waiting.clear()
    for key_id, used_at in uses.items():
        ApiKey.objects.filter(pk=key_id).update(last_used_at=used_at)
