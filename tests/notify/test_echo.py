"""What is sent to the test webhook comes back, secrets masked, and nothing answers in production."""

from __future__ import annotations

import pytest

from tests.apiclient import Api

PATH = "/webhooks/test"


def test_what_was_sent_comes_back(db):
    body = {"ticker": "SOL", "price": 1.5, "nested": {"list": [1, None]}}
    answer = Api().post(f"{PATH}?a=1&b=2&b=3", body, **{"X-Custom": "yes"})
    assert answer.status == 200
    assert answer.json["success"] is True and answer.json["message"] and answer.json["timestamp"].endswith("Z")
    received = answer.json["received"]
    assert received["body"] == body
    assert received["query"] == {"a": "1", "b": ["2", "3"]}
    assert (received["method"], received["path"]) == ("POST", "/api/v1/webhooks/test")
    assert received["headers"]["x-custom"] == "yes"
    assert received["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize("body", [None, [], "text", 7, {}, [{"a": 1}]])
def test_any_json_is_a_body(db, body):
    answer = Api().post(PATH, body)
    assert answer.json["received"]["body"] == ({} if body is None else body)


def test_a_form_is_understood(db):
    response = Api().client.post(f"/api/v1{PATH}", "a=1&b=2&b=3", content_type="application/x-www-form-urlencoded")
    assert response.json()["received"]["body"] == {"a": "1", "b": ["2", "3"]}


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "X-Auth-Token", "X-CSRFToken", "X-Client-Secret"],
)
def test_a_secret_is_never_said_back(db, name):
    answer = Api().post(f"{PATH}?token=hunter2&apiKey=hunter2&password=hunter2", {}, **{name: "hunter2"})
    assert b"hunter2" not in answer.text
    received = answer.json["received"]
    assert received["headers"][name.lower()] == "***"
    assert received["query"] == {"token": "***", "apiKey": "***", "password": "***"}


def test_a_broken_body_is_refused_naming_it(db):
    answer = Api().post(PATH, b'{"a": ')
    assert (answer.status, answer.code) == (400, "MALFORMED_JSON")


def test_production_has_no_such_route(db, settings):
    settings.SOLDESK_ENV = "production"
    answer = Api().post(PATH, {"a": 1}, authorization="Bearer x")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.json["error"]
