"""The OpenAPI document as a judge: every answer a test gets from the API is held against what the document promises.

Validators are compiled once. Beside the schema as published, no answer may carry a field that the document does not
name: clients allow new fields, tests make sure that they are written down.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from apps.core.api.document import HEADERS, METHODS, camel_path

Node = dict[str, Any]
_HERE = "urn:soldesk:document"
#: Headers of ours that an operation must have named before an answer may carry them.
_OURS = {name.lower() for name in HEADERS} | {"www-authenticate"}


@cache
def document() -> Node:
    """Return the document as the code makes it now, its limits as exact as the answers held against them."""
    schema: Node = SchemaGenerator().get_schema(request=None, public=True)
    exact: Node = json.loads(json.dumps(schema), parse_float=Decimal)
    return exact


def operation_at(route: str, method: str) -> Node | None:
    """Return the operation of a route as Django names it (`api/v1/agents/<str:agent_id>`)."""
    path = camel_path("/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route))
    found: Node | None = document()["paths"].get(path, {}).get(method.lower())
    return found


def faults(*, method: str, route: str, status: int, headers: Any, body: Any, content_type: str) -> list[str]:
    """Return what is wrong with an answer by the document; nothing is right."""
    if not route.startswith("api/v1/") or method.lower() not in METHODS:
        return []
    operation = operation_at(route, method)
    if operation is None:
        known_refusal = status == 404 and isinstance(body, dict) and body.get("code") == "NOT_FOUND"
        return [] if known_refusal else [f"{method} {route} is not documented"]
    response = operation["responses"].get(str(status))
    if response is None:
        return [f"status {status} is not documented ({body})"]
    response = resolved(response)
    return [
        *_wrong_headers(response, headers),
        *_wrong_content(operation["operationId"], str(status), response, body, content_type),
    ]


def resolved(node: Node) -> Node:
    """Return what a reference of the document points at."""
    while "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _wrong_headers(response: Node, headers: Any) -> list[str]:
    documented = {name.lower(): resolved(header) for name, header in response.get("headers", {}).items()}
    given = {name.lower() for name in headers}
    missing = [name for name, header in documented.items() if header.get("required") and name not in given]
    undocumented = sorted((given & _OURS) - documented.keys())
    return [f"header {name} is missing" for name in missing] + [
        f"header {name} is undocumented" for name in undocumented
    ]


def _wrong_content(operation_id: str, status: str, response: Node, body: Any, content_type: str) -> list[str]:
    content = response.get("content")
    media_type = content_type.partition(";")[0].strip()
    if content is None:
        return [] if body is None and status == "204" else [f"a body where none is documented: {body}"]
    if media_type not in content:
        return [f"content type {content_type!r} is not documented"]
    if media_type != "application/json":
        return []
    validator = _validator(operation_id, status)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]


@cache
def _validator(operation_id: str, status: str) -> Draft202012Validator:
    operation = next(
        operation
        for item in document()["paths"].values()
        for method, operation in item.items()
        if method in METHODS and operation["operationId"] == operation_id
    )
    schema = resolved(operation["responses"][status])["content"]["application/json"]["schema"]
    return validator_of(schema, strict=int(status) < 400)


def validator_of(schema: Node, *, strict: bool = False) -> Draft202012Validator:
    """Return what judges a value by a schema of the document; `strict` allows no field that it does not name."""
    return Draft202012Validator(_rewritten(schema, strict=strict), registry=_registry(), format_checker=_formats())


@cache
def _registry() -> Registry:
    schemas = document()["components"]["schemas"]
    strict = {"components": {"schemas": {name: _rewritten(schema, strict=True) for name, schema in schemas.items()}}}
    return Registry().with_resource(_HERE, DRAFT202012.create_resource(strict))


def _rewritten(schema: Any, *, strict: bool) -> Any:
    """Return a schema whose references are absolute."""
    if isinstance(schema, list):
        return [_rewritten(each, strict=strict) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _rewritten(inner, strict=strict) for name, inner in schema.items()}
    if isinstance(schema.get("$ref"), str):
        made["$ref"] = f"{_HERE}{schema['$ref']}"
    if strict and isinstance(schema.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


@cache
def _formats() -> FormatChecker:
    return FormatChecker(formats=["uuid"])
