"""How the fields of `fields` describe themselves to the OpenAPI document: types as on the wire, with their limits.

A pattern here says what the field's parser says. What JSON Schema cannot express (places of a JSON number, a time's
range) stands in the description.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension

from apps.core.api.fields import VISIBLE, Exact, Text, WholeNumber
from apps.core.api.shapes import Query

#: Decimal text as `wire.decimal_text` writes it.
DECIMAL_OUT = r"^-?\d+(\.\d+)?(e[+-]\d+)?$"
#: A mint or wallet address: base58 of 32 bytes.
ADDRESS = r"^[1-9A-HJ-NP-Za-km-z]{32,44}$"
#: Milliseconds and Z, always.
MOMENT_OUT = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_NOT_BLANK = rf"^[^\u0000]*{VISIBLE}[^\u0000]*$"
_NO_NUL = r"^[^\u0000]*$"

_OUT: dict[str, dict[str, Any]] = {
    "Num": {"type": "number"},
    "StrDecimal": {"type": "string", "format": "decimal", "pattern": DECIMAL_OUT},
    "Flag": {"type": "boolean"},
    "Identifier": {"type": "string", "format": "uuid"},
    "Anything": {},
}


class _Described(OpenApiSerializerFieldExtension):
    """Base of what follows: fields of one class and its subclasses."""

    match_subclasses = True


class _Plain(_Described):
    """Fields without limits of their own."""

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        kind = next(each.__name__ for each in type(self.target).__mro__ if each.__name__ in _OUT)
        return dict(_OUT[kind])


class DescribedNum(_Plain):
    target_class = "apps.core.api.fields.Num"


class DescribedStrDecimal(_Plain):
    target_class = "apps.core.api.fields.StrDecimal"


class DescribedFlag(_Plain):
    target_class = "apps.core.api.fields.Flag"


class DescribedIdentifier(_Plain):
    target_class = "apps.core.api.fields.Identifier"


class DescribedAnything(_Plain):
    target_class = "apps.core.api.fields.Anything"


class DescribedMoment(_Described):
    target_class = "apps.core.api.fields.Moment"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema = {"type": "string", "format": "date-time"}
        return schema if direction == "request" else {**schema, "pattern": MOMENT_OUT}


class DescribedMint(_Described):
    target_class = "apps.core.api.fields.Mint"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "string", "pattern": ADDRESS, "minLength": 32, "maxLength": 44}


class DescribedText(_Described):
    target_class = "apps.core.api.fields.Text"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        field: Text = self.target
        blank_is_fine = field.allow_blank or not field.trim_whitespace or isinstance(field.root, Query)
        schema: dict[str, Any] = {"type": "string", "pattern": _NO_NUL if blank_is_fine else _NOT_BLANK}
        if field.max_length is not None:
            schema["maxLength"] = field.max_length
        return schema


def shortest(field: Text) -> int:
    """Return the fewest characters a text must have; none in a query, where an empty parameter is an absent one."""
    if field.allow_blank or isinstance(field.root, Query):
        return 0
    return field.min_length or 1


class DescribedWholeNumber(_Described):
    target_class = "apps.core.api.fields.WholeNumber"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        field: WholeNumber = self.target
        if direction == "request":
            return {"type": "integer", "minimum": field.low, "maximum": field.high}
        return {"type": "integer"}


class DescribedExact(_Described):
    """A JSON number or decimal text; a bound that text cannot show is said in words."""

    target_class = "apps.core.api.fields.Exact"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        field: Exact = self.target
        if direction == "response":
            return {"type": "number"}
        return {
            "oneOf": [{"type": "number", **_bounds(field)}, {"type": "string", "pattern": _decimal_in(field)}],
            "description": _words(field),
        }


def _bounds(field: Exact) -> dict[str, Any]:
    bounds: dict[str, Any] = {"exclusiveMaximum": 10**field.digits}
    if field.above is not None:
        return {**bounds, "exclusiveMinimum": _number(field.above)}
    if field.low is not None:
        return {**bounds, "minimum": _number(field.low)}
    return {**bounds, "exclusiveMinimum": -(10**field.digits)}


def _number(bound: Any) -> int | float:
    return int(bound) if bound == int(bound) else float(bound)


def _decimal_in(field: Exact) -> str:
    """Return the pattern of plain decimal text within the field's digits and sign."""
    places = 60 if field.places is None else field.places
    sign = "-?" if field.low is None and field.above is None else ""
    positive = r"(?=.*[1-9])" if field.above is not None else ""
    return rf"^{positive}{sign}\d{{1,{field.digits}}}(\.\d{{1,{places}}})?$"


def _words(field: Exact) -> str:
    words = ["A JSON number or decimal text, taken without rounding"]
    if field.places is not None:
        words.append(f"at most {field.places} decimal places")
    if field.above is not None:
        words.append(f"above {field.above}")
    if field.low is not None:
        words.append(f"at least {field.low}")
    return ", ".join(words) + "."
