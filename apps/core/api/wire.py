"""How values look on the wire: decimals as JavaScript writes them, times in milliseconds with Z, JSON bytes.

Pure apart from orjson. `fields` declares which decimal is a JSON number and which a string; this page only writes them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
_SHORTEST_EXPONENT = -7
_LONGEST_EXPONENT = 21


def decimal_text(value: Decimal) -> str:
    """Return the text a JavaScript client expects: no trailing zeros, exponent form for very small and very large.

    >>> [decimal_text(Decimal(text)) for text in ("0E-18", "1.500", "0.000000001", "6.632E-11", "100", "1E+21")]
    ['0', '1.5', '1e-9', '6.632e-11', '100', '1e+21']
    """
    if not value:
        return "0"
    exponent = value.adjusted()
    if _SHORTEST_EXPONENT < exponent < _LONGEST_EXPONENT:
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, digits, _ = value.as_tuple()
    mantissa = "".join(map(str, digits)).rstrip("0")
    point = f"{mantissa[0]}.{mantissa[1:]}" if len(mantissa) > 1 else mantissa
    return f"{'-' if sign else ''}{point}e{'+' if exponent > 0 else ''}{exponent}"


def timestamp_text(value: datetime) -> str:
    """Return ISO-8601 UTC with milliseconds and Z.

    >>> timestamp_text(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    '2026-01-02T03:04:05.678Z'
    """
    return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class Raw:
    """JSON that is written already."""

    def __init__(self, text: bytes) -> None:
        self.text = text


def encode(value: Any) -> bytes:
    """Return compact JSON; a Decimal becomes a JSON number with every digit it has, a time its text.

    >>> encode({"a": Decimal("1E-9"), "b": 2**70})
    b'{"a":1e-9,"b":1180591620717411303424}'
    """
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_fitting(value), default=_default, option=_OPTIONS)


def over_lines(text: bytes) -> bytes:
    """Return JSON that `encode` wrote with a line for each value, for people; no digit of a number is lost.

    >>> over_lines(b'{"a":[1e-9,0.12345678901234567890123]}').decode().split()
    ['{', '"a":', '[', '1e-9,', '0.12345678901234567890123', ']', '}']
    """
    value = json.loads(text, parse_float=Decimal)
    return orjson.dumps(_fitting(value), default=_default, option=_OPTIONS | orjson.OPT_INDENT_2)


def _fitting(value: Any) -> Any:
    """Return the value with what orjson refuses made fit: integers beyond 64 bits, halves of surrogate pairs."""
    if isinstance(value, dict):
        return {_fitting(key): _fitting(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fitting(inner) for inner in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return orjson.Fragment(str(value))
    return value


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(decimal_text(value))
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, Raw):
        return orjson.Fragment(value.text)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return list(value)
    return str(value)
