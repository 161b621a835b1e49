"""What holds for every route: who gets in, how many queries it takes, how it is described."""

import re

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from tests.apiclient import Api, api_of
from tests.factories import (
    close_position,
    make_agent,
    make_api_key,
    make_position,
    make_signal,
    make_snapshot,
    make_tick,
    make_token,
    make_user,
    wallet_of,
)

pytestmark = pytest.mark.django_db

PUBLIC = {"/auth/login", "/auth/refresh", "/webhooks/test", "/health", "/health/ready", "/health/live"}
ID = "6f1f0d1e-0000-4000-8000-00000000000f"


def routes(patterns=None, prefix="", placeholder=ID):
    """Yield path and view class of every route under /api/v1; `placeholder` stands where an id does."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path, placeholder)
        elif isinstance(pattern, URLPattern) and path.startswith("api/v1/"):
            view = getattr(pattern.callback, "view_class", None)
            if view is not None and issubclass(view, APIView):
                yield re.sub(r"<str:\w+>", placeholder, path.removeprefix("api/v1")), view


ROUTES = list(routes())


def test_there_are_routes_to_test():
    assert len(ROUTES) > 30


@pytest.mark.parametrize(("path", "view"), ROUTES, ids=[path for path, _ in ROUTES])
def test_nobody_gets_in_unknown(path, view):
    for method in ("get", "post", "put", "patch", "delete"):
        if hasattr(view, method) and path not in PUBLIC:
            answer = Api().call(method.upper(), path, {})
            assert (answer.status, answer.code) == (401, "AUTH_HEADER_MISSING"), method


@pytest.mark.parametrize(("path", "view"), ROUTES, ids=[path for path, _ in ROUTES])
def test_a_forged_token_gets_nobody_in(path, view):
    for method in ("get", "post", "put", "patch", "delete"):
        if hasattr(view, method) and path not in PUBLIC:
            answer = Api(authorization="Bearer eyJhbGciOiJIUzI1NiJ9.e30.x").call(method.upper(), path, {})
            assert (answer.status, answer.code) == (401, "TOKEN_INVALID"), method


@pytest.mark.parametrize(("path", "view"), ROUTES, ids=[path for path, _ in ROUTES])
def test_a_scope_is_named_only_for_methods_that_exist(path, view):
    for method, scope in getattr(view, "key_scopes", {}).items():
        assert hasattr(view, method.lower()), (method, scope)


def fill(user, count):
    """Give the user an agent with `count` of everything a list shows."""
    agent = make_agent(user, sol="1000")
    for _ in range(count):
        token = make_token()
        make_tick(token, "0.002")
        signal = make_signal(user, token)
        make_position(agent, token, signal=signal, take_profit_levels_hit=1)
        close_position(make_position(agent, make_token(), signal=signal), proceeds="1.1")
        make_api_key(user)
        make_agent(user, sol=None)
    make_snapshot(wallet_of(agent))
    return agent


LISTS = [
    "/agents",
    "/agents/{agent}/positions",
    "/agents/{agent}/performance",
    "/agents/{agent}/balance-history?walletAddress={wallet}",
    "/agent-positions/{agent}",
    "/agent-positions/{agent}/take-profit-summary?includePositions=true",
    "/agent-balances?agentId={agent}",
    "/agent-transactions?agentId={agent}",
    "/agent-historical-swaps?agentId={agent}",
    "/trading-signals",
    "/wallets/agent/{agent}",
    "/api-keys",
]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_the_same_few_queries_however_long_it_is(path):
    def queries(count):
        user = make_user()
        agent = fill(user, count)
        url = path.format(agent=agent.pk, wallet=wallet_of(agent).address)
        api = api_of(user)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api.get(url).status == 200
        return len(captured)

    few, many = queries(1), queries(7)
    assert few == many
    assert many <= 8


def test_the_openapi_document_describes_every_route_without_a_warning(tmp_path, capsys):
    target = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))
    text = target.read_text()
    for path, _ in ROUTES:
        pattern = re.escape(path).replace(re.escape(ID), r"\{\w+\}")
        assert re.search(rf"^  /api/v1{pattern}:$", text, re.MULTILINE), path


def test_the_document_and_its_page_are_served():
    client = Api().client
    assert b"openapi: 3" in client.get("/api/schema/").content
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert b"swagger" in page.content
    assert b"https://" not in re.sub(rb"https://(spec|www\.w3)[^\"]*", b"", page.content), (
        "nothing comes from elsewhere"
    )
    assert client.get("/api/schema/", headers={"accept": "application/json"}).json()["openapi"].startswith("3")
