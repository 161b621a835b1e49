"""Small secrets sealed for the database: AES-256-GCM under a key derived from SECRET_KEY.

Who only has the database (a backup, a replica) can use none of them. SECRET_KEY_FALLBACKS still open what an older
SECRET_KEY sealed.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.utils.crypto import salted_hmac

_NONCE_BYTES = 12
_SALT = "apps.accounts.sealing"


class Unreadable(Exception):
    """What was sealed cannot be opened: SECRET_KEY changed without a fallback, or the row was tampered with."""


def seal(secret: bytes, *, bound_to: str) -> str:
    """Return `secret` sealed, as text; it opens only for the same `bound_to` (the row's owner)."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(_key(settings.SECRET_KEY)).encrypt(nonce, secret, bound_to.encode())
    return urlsafe_b64encode(nonce + sealed).decode()


def unseal(text: str, *, bound_to: str) -> bytes:
    """Return the secret.

    Raises:
        Unreadable: no key of this desk opens it.
    """
    try:
        raw = urlsafe_b64decode(text)
    except ValueError:
        raise Unreadable from None
    for secret_key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            return AESGCM(_key(secret_key)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError):
            continue
    raise Unreadable


def digest(text: str, *, bound_to: str, length: int) -> str:
    """Return `length` characters (6 bits each) that prove knowledge of `text` and cannot be turned back into it."""
    mac = salted_hmac(f"{_SALT}.digest.{bound_to}", text, algorithm="sha256").digest()
    return urlsafe_b64encode(mac).decode()[:length]


def _key(secret_key: str) -> bytes:
    return salted_hmac(f"{_SALT}.key", b"", secret=secret_key, algorithm="sha256").digest()
