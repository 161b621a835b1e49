"""How private keys are written where people keep them: base58 of 64 bytes, or the 64 numbers of `id.json`.

A mistake is told without showing any of it.
"""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solders.keypair import Keypair

from apps.wallets.signer.key_file import wipe
from apps.wallets.signer.reasons import Reason, Refused

_SEED_BYTES = 32


def read(text: str) -> Ed25519PrivateKey:
    """Return the key a text holds; its public half must belong to the private one.

    Raises:
        Refused: KEY_UNREADABLE.
    """
    secret = bytearray()
    try:
        stripped = text.strip()
        if stripped.startswith("["):
            secret = bytearray(json.loads(stripped))
            Keypair.from_bytes(bytes(secret))
        else:
            secret = bytearray(bytes(Keypair.from_base58_string(stripped)))
        return Ed25519PrivateKey.from_private_bytes(secret[:_SEED_BYTES])
    except (ValueError, TypeError):
        raise Refused(
            Reason.KEY_UNREADABLE, "Expected a private key: base58 of 64 bytes, or an array of 64 numbers."
        ) from None
    finally:
        wipe(secret)
