"""API keys: made, checked, deleted. Only a key's SHA-256 is kept; the key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.domain import networks
from apps.accounts.errors import AddressDenied, Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import audit, last_use
from apps.core import fixed_sql
from apps.core.errors import Invalid

KEY_PREFIX = "nex_"
_RANDOM_BYTES = 24
_SHOWN_CHARACTERS = 8


def looks_like_key(text: str) -> bool:
    """Tell a key from a token by its form.

    >>> looks_like_key("nex_" + "a" * 32), looks_like_key("eyJhbGciOi"), looks_like_key("nex_short")
    (True, False, False)
    """
    return text.startswith(KEY_PREFIX) and 36 <= len(text) <= 40


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def create(
    *,
    user: User,
    name: str,
    scopes: Sequence[str],
    actor: User | None,
    expires_at: datetime | None = None,
    allowed_ips: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which nobody can read again.

    Raises:
        Invalid: INVALID_EXPIRES_AT (not in the future), INVALID_ALLOWED_IPS (no address or network).
    """
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("INVALID_EXPIRES_AT", "expiresAt must lie in the future")
    allowed = _networks(allowed_ips)
    key = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    with transaction.atomic():
        row = ApiKey.objects.create(
            user=user,
            name=name,
            key_hash=key_hash(key),
            prefix=key[:_SHOWN_CHARACTERS],
            scopes=list(dict.fromkeys(scopes)),
            expires_at=expires_at,
            allowed_ips=allowed,
        )
        _record(actor, "api_key.created", row, after=_facts(row))
    return row, key


def ensure(*, user: User, name: str, scopes: Sequence[str], key: str) -> ApiKey:
    """Make sure that exactly this key works for the user; for keys that are given to us, as the sandbox's is."""
    with transaction.atomic():
        row, made = ApiKey.objects.get_or_create(
            key_hash=key_hash(key),
            defaults={"user": user, "name": name, "prefix": key[:_SHOWN_CHARACTERS], "scopes": list(scopes)},
        )
        if made:
            _record(None, "api_key.created", row, after=_facts(row))
    return row


def delete(*, api_key: ApiKey, actor: User | None) -> None:
    """Delete a key; it stops working at once."""
    with transaction.atomic():
        _record(actor, "api_key.deleted", api_key, before=_facts(api_key))
        api_key.delete()


def identify(key: str, *, address: str = "") -> ApiKey:
    """Return the live key this text is, with its user, in one query; note its use.

    Raises:
        Unauthenticated: unknown, expired, or its user may not sign in. AddressDenied: not from the caller's `address`.
    """
    row = _find(key_hash(key))
    if row is None or not row.user.is_active:
        raise Unauthenticated("API_KEY_INVALID", "The API key is not valid.")
    if row.expires_at is not None and row.expires_at <= timezone.now():
        raise Unauthenticated("API_KEY_EXPIRED", "The API key has expired.")
    if row.allowed_ips and not networks.contains(row.allowed_ips, address):
        raise AddressDenied
    last_use.api_keys.note(row.pk, newest=row.last_used_at)
    return row


_FIND = (
    f"SELECT {fixed_sql.columns_of(ApiKey, 'k')}, {fixed_sql.columns_of(User, 'u')}"
    " FROM api_key k JOIN account u ON u.id = k.user_id WHERE k.key_hash = %s"
)
_KEY_COLUMNS = len(ApiKey._meta.concrete_fields)


def _find(hashed: str) -> ApiKey | None:
    """Return the key with this hash and its user."""
    found = fixed_sql.fetch_all(_FIND, [hashed])
    if not found:
        return None
    row = fixed_sql.model_from(ApiKey, found[0][:_KEY_COLUMNS])
    row.user = fixed_sql.model_from(User, found[0][_KEY_COLUMNS:])
    return row


def allows(scopes: Iterable[str], wanted: str) -> bool:
    """Tell whether a key with `scopes` may do what needs the scope `wanted`.

    >>> allows(["signals"], "signals:create"), allows(["agents"], "positions"), allows(["full_access"], "history")
    (True, False, True)
    """
    held = set(scopes)
    return "full_access" in held or wanted in held or wanted.partition(":")[0] in held


def write_uses() -> None:
    """Store the noted times of last use at once; otherwise it happens when a request has been answered."""
    last_use.api_keys.write()


def _networks(texts: Sequence[str]) -> list[str]:
    try:
        return list(dict.fromkeys(networks.normalised(text) for text in texts))
    except ValueError as error:
        raise Invalid("INVALID_ALLOWED_IPS", f"allowedIps: {error}") from None


def _facts(row: ApiKey) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("name", "scopes", "prefix", "expires_at", "allowed_ips")}


def _record(actor: User | None, action: str, row: ApiKey, *, before: Any = None, after: Any = None) -> None:
    audit.record(actor=actor, action=action, object_type="api_key", object_id=row.pk, before=before, after=after)
