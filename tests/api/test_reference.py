"""docs/api.md's tables and the Postman collection: made from the code, complete, and importable."""

import ast
import json
import re
from pathlib import Path

import pytest

from apps.console import api_tables, postman
from apps.core.api import error_codes
from apps.core.api.document import METHODS
from tests import api_document

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = api_document.document()
COLLECTION = postman.collection(DOCUMENT)
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def requests_of(item):
    """Yield every request of a folder and of the folders in it."""
    for each in item["item"]:
        if "item" in each:
            yield from requests_of(each)
        else:
            yield each


REQUESTS = list(requests_of(COLLECTION))


def codes_raised():
    """Yield every code that an error is made with under apps/, with its place; commands and the sandbox aside."""
    for path in sorted((ROOT / "apps").rglob("*.py")):
        if "sandbox" in path.parts or "commands" in path.parts or "admin" in str(path):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {
                "Invalid",
                "Conflict",
                "NotFound",
                "Denied",
                "SoldeskError",
                "Unauthenticated",
                "MiddlewareError",
            }:
                yield str(node.args[0].value), f"{path.relative_to(ROOT)}:{node.lineno}"


#: Raised where no route answers with them: on the command line and in the admin.
ELSEWHERE = {"DIFFERENCE_ENDED", "DIFFERENCE_OUTDATED", "EMAIL_TAKEN", "KEY_ALLOWED", "NOTHING_MISSING"}


def test_every_code_raised_anywhere_is_explained():
    found = dict(codes_raised())
    assert len(found) > 40
    missing = {
        code: place
        for code, place in found.items()
        if code not in error_codes.SENTENCES and not error_codes.names_a_field(code) and code not in ELSEWHERE
    }
    assert not missing, "say what it means in apps/core/api/error_codes.py"


def test_no_code_is_explained_that_nothing_answers_with():
    sources = "\n".join(path.read_text() for path in (ROOT / "apps").rglob("*.py") if path.name != "error_codes.py")
    unused = [code for code in error_codes.SENTENCES if not re.search(rf"\b{code}\b", sources)]
    assert not unused


def test_every_code_has_the_form_of_a_code_and_every_sentence_that_of_a_sentence():
    for code, sentence in error_codes.SENTENCES.items():
        assert CODE.fullmatch(code)
        assert sentence[0].isupper() or sentence[0] == "`"
        assert sentence.endswith("."), code


#: Answered with 202: what was asked for is under way, and no error.
PENDING = ("BUY_PENDING", "CLOSE_PENDING")


def test_the_tables_of_the_page_are_those_of_the_code():
    page = (ROOT / "docs" / "api.md").read_text()
    assert api_tables.with_tables(page, DOCUMENT) == page, "make schema"
    for code in error_codes.SENTENCES:
        listed = re.search(rf"^\| [0-9, ]+ \| `{code}` \|", page, re.MULTILINE)
        assert listed or code in PENDING, f"no operation answers with {code}"


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="markers of scopes"):
        api_tables.with_tables("# Nothing here", DOCUMENT)


def test_the_committed_collection_is_the_one_the_code_makes():
    committed = json.loads((ROOT / "docs" / "postman_collection.json").read_text())
    assert committed == json.loads(json.dumps(COLLECTION, default=str)), "make schema"


def test_the_collection_has_every_operation_once_in_the_folder_of_its_tag():
    operations = [
        operation for item in DOCUMENT["paths"].values() for name, operation in item.items() if name in METHODS
    ]
    assert sorted(request["name"] for request in REQUESTS) == sorted(operation["summary"] for operation in operations)
    for folder in COLLECTION["item"]:
        in_tag = [each["summary"] for each in operations if each["tags"] == [folder["name"]]]
        assert sorted(request["name"] for request in folder["item"]) == sorted(in_tag)


def test_the_collection_has_the_form_that_postman_and_insomnia_read():
    assert COLLECTION["info"]["schema"] == postman.SCHEMA
    assert COLLECTION["auth"]["bearer"][0]["value"] == "{{accessToken}}"
    for made in REQUESTS:
        request, url = made["request"], made["request"]["url"]
        assert url["host"] == ["{{baseUrl}}"]
        assert url["raw"].startswith("{{baseUrl}}/api/v1/")
        assert url["path"] == url["raw"].partition("?")[0].removeprefix("{{baseUrl}}/").split("/")
        named = {part[1:] for part in url["path"] if part.startswith(":")}
        assert named == {variable["key"] for variable in url.get("variable", ())}
        assert request["method"].lower() in METHODS
        if "body" in request:
            assert request["body"]["mode"] == "raw"
            assert isinstance(json.loads(request["body"]["raw"]), dict | list)
            assert {"key": "Content-Type", "value": "application/json"} in request["header"]
    ids = [made["id"] for made in REQUESTS]
    assert len(ids) == len(set(ids))


def test_every_variable_the_collection_uses_is_declared():
    declared = {variable["key"] for variable in COLLECTION["variable"]} | {"$guid"}
    used = set(re.findall(r"\{\{([$\w]+)\}\}", json.dumps(COLLECTION)))
    assert used <= declared
    assert {"baseUrl", "accessToken", "apiKey", "agentId"} <= used


def test_every_part_of_a_path_is_filled_by_an_answer_to_another_request():
    """Nobody copies ids from one request into the next; only a webhook's token is shown nowhere but in the admin."""
    scripts = json.dumps([made.get("event", []) for made in REQUESTS])
    kept = set(re.findall(r"collectionVariables\.set\(\W+(\w+)", scripts))
    filled = {
        variable["value"].strip("{}") for made in REQUESTS for variable in made["request"]["url"].get("variable", ())
    }
    assert filled - kept == {"webhookToken"}


def test_no_body_names_a_row_of_another_desk():
    ids = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|signalId")
    bodies = {made["name"]: made["request"]["body"]["raw"] for made in REQUESTS if "body" in made["request"]}
    assert not [name for name, body in bodies.items() if ids.search(body)]


def test_a_scope_is_listed_with_everything_it_opens():
    table = dict(re.findall(r"^\| `([\w:]+)` \| (.*) \|$", api_tables.scopes(DOCUMENT), re.MULTILINE))
    assert table["signals:create"] == "`POST /trading-signals`"
    assert "`POST /trading-signals`" in table["signals"], "keys made for the dialect post signals with it"


def test_signing_in_keeps_the_tokens_for_the_requests_that_follow():
    login = next(made for made in REQUESTS if made["request"]["url"]["path"][-2:] == ["auth", "login"])
    script = "\n".join(login["event"][0]["script"]["exec"])
    assert 'pm.collectionVariables.set("accessToken", String(answer?.accessToken))' in script
    assert 'pm.collectionVariables.set("refreshToken"' in script
    assert login["request"]["auth"] == {"type": "noauth"}
    assert json.loads(login["request"]["body"]["raw"])["email"] == "{{email}}"
