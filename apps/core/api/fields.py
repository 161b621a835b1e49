"""Fields of bodies, queries and answers: strict going in, exact going out.

A JSON string is not taken for a number, nor a number for a string; a Decimal keeps every digit. In queries and forms,
where everything is text, numbers and flags are read from text. How they describe themselves is in `field_schemas`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers

from apps.core import base58
from apps.core.api import wire

_NUMBER = re.compile(r"[+-]?(\d{1,60}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d{1,20}")
_LARGEST_INTEGER = 2**63 - 1
_SPACE_FOR_PLUS = re.compile(r"(?<=[\d.]) (?=\d\d:?\d\d$)")


#: A character that shows: text of none is blank.
VISIBLE = r"[^\s\u0000-\u001f\u0085]"
_VISIBLE = re.compile(VISIBLE)
# What shows, and the NUL that no field takes: it is refused by name and not passed over.
_SOMETHING = re.compile(rf"{VISIBLE}|\u0000")


class Text(serializers.CharField):
    """A string that PostgreSQL can keep; trimmed unless `trim_whitespace=False`."""

    default_error_messages = {"invalid": "must be a string", "blank": "must not be blank", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        if self.trim_whitespace and not self.allow_blank and not _VISIBLE.search(text):
            self.fail("blank")
        return text


class OptionalText(Text):
    """A string that may be null or blank; blank is null."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, "allow_blank": True, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(data) or None


class Mint(Text):
    """A Solana address: base58 of 32 bytes, case kept."""

    default_error_messages = {"mint": "must be a Solana address (base58 of 32 bytes)"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not base58.is_address(text):
            self.fail("mint")
        return text


class Flag(serializers.Field):
    """true or false."""

    default_error_messages = {"invalid": "must be true or false", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> bool:
        if isinstance(data, bool):
            return data
        if _is_text(self) and data in ("true", "false"):
            return bool(data == "true")
        self.fail("invalid")

    def to_representation(self, value: Any) -> bool:
        return bool(value)


class WholeNumber(serializers.Field):
    """An integer; 3.0 is one."""

    default_error_messages = {
        "invalid": "must be a whole number",
        "range": "must be a whole number from {low} to {high}",
        "null": "must not be null",
    }

    def __init__(self, *, low: int = -_LARGEST_INTEGER, high: int = _LARGEST_INTEGER, **options: Any) -> None:
        super().__init__(**options)
        self.low, self.high = low, high

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and _is_text(self) and _WHOLE.fullmatch(data.strip()):
            data = int(data)
        if isinstance(data, Decimal):
            if not data.is_finite() or data.adjusted() > 20:
                self._out_of_range()
            if data != data.to_integral_value():
                self.fail("invalid")
            data = int(data)
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        if not self.low <= data <= self.high:
            self._out_of_range()
        return int(data)

    def _out_of_range(self) -> None:
        self.fail("range", low=self.low, high=self.high)

    def to_representation(self, value: Any) -> int:
        return int(value)


class Exact(serializers.Field):
    """A number without rounding, sent as a JSON number or as decimal text.

    `digits` before the point are what the column holds; `low` is inclusive, `above` is not.
    """

    default_error_messages = {
        "invalid": "must be a number",
        "low": "must be at least {bound}",
        "above": "must be greater than {bound}",
        "large": "is too large: at most {digits} digits before the point",
        "places": "has too many decimal places: at most {places}",
        "null": "must not be null",
    }

    def __init__(
        self,
        *,
        digits: int = 20,
        places: int | None = None,
        low: Decimal | int | None = None,
        above: Decimal | int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.digits, self.places, self.low, self.above = digits, places, low, above

    def to_internal_value(self, data: Any) -> Decimal:
        value = self._number(data)
        if value.adjusted() >= self.digits and value:
            self.fail("large", digits=self.digits)
        if self.low is not None and value < self.low:
            self.fail("low", bound=self.low)
        if self.above is not None and value <= self.above:
            self.fail("above", bound=self.above)
        exponent = value.normalize().as_tuple().exponent
        if self.places is not None and isinstance(exponent, int) and -exponent > self.places:
            self.fail("places", places=self.places)
        return value if value else Decimal(0)

    def _number(self, data: Any) -> Decimal:
        if isinstance(data, Decimal) and data.is_finite():
            return data
        if isinstance(data, int) and not isinstance(data, bool) and data.bit_length() < 4096:
            return Decimal(data)
        if isinstance(data, str) and _NUMBER.fullmatch(data.strip()):
            return Decimal(data.strip())
        self.fail("invalid")

    def to_representation(self, value: Any) -> Decimal:
        return Decimal(value)


class Moment(serializers.Field):
    """A time: ISO 8601 or an e-mail date going in (without an offset it is UTC), milliseconds and Z going out."""

    default_error_messages = {"invalid": "must be an ISO 8601 time", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> datetime:
        moment = read_moment(data) if isinstance(data, str) else None
        if moment is None:
            self.fail("invalid")
        return moment

    def to_representation(self, value: datetime) -> str:
        return wire.timestamp_text(value)


class LastMoment(Moment):
    """The inclusive end of a range: kept finer than it is shown, a time counts with its whole millisecond."""

    def to_internal_value(self, data: Any) -> datetime:
        moment = super().to_internal_value(data)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000 + 999)


class Identifier(serializers.Field):
    """A UUID in its usual form."""

    default_error_messages = {"invalid": "must be a UUID", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> UUID:
        found = read_uuid(data)
        if found is None:
            self.fail("invalid")
        return found

    def to_representation(self, value: Any) -> str:
        return str(value)


class Choice(serializers.ChoiceField):
    """One of a few words."""

    default_error_messages = {"invalid_choice": "must be one of {choices}", "null": "must not be null"}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", choices=", ".join(map(str, self.choices)))
        return data


class Anything(serializers.Field):
    """Any JSON value, as it came."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


# Going out. `Num` and `StrDecimal` differ only on the wire: 1.5 and "1.5".


class Num(serializers.Field):
    """A Decimal as a JSON number with all its digits."""

    def to_representation(self, value: Any) -> Any:
        return value


class StrDecimal(serializers.Field):
    """A Decimal as decimal text."""

    def to_representation(self, value: Decimal) -> str:
        return wire.decimal_text(value)


def says_something(text: str) -> bool:
    """Tell whether a query parameter is given: one of spaces and control characters counts as absent.

    >>> says_something("x"), says_something(" \\t\\x01"), says_something("\\x00")
    (True, False, True)
    """
    return _SOMETHING.search(text) is not None


def read_uuid(data: Any) -> UUID | None:
    """Return a UUID written in its usual form, else None.

    >>> read_uuid("{6f1f0d1e-0000-4000-8000-000000000000}") is None
    True
    """
    if not isinstance(data, str) or len(data) != 36 or data.count("-") != 4:
        return None
    try:
        return UUID(data)
    except ValueError:
        return None


def read_moment(text: str) -> datetime | None:
    """Return the time a text names, in UTC, else None.

    >>> read_moment("2026-01-02"), read_moment("2026-01-02T03:04:05 01:00") == read_moment("2026-01-02T02:04:05Z")
    (datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc), True)
    >>> read_moment("yesterday") is None
    True
    """
    written = _SPACE_FOR_PLUS.sub("+", text.strip())
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        try:
            moment = parsedate_to_datetime(written)
        except (ValueError, IndexError, TypeError):
            return None
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def _is_text(field: serializers.Field) -> bool:
    """Tell whether the field's value came from a query or a form, where everything is text."""
    return bool(getattr(field.root, "from_text", False))
