"""What every log line goes through: secrets are masked, and on a console it is made easy to read.

What has to say something outside of any logger (an exception nobody caught, a warning of a library) goes through it
too, so that with LOG_FORMAT=json every line a process writes is one JSON object.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from functools import lru_cache
from types import TracebackType
from typing import Any

import structlog

#: The field that follows a request into tasks and their lines.
REQUEST_ID = "request_id"
_SECRET_NAMES = (
    "password",
    "secret",
    "token",
    "authorization",
    "cookie",
    "api_key",
    "apikey",
    "passphrase",
    "private",
    "mnemonic",
    "keypair",
    "otp",
)
_NOT_SECRET = (
    "token_address",
    "token_symbol",
    "tokens",
    "token_count",
    "input_token",
    "output_token",
)
#: No secret is recognised in a text without one of these.
_SUSPICIOUS = (" ", "=", "://", "nex_", "whk_", "eyJ", "[")
#: Kept are the words that say what it was: API key or address of a signal webhook, JWT, webhook secret, header, query,
#: TOTP address, URL's password.
_SECRET_TEXT = re.compile(
    r"((?:nex|whk)_[A-Za-z0-9_-]{4})[A-Za-z0-9_-]{8,}"
    r"|(eyJ[A-Za-z0-9_-]{6})[A-Za-z0-9_.-]{20,}"
    r"|(whsec_)[A-Za-z0-9+/=_-]{8,}"
    r"|((?i:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}"
    r"|((?i:secret|password|passphrase|token|ticket|api-?key|sessionid)=)[^&\s\"']+"
    r"|(://[^:/@\s]*:)[^@/\s]+(?=@)"
)
#: A private key as wallets export it: the numbers of 64 bytes.
_KEY_BYTES = re.compile(r"\[\s*(?:\d{1,3}\s*,\s*){63}\d{1,3}\s*\]")
MASK = "***"


def mask_text(text: str) -> str:
    """Return `text` without what can be recognised as a secret.

    >>> mask_text("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    'signed with whsec_***'
    """
    if not any(mark in text for mark in _SUSPICIOUS):
        return text  # event names, ids, paths: nearly all, and each request's line has some
    masked = _SECRET_TEXT.sub(lambda match: f"{match[match.lastindex or 0]}{MASK}", text)
    return _KEY_BYTES.sub(MASK, masked) if "[" in masked else masked


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values that are secrets by name, and keys, tokens and passwords wherever they stand in text."""
    for name, value in event.items():
        event[name] = _masked(name, value)
    return event


def _masked(name: str, value: Any) -> Any:
    if _is_secret(name):
        return MASK
    if type(value) is str:
        return mask_text(value)
    if isinstance(value, dict):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) == 64 and all(isinstance(one, int) for one in value):
            return MASK
        return [_masked("", inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float)) else mask_text(str(value))


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_NAMES) and lowered not in _NOT_SECRET


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


def capture_the_rest() -> None:
    """Let warnings and exceptions nobody caught be log lines too."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("process").critical("process_broke", exc_info=(kind, error, trace))


def _uncaught_in_thread(details: threading.ExceptHookArgs) -> None:
    if details.exc_type is SystemExit or details.exc_value is None:
        return
    name = None if details.thread is None else details.thread.name
    problem = (details.exc_type, details.exc_value, details.exc_traceback)
    structlog.get_logger("process").error("thread_broke", thread=name, exc_info=problem)
