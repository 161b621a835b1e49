"""Signatures as the Standard Webhooks specification writes them: HMAC-SHA256 over `id.timestamp.body`, in base64.

Pure. Several secrets (a rotation's old and new) give several signatures in one header, separated by spaces.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's mark of a secret, not one
SECRET_BYTES = 32


def secret_text(key: bytes) -> str:
    """Return a key as people are given it.

    >>> secret_text(bytes(24))
    'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return SECRET_PREFIX + b64encode(key).decode()


def signature(secret: str, *, event_id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,<base64>` for what is sent at `timestamp` (Unix seconds).

    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
    ...           timestamp=1614265330, body=b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secrets: Iterable[str], *, event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of the specification."""
    signatures = [signature(secret, event_id=event_id, timestamp=timestamp, body=body) for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
