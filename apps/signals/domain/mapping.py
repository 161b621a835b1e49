"""How a message from elsewhere becomes a signal: where each field stands in it, which words mean which strength, which
ticker is which token, which messages are none of our business. Written by an operator, applied without clock or query.

A message is a JSON object; plain text is one with `text`, its `lines` and its `words`. How an operator writes the
tables is in `domain.mapping_text`.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

FIELDS = ("token_address", "symbol", "signal_type", "signal_strength", "activation_reason", "source")
REQUIRED = ("token_address", "signal_type", "signal_strength")
WEAKEST, STRONGEST = 1, 5
MASK = "***"
_NAMED_CHARACTERS = 60


class MappingFault(Exception):
    """A message has no good value for `field` (one of FIELDS)."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field = field_name
        self.message = message


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field's value is: at a dotted path of the message, else the constant `otherwise`; "" is none."""

    path: str = ""
    otherwise: str = ""


class Comparison(StrEnum):
    """How an ignore rule compares; letters' case never counts."""

    EQUALS = "="
    DIFFERS = "!="
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Ignore:
    """Messages to leave alone: those whose value at `path` passes the test. A missing value equals nothing."""

    path: str
    test: Comparison
    value: str

    def matches(self, message: AnyMapping[str, Any]) -> bool:
        found = _plain_text(value_at(message, self.path))
        given, wanted = (found or "").strip().lower(), self.value.lower()
        if self.test is Comparison.CONTAINS:
            return wanted in given
        return (given == wanted) is (self.test is Comparison.EQUALS)

    def __str__(self) -> str:
        return f"{self.path} {self.test} {self.value}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Everything an operator says about one sender's messages; tickers are upper-case, words of strength lower-case."""

    places: AnyMapping[str, Place] = field(default_factory=dict)
    tickers: AnyMapping[str, str] = field(default_factory=dict)
    strengths: AnyMapping[str, int] = field(default_factory=dict)
    ignore: tuple[Ignore, ...] = ()


@dataclass(frozen=True, slots=True)
class MappedSignal:
    """What a message says, in the words of `services.create_signal`."""

    token_address: str
    signal_type: str
    signal_strength: int
    symbol: str | None
    activation_reason: str | None
    source: str | None


def text_message(text: str) -> dict[str, Any]:
    """Return plain text as a message.

    >>> text_message("BONKUSDT buy")
    {'text': 'BONKUSDT buy', 'lines': ['BONKUSDT buy'], 'words': ['BONKUSDT', 'buy']}
    """
    return {"text": text.strip(), "lines": [line.strip() for line in text.splitlines()], "words": text.split()}


def value_at(message: Any, path: str) -> Any:
    """Return what a dotted path leads to, None where it leads nowhere; numbers index lists, a key may hold dots.

    >>> value_at({"order": {"legs": [{"side": "buy"}]}}, "order.legs.0.side"), value_at({"a.b": 1}, "a.b")
    ('buy', 1)
    """
    if not path:
        return message
    if isinstance(message, AnyMapping):
        if path in message:
            return message[path]
        step, _, rest = path.partition(".")
        return value_at(message[step], rest) if rest and step in message else None
    if isinstance(message, list):
        step, _, rest = path.partition(".")
        if step.isascii() and step.isdecimal() and len(step) < 6 and int(step) < len(message):
            return value_at(message[int(step)], rest)
    return None


def masked(message: Any, path: str) -> Any:
    """Return the message with the value at `path` hidden; the message itself is left as it is.

    >>> masked({"auth": {"key": "s3cret"}, "ticker": "X"}, "auth.key")
    {'auth': {'key': '***'}, 'ticker': 'X'}
    """
    if not path:
        return MASK
    step, _, rest = path.partition(".")
    if isinstance(message, AnyMapping):
        if path in message:
            step, rest = path, ""
        return {key: masked(inner, rest) if key == step else inner for key, inner in message.items()}
    if isinstance(message, list):
        return [masked(inner, rest) if str(index) == step else inner for index, inner in enumerate(message)]
    return message


def ignored_by(mapping: Mapping, message: AnyMapping[str, Any]) -> Ignore | None:
    """Return the first rule that leaves this message alone, if any."""
    return next((rule for rule in mapping.ignore if rule.matches(message)), None)


def apply(mapping: Mapping, message: AnyMapping[str, Any]) -> MappedSignal:
    """Return the signal a message stands for. Whether the token is a mint and texts fit is for the intake to say.

    Raises:
        MappingFault: a value is missing where one is needed, or is not what its field takes.
    """
    found = {name: _found(mapping.places.get(name, Place()), message, name) for name in FIELDS}
    for name in REQUIRED:
        if found[name] is None:
            where = mapping.places.get(name, Place()).path
            raise MappingFault(name, f"the message has nothing at `{where}`" if where else "no path and no constant")
    return MappedSignal(
        token_address=_token(mapping, str(found["token_address"])),
        signal_type=str(found["signal_type"]),
        signal_strength=_strength(mapping, str(found["signal_strength"])),
        symbol=found["symbol"],
        activation_reason=found["activation_reason"],
        source=found["source"],
    )


def _found(place: Place, message: AnyMapping[str, Any], name: str) -> str | None:
    """Return a field's text, trimmed, None when there is none."""
    value = value_at(message, place.path) if place.path else None
    if value is None or value == "":
        return place.otherwise.strip() or None
    text = _plain_text(value)
    if text is None:
        raise MappingFault(name, f"what stands at `{place.path}` is no text and no number")
    if "\0" in text or (not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)):
        raise MappingFault(name, f"what stands at `{place.path}` has characters that cannot be kept")
    return text.strip() or place.otherwise.strip() or None


def _token(mapping: Mapping, text: str) -> str:
    """Return the mint of a ticker (with or without its exchange), or the text itself, which may be a mint."""
    ticker = text.upper()
    return mapping.tickers.get(ticker) or mapping.tickers.get(ticker.rpartition(":")[2]) or text


def _strength(mapping: Mapping, text: str) -> int:
    known = mapping.strengths.get(text.lower())
    if known is not None:
        return known
    if text in {str(number) for number in range(WEAKEST, STRONGEST + 1)}:
        return int(text)
    shown = text[:_NAMED_CHARACTERS]
    raise MappingFault("signal_strength", f"`{shown}` is neither in the table of words nor {WEAKEST} to {STRONGEST}")


def _plain_text(value: Any) -> str | None:
    """Return a JSON value as a person would write it; None for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _NAMED_CHARACTERS:
        return format(value.normalize(), "f")
    return str(value) if isinstance(value, (int, Decimal)) else None
