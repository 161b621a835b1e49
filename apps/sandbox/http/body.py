"""Reading a control request: typed fields out of a JSON object, and a coded refusal that names the field."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError, loads
from typing import Any, overload

from aiohttp import web

MAX_BODY_BYTES = 1_000_000
MAX_DIGITS = 60


class BadRequest(Exception):
    """The request cannot be carried out; leaves as `{"code", "message", "field"}`."""

    def __init__(self, code: str, message: str, *, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.status = status


class Fields:
    """The members of a request's JSON object; unknown ones are refused by `done`.

    `within` is where the object itself lies in the request ("points.3."), for the field a refusal names.
    """

    def __init__(self, document: dict[str, Any], *, within: str = "") -> None:
        self._document = document
        self._within = within
        self._known: set[str] = set()

    @classmethod
    async def of(cls, request: web.Request) -> Fields:
        """Read the request's body.

        Raises:
            BadRequest: when it is not a JSON object.
        """
        text = await request.text()
        if not text.strip():
            return cls({})
        try:
            document = loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        except (JSONDecodeError, RecursionError, ValueError):
            raise BadRequest("INVALID_JSON", "the body must be a JSON object") from None
        if not isinstance(document, dict):
            raise BadRequest("INVALID_JSON", "the body must be a JSON object")
        return cls(document)

    @overload
    def text(self, name: str, *, default: str) -> str: ...

    @overload
    def text(self, name: str) -> str | None: ...

    def text(self, name: str, *, default: str | None = None) -> str | None:
        """Return a string member."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, "must be a non-empty string")
        return value.strip()

    def choice(self, name: str, choices: Iterable[str], *, default: str | None = None) -> str:
        """Return a member that is one of `choices`; required when there is no default."""
        allowed = list(choices)
        value = self.text(name) or default
        if value is None:
            raise self.required(name)
        if value not in allowed:
            raise self.wrong(name, f"must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a true/false member."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    @overload
    def integer(self, name: str, *, least: int, most: int, default: int) -> int: ...

    @overload
    def integer(self, name: str, *, least: int, most: int) -> int | None: ...

    def integer(self, name: str, *, least: int, most: int, default: int | None = None) -> int | None:
        """Return a whole number between `least` and `most`."""
        value = self._take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"must be a whole number from {least} to {most}")
        return value

    @overload
    def number(self, name: str, *, least: Decimal, most: Decimal, default: Decimal) -> Decimal: ...

    @overload
    def number(self, name: str, *, least: Decimal, most: Decimal) -> Decimal | None: ...

    def number(self, name: str, *, least: Decimal, most: Decimal, default: Decimal | None = None) -> Decimal | None:
        """Return a number, written as a JSON number or a decimal string."""
        value = self._take(name)
        return default if value is None else _decimal(self._within + name, value, least, most)

    def numbers(self, name: str, *, least: Decimal, most: Decimal, at_most: int) -> list[Decimal]:
        """Return a list of numbers, at least one."""
        value = self._take(name)
        if value is None:
            raise self.required(name)
        if not isinstance(value, list) or not 1 <= len(value) <= at_most:
            raise self.wrong(name, f"must be a list of 1 to {at_most} numbers")
        return [_decimal(f"{self._within}{name}.{index}", item, least, most) for index, item in enumerate(value)]

    def objects(self, name: str, *, at_most: int) -> list[Fields]:
        """Return a list of objects, at least one."""
        value = self._take(name)
        if value is None:
            raise self.required(name)
        if not isinstance(value, list) or not 1 <= len(value) <= at_most:
            raise self.wrong(name, f"must be a list of 1 to {at_most} objects")
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.wrong(f"{name}.{index}", "must be an object")
        return [Fields(item, within=f"{self._within}{name}.{index}.") for index, item in enumerate(value)]

    def table(self, name: str) -> Fields | None:
        """Return a member that is an object."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "must be an object")
        return Fields(value, within=f"{self._within}{name}.")

    def has(self, name: str) -> bool:
        """Say whether a member was given."""
        return self._document.get(name) is not None

    def texts(self, name: str, *, at_most: int) -> list[str]:
        """Return a list of strings; one string counts as a list of one."""
        value = self._take(name)
        if value is None:
            return []
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or len(value) > at_most or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, f"must be a list of at most {at_most} strings")
        return list(value)

    def done(self) -> None:
        """Refuse members nobody asked for: a misspelt option must not be ignored."""
        for name in self._document:
            if name not in self._known:
                field = self._within + name
                raise BadRequest("UNKNOWN_FIELD", f"{field} is not known here", field=field)

    def required(self, name: str) -> BadRequest:
        """Return the refusal of a request that lacks a member."""
        return BadRequest("REQUIRED_FIELD", f"{self._within}{name} is required", field=self._within + name)

    def wrong(self, name: str, rule: str) -> BadRequest:
        """Return the refusal of a member that breaks `rule` ("must be …")."""
        return _wrong(self._within + name, rule)

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._document.get(name)


def _decimal(name: str, value: object, least: Decimal, most: Decimal) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise _wrong(name, "must be a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _wrong(name, "must be a number") from None
    if not number.is_finite() or not least <= number <= most:
        raise _wrong(name, f"must be a number from {least} to {most}")
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise _wrong(name, f"must have at most {MAX_DIGITS} digits")
    return number


def _wrong(name: str, rule: str) -> BadRequest:
    return BadRequest("INVALID_FIELD", f"{name} {rule}", field=name)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
