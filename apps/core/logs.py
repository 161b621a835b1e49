"""What every log line goes through: secrets are masked before anything is written."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

_SECRET_NAMES = (
    "password",
    "secret",
    "token",
    "authorization",
    "api_key",
    "apikey",
    "passphrase",
    "private",
)
_NOT_SECRET = (
    "token_address",
    "token_symbol",
    "tokens",
    "token_count",
    "input_token",
    "output_token",
)
_SECRET_TEXT = re.compile(
    r"(nex_[A-Za-z0-9_-]{4})[A-Za-z0-9_-]{8,}|(eyJ[A-Za-z0-9_-]{6})[A-Za-z0-9_.-]{20,}|(://[^:/@\s]*:)[^@/\s]+(?=@)"
)
MASK = "***"


def mask_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values that are secrets by name, and keys, tokens and URL passwords wherever they stand in text."""
    for name, value in event.items():
        lowered = name.lower()
        if (
            any(word in lowered for word in _SECRET_NAMES)
            and lowered not in _NOT_SECRET
        ):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(
                lambda match: (match[1] or match[2] or match[3]) + MASK, value
            )
    return event
