"""The trading configuration as the OpenAPI document shows it, made from the one table of its fields.

Rules between fields (minimum below medium, levels in order) are not in it: they are told in the error's `details`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.domain.fields import SECTIONS
from apps.agents.domain.schema import TREE, Tree, default_document

_HEADINGS = {section.path: section.help_text for section in SECTIONS}


def whole() -> dict[str, Any]:
    """Return the schema of a whole configuration, as answers carry it."""
    return {**_object(TREE, partial=False), "examples": [default_document()]}


def partial() -> dict[str, Any]:
    """Return the schema of what may be laid over a configuration: any part of it; null clears an optional number."""
    example = {"purchaseLimits": {"maxPurchasePerToken": 0.5}, "stopLoss": {"mode": "zones", "defaultPercentage": -20}}
    return {**_object(TREE, partial=True), "examples": [example]}


def _object(tree: Tree, *, partial: bool, path: str = "") -> dict[str, Any]:
    properties = {
        key: _object(node, partial=partial, path=key) if isinstance(node, dict) else _value(node, partial=partial)
        for key, node in tree.items()
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if path in _HEADINGS:
        schema["description"] = _HEADINGS[path]
    if not partial:
        schema["required"] = [key for key, node in tree.items() if isinstance(node, dict) or not node.optional]
    return schema


def _value(spec: FieldSpec, *, partial: bool) -> dict[str, Any]:
    schema: dict[str, Any]
    match spec.kind:
        case Kind.NUMBER | Kind.INTEGER:
            schema = {"type": spec.kind.value, **_limits(spec)}
        case Kind.BOOLEAN:
            schema = {"type": "boolean"}
        case Kind.CHOICE:
            schema = {"type": "string", "enum": [choice.value for choice in spec.choices]}
        case Kind.TEXT_LIST:
            schema = {"type": "array", "items": {"type": "string", "pattern": "^[^\\u0000]*$", **_lengths(spec)}}
        case Kind.LEVEL_LIST:
            schema = {"type": "array", "items": _level(spec.items)}
    if spec.max_items is not None:
        schema["maxItems"] = spec.max_items
    if partial and spec.path == "stopLoss.mode":
        schema = {"enum": [*schema["enum"], "", None]}  # read as fixed
    if partial and spec.clearable:
        schema["type"] = [schema["type"], "null"]
    schema["description"] = f"{spec.help_text} In {spec.unit}." if spec.unit else spec.help_text
    if not partial and spec.default is not None:
        schema["default"] = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    return schema


def _level(items: tuple[FieldSpec, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {item.path: _value(item, partial=False) for item in items},
        "required": [item.path for item in items],
    }


def _lengths(spec: FieldSpec) -> dict[str, int]:
    return {
        name: length
        for name, length in (("minLength", spec.min_length), ("maxLength", spec.max_length))
        if length is not None
    }


def _limits(spec: FieldSpec) -> dict[str, int | float]:
    bounds = {"minimum": spec.minimum, "exclusiveMinimum": spec.exclusive_minimum, "maximum": spec.maximum}
    return {name: _number(bound) for name, bound in bounds.items() if bound is not None}


def _number(bound: Decimal) -> int | float:
    return int(bound) if bound == bound.to_integral_value() else float(bound)
