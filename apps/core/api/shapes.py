"""Shapes of what goes in and out, declared once in snake_case; the wire's camelCase is made here and nowhere else.

`Body` and `Query` validate what comes in, `Shape` presents rows; all three describe themselves to the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.request import Request

from apps.core.api.errors import InvalidField, ValidationFailed
from apps.core.api.fields import read_uuid, says_something

_Plan = list[tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None]]


def camel(name: str) -> str:
    """Return the wire's name of a field.

    >>> camel("token_address"), camel("id")
    ('tokenAddress', 'id')
    """
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


class _CamelCase(serializers.Serializer):
    """Renames declared fields; `wire_names` gives the names that follow no rule."""

    wire_names: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        renamed: dict[str, serializers.Field] = {}
        for name, field in cls._declared_fields.items():
            wire_name = cls.wire_names.get(name) or camel(name)
            if wire_name != name and field.source is None:
                field.source = name
                field._kwargs["source"] = name  # type: ignore[attr-defined]  # DRF copies fields by their arguments
            renamed[wire_name] = field
        cls._declared_fields = renamed


class Body(_CamelCase):
    """What a request's body must look like. Unknown fields are dropped.

    `middleware_family` says which of the two error families the route answers with; `at_least_one` refuses a body that
    gives none of the fields.
    """

    middleware_family: ClassVar[bool] = False
    at_least_one: ClassVar[bool] = False
    from_text: bool = False

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.at_least_one and not attrs:
            raise serializers.ValidationError({"body": [f"must give at least one of {', '.join(self.fields)}"]})
        return attrs

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """Return the validated fields by their Python names.

        Raises:
            ValidationFailed or InvalidField: naming what is wrong.
        """
        data = request.data
        if not isinstance(data, Mapping):
            cls._refuse([{"field": "body", "message": "must be a JSON object"}])
        return cls._checked(data, from_text=isinstance(data, QueryDict))

    @classmethod
    def _checked(cls, data: Mapping[str, Any], *, from_text: bool) -> dict[str, Any]:
        try:
            return dict(_reader(cls, from_text).run_validation(data))
        except serializers.ValidationError as error:
            cls._refuse(list(_flat(error.detail)))

    @classmethod
    def _refuse(cls, errors: list[dict[str, str]]) -> NoReturn:
        if cls.middleware_family:
            raise ValidationFailed(errors)
        raise InvalidField(errors[0]["field"], errors[0]["message"], errors=errors)


class Query(Body):
    """What a request's query must look like; parameters that show nothing count as absent."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        given = {name: value for name, value in request.query_params.items() if says_something(str(value))}
        return cls._checked(given, from_text=True)


class Shape(_CamelCase):
    """What a row looks like on the wire. Missing values are null; nothing is queried here.

    `from_columns` says that every field is a column of the row or of a row it refers to: pages then read columns and
    make no models, which takes longer than all the rest.
    """

    from_columns: ClassVar[bool] = False
    _plan: ClassVar[_Plan | None] = None

    @classmethod
    def present(cls, row: Any) -> dict[str, Any]:
        """Return the row as the wire shows it."""
        plan = cls.__dict__.get("_plan") or cls._make_plan()
        shown = {}
        for name, get, convert in plan:
            value = get(row)
            shown[name] = value if value is None or convert is None else convert(value)
        return shown

    @classmethod
    def columns(cls) -> list[str]:
        """Return the columns a row is presented from, as the ORM names them; none where it takes a model."""
        if not cls.from_columns:
            return []
        return [(field.source or name).replace(".", "__") for name, field in cls._declared_fields.items()]

    @classmethod
    def present_columns(cls, values: Any) -> dict[str, Any]:
        """Return a row as the wire shows it, given the values of its `columns` by place and by name, and maybe more."""
        plan = cls.__dict__.get("_plan") or cls._make_plan()
        return {
            name: value if value is None or convert is None else convert(value)
            for (name, _, convert), value in zip(plan, values, strict=False)
        }

    @classmethod
    def present_many(cls, rows: Iterable[Any]) -> list[dict[str, Any]]:
        return [cls.present(row) for row in rows]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return type(self).present(instance)

    @classmethod
    def _make_plan(cls) -> _Plan:
        cls._plan = [
            (name, _getter(field.source or name), _converter(field)) for name, field in cls._declared_fields.items()
        ]
        return cls._plan


@cache
def _reader(body: type[Body], from_text: bool) -> Body:
    """Return the one validator of its kind: it keeps no state, and copying fields costs more than using them."""
    reader = body()
    reader.from_text = from_text
    _ = reader.fields
    return reader


def path_uuid(text: str, field: str) -> UUID:
    """Return an id of the path.

    Raises:
        InvalidField: it is not a UUID.
    """
    found = read_uuid(text)
    if found is None:
        raise InvalidField(field, "must be a UUID")
    return found


def _getter(source: str) -> Callable[[Any], Any]:
    """Return what finds a field's value; `*` is the row itself, for objects within objects."""
    return _itself if source == "*" else attrgetter(source)


def _itself(row: Any) -> Any:
    return row


def _converter(field: serializers.Field) -> Callable[[Any], Any] | None:
    if type(field) is serializers.CharField:
        return None
    if isinstance(field, serializers.ListSerializer):
        return _converter_of_list(field)
    return field.to_representation


def _converter_of_list(field: serializers.ListSerializer) -> Callable[[Any], Any]:
    child: Any = field.child
    present: Callable[[Any], Any] = child.to_representation
    return lambda rows: [present(row) for row in rows]


def _flat(errors: Any, path: str = "") -> Iterable[dict[str, str]]:
    """Yield every error with its dotted path, in the order of the fields."""
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(errors, list):
        for index, inner in enumerate(errors):
            if isinstance(inner, (Mapping, list)):
                yield from _flat(inner, f"{path}.{index}")
            else:
                yield {"field": path or "body", "message": str(inner)}
    else:
        yield {"field": path or "body", "message": str(errors)}
