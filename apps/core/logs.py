"""What every log line goes through: secrets are masked, and on a console it is made easy to read."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

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


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values that are secrets by name, and keys, tokens and URL passwords wherever they stand in text."""
    for name, value in event.items():
        lowered = name.lower()
        if any(word in lowered for word in _SECRET_NAMES) and lowered not in _NOT_SECRET:
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(lambda match: (match[1] or match[2] or match[3]) + MASK, value)
    return event


_fields = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def render_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """Return one line for a person: time (UTC), level where it is not info, event, fields; a traceback below it."""
    at, level = str(event.pop("at", ""))[11:23], str(event.pop("level", "info"))
    trace = event.pop("exception", None)
    what = " ".join(str(event.pop("event", "")).split())
    source = str(event.pop("logger", "")).rpartition(".")[2]
    head = f"{at} {'' if level == 'info' else level.upper() + ' '}{what}"
    if " " in what:  # a sentence of a library: say whose
        head += f" ({source})"
    line = f"{head} {_fields(logger, method, event)}".rstrip()
    return f"{line}\n{trace}" if trace else line
