"""The OpenAPI document of one operation: what drf-spectacular cannot know of our shapes, fields and paths.

What every operation shares (common errors, headers, examples) is added to the whole document in `document`.
"""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from apps.core.api import field_schemas
from apps.core.api.fields import Text
from apps.core.api.shapes import Body

#: Marks, while the document is made, bodies whose errors are of the second family.
FAMILY = "x-middleware-family"
_SUFFIX = re.compile(r"(Shape|Body)$")
_ADDRESSES = frozenset({"mint", "token_address"})


class Described(AutoSchema):
    """Describes our shapes by their own names, our fields by their own limits, path parameters by their kind."""

    def get_serializer_name(self, serializer: serializers.Serializer, direction: str) -> str:
        return _SUFFIX.sub("", super().get_serializer_name(serializer, "response"))  # the same either way

    def get_request_serializer(self) -> Any:
        return None if self.method == "DELETE" else super().get_request_serializer()

    def _get_request_body(self, direction: str = "request") -> dict[str, Any] | None:
        """Describe the body of a DELETE too, where a route says that it takes one."""
        if self.method != "DELETE" or self.get_request_serializer() is None:
            body: dict[str, Any] | None = super()._get_request_body(direction)
            return body
        self.method = "POST"
        try:
            body = super()._get_request_body(direction)
        finally:
            self.method = "DELETE"
        return body

    def _insert_field_validators(self, field: serializers.Field, schema: dict[str, Any]) -> None:
        if schema.get("oneOf", [None])[0] == {}:
            del schema["oneOf"]  # anything: null is one of that
        if isinstance(field, serializers.ListField) and not field.allow_empty:
            schema["minItems"] = 1
        if not isinstance(field, Text):
            super()._insert_field_validators(field, schema)
            return
        schema.pop("minLength", None)
        if shortest := field_schemas.shortest(field):
            schema["minLength"] = shortest

    def _map_basic_serializer(self, serializer: serializers.Serializer, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        if not type(serializer).__doc__:
            schema.pop("description", None)  # a base class's words are not the shape's
        if isinstance(serializer, Body) and serializer.at_least_one:
            schema["anyOf"] = [{"required": [name]} for name in schema["properties"]]
        if isinstance(serializer, Body) and serializer.middleware_family:
            schema[FAMILY] = True
        return schema

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        return [{"in": "path", "name": name, "required": True, "schema": _path_schema(name)} for name in variables]


def _path_schema(name: str) -> dict[str, Any]:
    if name == "signal_id":
        return {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
    if name.endswith("_id") or name == "id":
        return {"type": "string", "format": "uuid"}
    if name in _ADDRESSES:
        return {"type": "string", "pattern": field_schemas.ADDRESS}
    return {"type": "string", "minLength": 1}
