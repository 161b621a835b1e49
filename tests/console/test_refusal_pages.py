"""What a person in a browser sees where there is nothing to see: a page of the desk, not of the framework."""

from __future__ import annotations

import pytest
from django.test import Client, RequestFactory

from apps.core.api import errors
from tests.factories import make_operator

pytestmark = pytest.mark.django_db


def test_an_operator_without_the_permission_is_told_who_can_give_it() -> None:
    client = Client()
    client.force_login(make_operator())
    page = client.get("/admin/notify/webhookendpoint/add/")  # endpoints are made on a page of their own
    assert page.status_code == 403
    assert "An administrator of the desk can give it to you" in page.content.decode()


def test_a_page_that_is_not_there_leads_back_to_those_that_are() -> None:
    page = Client().get("/nothing/here")
    assert page.status_code == 404
    assert 'href="/desk/"' in page.content.decode()


def test_a_page_that_broke_names_the_log_and_nothing_of_the_inside() -> None:
    page = errors.server_error(RequestFactory().get("/admin/"))
    assert page.status_code == 500
    assert "request id of this answer" in page.content.decode()


def test_a_browser_that_asks_for_an_icon_gets_the_desks() -> None:
    answer = Client().get("/favicon.ico")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/static/admin_soldesk/mark.svg")
