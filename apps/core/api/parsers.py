"""How bodies are read: JSON whose numbers stay exact. What is not plain JSON is refused with 400 MALFORMED_JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from apps.core.api.errors import MalformedBody, TooLarge

MAX_DEPTH = 64


class ExactJSONParser(BaseParser):
    """Parse JSON with `Decimal` for every number that has a point or an exponent.

    Raises:
        MalformedBody: broken JSON, NaN or Infinity, not UTF-8, nested deeper than 64.
        TooLarge: more than 1 MB.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        raw: bytes = stream.read()
        if len(raw) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise TooLarge
        if not raw.strip():
            return {}
        return parse(raw)


def parse(raw: bytes) -> Any:
    """Return the value of a JSON text.

    >>> parse(b'{"a": 0.1}')
    {'a': Decimal('0.1')}
    """
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        raise MalformedBody("The body is nested too deeply.")
    try:
        return json.loads(raw.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise MalformedBody(f"The body is not valid JSON: {_reason(error)}") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, (ArithmeticError, RecursionError)):
        return "a number or its nesting is out of all range"
    return str(error).split(";")[0]


def _depth(raw: bytes) -> int:
    """Return the deepest nesting of brackets outside strings."""
    deepest = depth = 0
    in_string = escaped = False
    for byte in raw:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
