"""The tables of docs/api.md that come from the code: scopes of API keys, and every error code. Pure.

They stand between markers; the rest of the page is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.core.api import error_codes
from apps.core.api.document import JSON, METHODS

Node = dict[str, Any]
#: What is answered where no operation is reached.
_OF_NO_OPERATION = {"NOT_FOUND": "404", "BODY_TOO_SLOW": "408"}
Operation = tuple[str, str, Node]


def with_tables(page: str, document: Node) -> str:
    """Return the page with its tables as the document says."""
    for name, table in (("scopes", scopes(document)), ("errors", errors(document))):
        begin, end = f"<!-- {name}: make schema writes this -->\n", f"<!-- {name}: end -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"the page lacks the markers of {name}")
        page = f"{before}{begin}{table}{end}{after}"
    return page


def scopes(document: Node) -> str:
    """Return the table of scopes and the operations each opens."""
    opened: dict[str, list[str]] = {}
    for path, method, operation in _operations(document):
        for requirement in operation.get("security", ()):
            for scope in requirement.get("apiKey", ()):
                opened.setdefault(scope, []).append(f"`{method.upper()} {path.removeprefix('/api/v1')}`")
    rows = [f"| `{scope}` | {', '.join(routes)} |" for scope, routes in sorted(opened.items())]
    return "\n".join(["| scope | opens |", "|---|---|", *rows, "| `full_access` | all of these |", ""])


def errors(document: Node) -> str:
    """Return the table of codes: status, code, what it means."""
    statuses: dict[str, set[str]] = {code: {status} for code, status in _OF_NO_OPERATION.items()}
    for _, _, operation in _operations(document):
        for status, response in operation["responses"].items():
            for code in _codes(document, response) if status >= "400" else ():
                statuses.setdefault(code, set()).add(status)
    named = [code for code in statuses if not error_codes.names_a_field(code)]
    ordered = sorted(named, key=lambda code: (min(statuses[code]), code))
    rows = [f"| {', '.join(sorted(statuses[code]))} | `{code}` | {error_codes.sentence(code)} |" for code in ordered]
    return "\n".join(["| status | code | |", "|---|---|---|", *rows, ""])


def _codes(document: Node, response: Node) -> list[str]:
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    parts = response.get("content", {}).get(JSON, {}).get("schema", {}).get("allOf", ())
    for part in parts:
        code = part.get("properties", {}).get("code")
        if code is not None:
            return [*code.get("enum", ()), *code.get("anyOf", [{}])[0].get("enum", ())]
    return []


def _operations(document: Node) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation
