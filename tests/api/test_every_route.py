"""What holds for every route: nobody unknown gets in, and it is described. Queries: `test_query_counts`."""

import re

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from tests.apiclient import Api

pytestmark = pytest.mark.django_db

ID = "6f1f0d1e-0000-4000-8000-00000000000f"
PUBLIC = {
    "/auth/login",
    "/auth/refresh",
    "/webhooks/test",
    f"/webhooks/signals/{ID}",
    "/health",
    "/health/ready",
    "/health/live",
}


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
