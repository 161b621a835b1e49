"""The OpenAPI document: complete for every operation, true to itself, and the same as what is committed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from apps.core.api import error_codes
from apps.core.api.document import JSON, METHODS
from tests import api_document
from tests.api_document import resolved

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = api_document.document()
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
PUBLIC = {"login", "refresh", "health", "ready", "live", "receive_signal", "test_webhook"}
each_operation = pytest.mark.parametrize("operation_id", sorted(OPERATIONS))


def operation_of(operation_id):
    return OPERATIONS[operation_id][2]


def bodies_of(operation):
    """Yield where, the schema and the example of every JSON body of an operation, errors included."""
    parts = [("request", operation.get("requestBody", {}))]
    parts += [(status, resolved(response)) for status, response in operation["responses"].items()]
    for where, part in parts:
        content = part.get("content", {}).get(JSON)
        if content is None:
            continue
        examples = content.get("examples") or {"": {"value": content["example"]}}
        for name, example in examples.items():
            yield f"{where} {name}", content["schema"], resolved(example)["value"]


def test_every_operation_has_an_id_of_its_own():
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids)) > 60


def test_the_document_says_who_is_behind_it_and_where_it_is_served():
    info = DOCUMENT["info"]
    assert {"title", "version", "description", "contact", "license"} <= info.keys()
    assert DOCUMENT["servers"][0]["url"] == "/"
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_tag_is_described_and_every_description_used():
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    assert described == {tag for _, _, operation in OPERATIONS.values() for tag in operation["tags"]}


@each_operation
def test_an_operation_says_what_it_does_and_who_may_call_it(operation_id):
    operation = operation_of(operation_id)
    assert 3 <= len(operation["summary"]) <= 90
    assert len(operation["tags"]) == 1
    public = "Public." in operation["description"]
    assert public == (operation_id in PUBLIC)
    assert public != bool(operation.get("security"))
    for requirement in operation.get("security", ()):
        for scope in requirement.get("apiKey", ()):
            assert f"`{scope}`" in operation["description"]


@each_operation
def test_an_operation_describes_its_parameters_with_examples_that_fit(operation_id):
    path, _, operation = OPERATIONS[operation_id]
    parameters = operation.get("parameters", [])
    in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
    assert sorted(in_path) == sorted(re.findall(r"\{(\w+)\}", path))
    for parameter in parameters:
        assert parameter["description"].endswith((".", ")", "`")), parameter
        Draft202012Validator(parameter["schema"], format_checker=FormatChecker(["uuid"])).validate(parameter["example"])


@each_operation
def test_an_operation_lists_the_errors_that_its_nature_brings(operation_id):
    _, _, operation = OPERATIONS[operation_id]
    statuses = operation["responses"].keys()
    assert any(status.startswith("2") for status in statuses)
    assert {"400", "429", "500", "503"} <= statuses
    if operation.get("security"):
        assert {"401", "403"} <= statuses
    if "requestBody" in operation:
        assert {"413", "415"} <= statuses
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ())):
        assert {"409", "422"} <= statuses


@each_operation
def test_every_body_has_an_example_that_fits_its_schema(operation_id):
    operation = operation_of(operation_id)
    shown = list(bodies_of(operation))
    for where, schema, example in shown:
        errors = [
            f"{error.json_path}: {error.message}" for error in api_document.validator_of(schema).iter_errors(example)
        ]
        assert not errors, f"{where}: {errors}"
        assert example not in ({}, None, ""), where
    assert shown


@each_operation
def test_every_answer_names_its_headers(operation_id):
    _, method, operation = OPERATIONS[operation_id]
    for status, response in operation["responses"].items():
        headers = resolved(response)["headers"]
        assert "x-request-id" in headers
        if status == "429":
            assert "Retry-After" in headers
        if status == "401":
            assert "WWW-Authenticate" in headers
    schema = resolved(operation["responses"].get("200", {})).get("content", {}).get(JSON, {}).get("schema", {})
    if method == "get" and schema.get("type") == "array":
        assert "X-Total-Count" in resolved(operation["responses"]["200"])["headers"]


@each_operation
def test_every_error_code_is_explained(operation_id):
    for status, response in operation_of(operation_id)["responses"].items():
        for code in resolved(response).get("content", {}).get(JSON, {}).get("examples", {}) if status >= "400" else ():
            assert code in error_codes.SENTENCES or error_codes.names_a_field(code), f"{code}: say it in error_codes"


def test_every_field_of_a_body_has_a_type_and_texts_have_a_limit():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if not name.endswith("Request"):
            continue
        for field, described in schema.get("properties", {}).items():
            assert described.keys() & {"type", "oneOf", "anyOf", "allOf", "$ref", "enum"} or field == "routes", (
                name,
                field,
            )
            if described.get("type") == "string" and not described.keys() & {"enum", "format"}:
                assert "maxLength" in described, (name, field)


def test_references_lead_somewhere():
    text = json.dumps(DOCUMENT, default=str)
    for reference in set(re.findall(r'"\$ref": "(#/[^"]+)"', text)):
        assert resolved({"$ref": reference})


@pytest.mark.parametrize("schema", sorted(DOCUMENT["components"]["schemas"]))
def test_a_schema_is_json_schema(schema):
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][schema])


def test_the_judge_of_answers_finds_what_is_wrong():
    """The check that every test's answers go through can fail, in each of its parts."""
    answer: dict[str, Any] = {
        "method": "GET",
        "route": "api/v1/auth/me",
        "status": 200,
        "headers": {"x-request-id": "a"},
        "body": {
            "id": "6f1f0d1e-9c1b-4a7e-8f60-000000000001",
            "email": "ann@example.com",
            "createdAt": "2026-03-01T14:03:07.412Z",
        },
        "content_type": "application/json",
    }
    schema = resolved(operation_of("me")["responses"]["200"]["content"][JSON]["schema"])
    answer["body"] = {name: value for name, value in example_of("me").items() if name in schema["properties"]}
    assert api_document.faults(**answer) == []
    wrong = {
        "status": 418,
        "headers": {},
        "content_type": "text/html",
        "method": "POST",
        "body": {**answer["body"], "surprise": 1},
    }
    for part, value in wrong.items():
        assert api_document.faults(**{**answer, part: value}), part
    assert api_document.faults(**{**answer, "headers": {"x-request-id": "a", "X-Total-Count": "1"}})
    assert api_document.faults(**{**answer, "body": {**answer["body"], "id": "no uuid"}})
    assert api_document.faults(**{**answer, "status": 404, "body": {"error": "Away.", "code": "SOMETHING_ELSE"}}), (
        "a code the operation does not list"
    )


def example_of(operation_id):
    return operation_of(operation_id)["responses"]["200"]["content"][JSON]["example"]
