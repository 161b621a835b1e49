"""Who gets into what is no API route: pages, the document, the admin, static files, the socket. Written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests import factories
from tests.apiclient import api_of

pytestmark = pytest.mark.django_db

NUMBER, UUID = "1", "6f1f0d1e-0000-4000-8000-00000000000f"
SIGN_IN = "/admin/login/"
# Path, then the status for nobody, for somebody who is no operator, for an operator without rights, for one with all.
# 302 of the first two is to the sign-in page, unless the row says that everybody is sent on.
OUTSIDE = {
    "/": (302, 302, 302, 302),
    "/desk": (302, 302, 302, 302),
    "/desk/": (302, 302, 403, 200),
    f"/desk/signals/{NUMBER}": (401, 401, 403, 404),
    "/desk/levels": (401, 401, 403, 200),
    "/desk/place": (401, 401, 403, 200),
    f"/desk/positions/{UUID}": (401, 401, 403, 404),
    f"/desk/positions/{UUID}/close": (405, 405, 405, 405),
    "/admin": (302, 302, 302, 302),
    "/health": (302, 302, 302, 302),
    "/favicon.ico": (302, 302, 302, 302),
    "/api/schema/": (200, 200, 200, 200),
    "/api/docs/": (200, 200, 200, 200),
    "/api/redoc/": (200, 200, 200, 200),
}
SENT_ON = {"/", "/desk", "/admin", "/health", "/favicon.ico"}
#: Pages of the admin that are there for who is not signed in, and what they answer to them.
ADMIN_FOR_ALL = {"login/": 200}


def _paths(patterns, prefix="/") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _paths(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


def _filled(route: str) -> str:
    route = re.sub(r"<(path|str):\w+>|<\w+>", UUID, route)
    return re.sub(r"<int:\w+>", NUMBER, re.sub(r"<uuid:\w+>", UUID, route))


def _visitors() -> list[Client]:
    """Return browsers of nobody, of a user, of an operator without rights, and of one with all."""
    browsers = [Client()]
    people = (factories.make_user(), factories.make_user(is_staff=True), factories.make_operator())
    for person in people:
        browsers.append(Client())
        browsers[-1].force_login(person)
    return browsers


def test_every_path_outside_the_api_and_the_admin_has_a_row():
    routes = [route for route in _paths(get_resolver().url_patterns) if "^" not in route]
    outside = {_filled(route) for route in routes if not route.startswith(("/api/v1/", "/admin/"))}
    assert outside == set(OUTSIDE)


def test_a_path_outside_the_api_answers_everybody_as_the_table_says():
    browsers = _visitors()
    answers = {path: tuple(browser.get(path).status_code for browser in browsers) for path in OUTSIDE}
    assert answers == OUTSIDE


def test_who_has_to_sign_in_is_sent_to_the_sign_in_page():
    for browser in _visitors()[:2]:
        for path, expected in OUTSIDE.items():
            if expected[0] == 302 and path not in SENT_ON:
                assert browser.get(path)["Location"].startswith(SIGN_IN), path


def test_no_page_of_the_admin_lets_in_who_is_no_operator():
    nobody, user, _, _ = _visitors()
    wrong = []
    for route in _paths(admin.site.urls[0], ""):
        if "^" in route or "(?P" in route or route in ADMIN_FOR_ALL:
            continue
        path = f"/admin/{_filled(route)}"
        for who, browser in (("nobody", nobody), ("user", user)):
            for method in ("GET", "POST"):
                answer = browser.generic(method, path)
                let_in = answer.status_code not in (302, 403, 404) or (
                    answer.status_code == 302 and not answer["Location"].startswith((SIGN_IN, "/admin/"))
                )
                if let_in:
                    wrong.append((who, method, path, answer.status_code))
    assert wrong == []


def test_an_operator_without_rights_reaches_no_list_and_no_object():
    _, _, powerless, almighty = _visitors()
    for model in admin.site._registry:
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert powerless.get(path).status_code == 403, path
        assert almighty.get(path).status_code == 200, path


def test_tokens_and_keys_of_the_api_open_no_page():
    staff = factories.make_operator()
    _, secret = factories.make_api_key(staff)
    for client in (api_of(staff).client, Client(headers={"x-api-key": secret})):
        for path in ("/admin/", "/desk/"):
            answer = client.get(path)
            assert (answer.status_code, answer["Location"].startswith(SIGN_IN)) == (302, True), path
        assert client.get("/desk/levels").status_code == 401


def test_static_files_are_for_everybody_and_there_is_nothing_above_them():
    for browser in _visitors():
        assert browser.get("/static/admin_soldesk/soldesk.css").status_code == 200
        assert browser.get("/static/../config/env.py").status_code == 404


def test_an_unknown_path_is_404_for_everybody():
    for browser in _visitors():
        assert browser.get("/no/such/page").status_code == 404
        assert browser.get("/api/v2/agents").status_code == 404
