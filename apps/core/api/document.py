"""What every operation of the OpenAPI document shares, added when it is whole: common errors, headers, examples.

`complete` is drf-spectacular's post-processing hook. Views say only what is their own; see `openapi.answers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from apps.core.api import error_codes, examples
from apps.core.api.described import FAMILY
from apps.core.api.shapes import camel

Node = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
ERROR: Node = {"$ref": "#/components/schemas/Error"}
_TAKES_BODY = ("post", "put", "patch")
_UNKNOWN_CALLER = (
    "AUTH_HEADER_MISSING",
    "AUTH_HEADER_MALFORMED",
    "TOKEN_EXPIRED",
    "TOKEN_INVALID",
    "TOKEN_REVOKED",
    "WRONG_TOKEN_TYPE",
    "USER_GONE",
    "USER_DEACTIVATED",
)
_UNKNOWN_KEY = ("API_KEY_INVALID", "API_KEY_EXPIRED")

HEADERS: dict[str, Node] = {
    "x-request-id": {
        "description": "The request's own `x-request-id`, else a new one; the log knows the request by it.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._:/+=@-]{1,64}$"},
        "example": "0b7c2f7e-5d0e-4a55-9f0b-5f6f6f1f0d1e",
    },
    "X-Total-Count": {
        "description": "How many rows the list has, beyond this page; exact up to 10,000.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
        "example": 26,
    },
    "X-Total-Capped": {
        "description": "`true` when there are more than `X-Total-Count` says.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "X-Next-Cursor": {
        "description": "What `cursor` takes for the next page; absent on the last.",
        "schema": {"type": "string"},
        "example": examples.VALUES["cursor"],
    },
    "Link": {
        "description": "The neighbouring pages (RFC 8288), `next` and `prev`.",
        "schema": {"type": "string"},
        "example": '<http://localhost:8000/api/v1/trading-signals?limit=100&offset=100>; rel="next"',
    },
    "Retry-After": {
        "description": "Seconds until it is worth asking again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 42,
    },
    "WWW-Authenticate": {
        "description": "How to be known.",
        "schema": {"type": "string"},
        "example": 'Bearer realm="api"',
    },
    "Idempotent-Replayed": {
        "description": "`true` when this is the answer given before to the same Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
}
_NOT_ALLOWED = ("AUTHORIZATION_ERROR", "TOTP_SETUP_REQUIRED")
_KEY_NOT_ALLOWED = ("SCOPE_MISSING", "API_KEY_ADDRESS_DENIED")
_PAGED = ("X-Total-Capped", "X-Next-Cursor", "Link")
_SHARED = {
    tuple(sorted(_UNKNOWN_CALLER)): "Unauthenticated",
    tuple(sorted(_UNKNOWN_CALLER + _UNKNOWN_KEY)): "UnauthenticatedOrKey",
    ("API_KEY_ADDRESS_DENIED", "AUTHORIZATION_ERROR", "SCOPE_MISSING", "TOTP_SETUP_REQUIRED"): "ForbiddenOrKey",
    ("AUTHORIZATION_ERROR", "TOTP_SETUP_REQUIRED"): "Forbidden",
    ("BAD_REQUEST", "MALFORMED_JSON"): "UnreadableBody",
    ("DATABASE_BUSY", "DATABASE_UNAVAILABLE", "DESK_STOPPING"): "Unavailable",
}
_ADDED_BY_STATUS = {"429": ("Retry-After",), "503": ("Retry-After",), "401": ("WWW-Authenticate",)}

#: What path and query parameters mean wherever they stand and no field says it.
PARAMETERS: dict[str, str] = {
    "agentId": "The agent.",
    "positionId": "The position.",
    "balanceId": "The balance.",
    "transactionId": "The transaction.",
    "tradeId": "The closed trade.",
    "signalId": "The signal's number.",
    "keyId": "The API key.",
    "mint": "The token's mint, base58, case kept.",
    "address": "The wallet's address.",
    "walletAddress": "One wallet of the agent only.",
    "tokenAddress": "One token only, by its mint.",
    "tokenSymbol": "One symbol only.",
    "transactionType": "One type only.",
    "signalType": "One type of signal only.",
    "startTime": "From this time on.",
    "endTime": "Up to and with this time.",
    "startDate": "From this time on.",
    "endDate": "Up to and with this time.",
    "startPurchaseTime": "Bought from this time on.",
    "endPurchaseTime": "Bought up to and with this time.",
    "startSaleTime": "Sold from this time on.",
    "endSaleTime": "Sold up to and with this time.",
    "purchaseTransactionId": "Opened by this transaction.",
    "saleTransactionId": "Closed by this transaction.",
    "minProfitLossUsd": "Profit of at least this many US dollars.",
    "maxProfitLossUsd": "Profit of at most this many US dollars.",
    "isDca": "`true`: only what DCA bought; anything else: only what it did not.",
    "isTakeProfit": "`true`: only what take profit sold; anything else: only what it did not.",
    "timeframe": "The last 24 hours, or all there is.",
    "interval": "How long a candle lasts.",
    "includePositions": "`true`, exactly: with the positions that hit a level; anything else is no.",
    "sessionId": "The session.",
    "endpointId": "The webhook endpoint.",
    "deliveryId": "The delivery.",
    "status": "One status only.",
    "type": "One type only.",
    "token": "The secret part of the address.",
}


def complete(result: Node, generator: Any, request: Any, public: bool) -> Node:
    """Return the document with what all operations share (drf-spectacular's POSTPROCESSING_HOOKS)."""
    schemas: dict[str, Node] = result["components"]["schemas"]
    result["components"]["headers"] = HEADERS
    result["paths"] = {camel_path(path): item for path, item in result["paths"].items()}
    shared: dict[str, Node] = {}
    for operation in operations(result):
        _complete_parameters(operation, schemas)
        _complete_errors(operation, schemas)
        _complete_headers(operation)
        _complete_examples(operation, schemas)
        _share_errors(operation, shared)
    result["components"]["responses"] = dict(sorted(shared.items()))
    result["components"]["examples"] = {
        code: {"summary": error_codes.sentence(code), "value": error_codes.example(code)}
        for code in sorted(_codes_shown(result))
    }
    for schema in schemas.values():
        schema.pop(FAMILY, None)
    return result


def operations(document: Node) -> Iterator[Node]:
    """Yield every operation."""
    for item in document["paths"].values():
        yield from (operation for method, operation in item.items() if method in METHODS)


def camel_path(path: str) -> str:
    """Return a path template with its parameters as the wire names them.

    >>> camel_path("/api/v1/agents/{agent_id}/config")
    '/api/v1/agents/{agentId}/config'
    """
    return re.sub(r"\{(\w+)\}", lambda found: "{" + camel(found[1]) + "}", path)


def _complete_parameters(operation: Node, schemas: dict[str, Node]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = camel(parameter["name"])
        elif parameter["in"] == "query" and not parameter.get("required"):
            parameter["allowEmptyValue"] = True  # an empty parameter is an absent one
            if parameter["schema"].get("minLength") == 1:
                del parameter["schema"]["minLength"]
        if "description" not in parameter:
            said = parameter["schema"].pop("description", None) or PARAMETERS.get(parameter["name"])
            if said:
                parameter["description"] = said
        if "example" not in parameter and "examples" not in parameter:
            parameter["example"] = examples.of_parameter(parameter, schemas)


def _complete_errors(operation: Node, schemas: dict[str, Node]) -> None:
    """Give every status above 399 its codes: those the view names, and those the route's nature brings."""
    codes: dict[str, list[str]] = {}
    for status, response in operation["responses"].items():
        if int(status) >= 400 and _refers_to_error(response):
            codes[status] = response["description"].split()
    own = {status for status in operation["responses"] if status not in codes}
    for status, more in _of_every(operation):
        if status in own:
            continue
        known = codes.setdefault(status, [])
        known.extend(code for code in more if code not in known)
    fields = list(_fields(operation, schemas))
    if fields:
        known = codes["400"]
        known.extend(code for code in fields if code not in known)
    for status in sorted(codes):
        operation["responses"][status] = _error(codes[status], open_ended="INVALID_*" in codes[status])
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _share_errors(operation: Node, shared: dict[str, Node]) -> None:
    """Tell once what many operations answer: errors of one code, and those every operation has."""
    if _has_parameter(operation, "Idempotency-Key"):
        return
    for status, response in operation["responses"].items():
        codes = tuple(response.get("content", {}).get(JSON, {}).get("examples", ())) if int(status) >= 400 else ()
        if not codes or "anyOf" in response["content"][JSON]["schema"]["allOf"][1]["properties"]["code"]:
            continue
        name = _SHARED.get(codes) or ("".join(map(str.title, codes[0].split("_"))) if len(codes) == 1 else None)
        if name is not None:
            shared[name] = response
            operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}


def _of_every(operation: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    schemes = {name for requirement in operation.get("security", ()) for name in requirement}
    yield "400", ("BAD_REQUEST",)
    if "requestBody" in operation:
        yield "400", ("MALFORMED_JSON",)
        yield "413", ("BODY_TOO_LARGE",)
        yield "415", ("UNSUPPORTED_MEDIA_TYPE",)
    if schemes:
        yield "401", _UNKNOWN_CALLER + (_UNKNOWN_KEY if "apiKey" in schemes else ())
        yield "403", _NOT_ALLOWED + (_KEY_NOT_ALLOWED if "apiKey" in schemes else ())
    if _has_parameter(operation, "Idempotency-Key"):
        yield "400", ("INVALID_IDEMPOTENCY_KEY",)
        yield "409", ("IDEMPOTENCY_IN_PROGRESS",)
        yield "422", ("IDEMPOTENCY_KEY_REUSED",)
    yield "414", ("URI_TOO_LONG",)
    yield "429", ("RATE_LIMITED",)
    yield "500", ("INTERNAL_ERROR",)
    yield "503", ("DATABASE_BUSY", "DATABASE_UNAVAILABLE", "DESK_STOPPING")


def _fields(operation: Node, schemas: dict[str, Node]) -> Iterator[str]:
    """Yield the codes of wrong fields: of path and query, and of the body where it answers by field."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] in ("query", "path"):
            yield code_of_field(parameter["name"])
        if parameter["in"] == "path" and parameter["name"].endswith("Id"):
            yield "INVALID_ID"
    content = operation.get("requestBody", {}).get("content", {}).get(JSON)
    if content is None:
        return
    schema = _resolved(content["schema"], schemas)
    if schema.get(FAMILY):
        yield "VALIDATION_ERROR"
        return
    yield "INVALID_BODY"
    for name, inner in schema.get("properties", {}).items():
        yield code_of_field(name)
        if _resolved(inner, schemas).get("type") in ("array", "object"):
            yield "INVALID_*"


def code_of_field(name: str) -> str:
    """Return the code of a wrong field.

    >>> code_of_field("tokenAddress")
    'INVALID_TOKEN_ADDRESS'
    """
    return "INVALID_" + re.sub(r"(?=[A-Z])", "_", name).upper()


def _error(codes: Iterable[str], *, open_ended: bool) -> Node:
    named = sorted(code for code in codes if not code.endswith("*"))
    allowed: Node = {"type": "string", "enum": named}
    if open_ended:
        allowed = {"type": "string", "anyOf": [{"enum": named}, {"pattern": "^INVALID_[A-Z0-9_]+$"}]}
    schema = {"allOf": [ERROR, {"type": "object", "properties": {"code": allowed}}]}
    fields = [code for code in named if error_codes.names_a_field(code)]
    shown = [code for code in named if code not in fields] + fields[:1]
    return {
        "description": "\n".join(_sentences(named, fields)),
        "content": {JSON: {"schema": schema, "examples": {code: _example_of(code) for code in shown}}},
    }


def _example_of(code: str) -> Node:
    return {"$ref": f"#/components/examples/{code}"}


def _codes_shown(document: Node) -> set[str]:
    answers = [answer for operation in operations(document) for answer in operation["responses"].values()]
    answers.extend(document["components"]["responses"].values())
    shown = (answer.get("content", {}).get(JSON, {}).get("examples", {}) for answer in answers)
    return {code for examples_of in shown for code, example in examples_of.items() if "$ref" in example}


def _sentences(codes: list[str], fields: list[str]) -> Iterator[str]:
    yield from (f"* `{code}`: {error_codes.sentence(code)}" for code in codes if code not in fields)
    if fields:
        yield f"* {', '.join(f'`{code}`' for code in fields)}: the field is missing, malformed or out of its range."


def _complete_headers(operation: Node) -> None:
    paged = _has_parameter(operation, "cursor")
    for status, response in operation["responses"].items():
        is_error = int(status) >= 400 and "examples" in response.get("content", {}).get(JSON, {})
        names = ["x-request-id", *(_ADDED_BY_STATUS.get(status, ()) if is_error else ())]
        if status == "200" and (paged or _is_list(response)):
            names += ["X-Total-Count", *(_PAGED if paged else ())]
        if int(status) < 500 and _has_parameter(operation, "Idempotency-Key"):
            names.append("Idempotent-Replayed")
        given = response.get("headers", {})
        response["headers"] = {**given, **{name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _is_list(response: Node) -> bool:
    schema = response.get("content", {}).get(JSON, {}).get("schema", {})
    return bool(schema.get("type") == "array" or schema.get("$ref", "").endswith("/ApiKeys"))


def _complete_examples(operation: Node, schemas: dict[str, Node]) -> None:
    bodies = operation.get("requestBody", {}).get("content", {})
    if JSON in bodies and "anyOf" in _resolved(bodies[JSON]["schema"], schemas):
        operation["requestBody"]["required"] = True
    if FORM in bodies and not _fits_a_form(bodies[FORM]["schema"], schemas):
        del bodies[FORM]
    for media_type, content in bodies.items():
        _give_example(media_type, content, schemas)
    for status, response in operation["responses"].items():
        if int(status) < 400 or "examples" not in response.get("content", {}).get(JSON, {}):
            response["description"] = response["description"] or operation["summary"]
            for media_type, content in response.get("content", {}).items():
                _give_example(media_type, content, schemas)


def _fits_a_form(schema: Node, schemas: dict[str, Node]) -> bool:
    """Tell whether every field is plain text: a form has neither objects nor lists nor null."""
    fields = (_resolved(field, schemas) for field in _resolved(schema, schemas).get("properties", {}).values())
    return all(field.get("type") in ("string", "integer", "boolean", "number") or "enum" in field for field in fields)


def _give_example(media_type: str, content: Node, schemas: dict[str, Node]) -> None:
    if "example" in content or "examples" in content or media_type == "text/csv":
        return
    content["example"] = examples.of_schema(content["schema"], schemas)


def _refers_to_error(response: Node) -> bool:
    schema: Node = response.get("content", {}).get(JSON, {}).get("schema", {})
    return schema == ERROR


def _has_parameter(operation: Node, name: str) -> bool:
    return any(parameter["name"] == name for parameter in operation.get("parameters", ()))


def _resolved(schema: Node, schemas: dict[str, Node]) -> Node:
    if "$ref" in schema:
        return schemas[schema["$ref"].rpartition("/")[2]]
    return schema
