"""What is no fault of the caller, and what no database can keep: busy, away, NUL; and what a limit says."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.agents.models import Agent
from apps.core import relay
from tests.apiclient import Api
from tests.factories import make_agent

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_row_somebody_else_holds_is_busy_not_away_and_nothing_changes(api, user):
    agent = make_agent(user, name="Before")
    other = relay.open_connection("test")
    try:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM agent WHERE id = %s FOR UPDATE", [agent.pk])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        answer = api.put(f"/agents/{agent.pk}", {"name": "After"})
    finally:
        other.close()
        connection.close()
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "DATABASE_BUSY", "1")
    assert "does not answer" not in answer.json["error"]
    assert b"lock" not in answer.text
    assert Agent.objects.get(pk=agent.pk).name == "Before"
    assert api.put(f"/agents/{agent.pk}", {"name": "After"}).status == 200


def test_a_database_that_is_away_is_503_on_pages_too_and_shows_nothing_internal(settings):
    client = Api().client
    client.raise_request_exception = False
    client.cookies[settings.SESSION_COOKIE_NAME] = "a-session-that-cannot-be-looked-up"
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["HOST"], connection.settings_dict["PORT"] = "127.0.0.1", "1"
    try:
        page, unknown = client.get("/admin/"), client.get("/api/v1/nothing")
    finally:
        connection.settings_dict["HOST"], connection.settings_dict["PORT"] = host, port
        connection.close()
    assert (page.status_code, page["Retry-After"]) == (503, "1")
    assert b"127.0.0.1" not in page.content
    assert b"Traceback" not in page.content
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["tokenAddress", "signalType", "startDate", "limit", "cursor"])
def test_a_nul_in_a_query_is_a_400_or_finds_nothing(api, query):
    answer = api.get(f"/trading-signals?{query}=%00")
    assert answer.status == 400 or (answer.status, answer.json) == (200, []), answer


@pytest.mark.parametrize("body", [b'{"name": "a\\u0000bc"}', b'{"name": "a\\ud800bc"}', b'{"name": "abc\\udfff"}'])
def test_a_text_no_database_can_keep_is_a_400_and_makes_nothing(api, body):
    answer = api.call("POST", "/agents", body)
    assert answer.status == 400, answer
    assert answer.code
    assert not Agent.objects.exists()


def test_a_limit_says_how_many_and_how_long(settings):
    settings.LOGINS_PER_MINUTE = 1
    api = Api(address="203.0.113.201")
    refused = next(
        answer
        for _ in range(4)  # the minute may end in between
        if (answer := api.post("/auth/login", {"email": "a@example.com", "password": "x"})).status == 429
    )
    assert refused.code == "RATE_LIMITED"
    assert (refused.headers["RateLimit-Limit"], refused.headers["RateLimit-Remaining"]) == ("1", "0")
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"] == str(refused.json["retryAfter"])
