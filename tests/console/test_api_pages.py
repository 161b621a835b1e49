"""The pages of the API's document as a person meets them: a real browser on a real web process."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.accounts import tokens
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.browser]


def test_a_route_can_be_tried_with_a_token(window, web):
    user = factories.make_user()
    token = tokens.access_token(user, family_id=None, now=timezone.now())

    def steps(page):
        page.goto(f"http://127.0.0.1:{web.port}/api/docs/")
        page.click("button.authorize")
        page.fill("#auth-bearer-value", token)
        page.click(".modal-ux .auth-container:has(#auth-bearer-value) button.authorize")
        page.click(".modal-ux button.btn-done >> nth=0")
        page.click("#operations-tag-auth")
        me = page.locator("#operations-auth-me")
        me.locator(".opblock-summary-control").click()
        me.locator("button.execute").click()
        answer = me.locator(".live-responses-table")
        expect(answer).to_contain_text("200")
        expect(answer).to_contain_text(user.email)

    window.do(steps)
    assert window.errors == []


def test_the_document_can_be_read(window, web):
    complaints: list[str] = []

    def steps(page):
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.emulate_media(color_scheme="dark")
        page.goto(f"http://127.0.0.1:{web.port}/api/redoc/")
        expect(page.locator("#redoc")).to_contain_text("Post a signal: my agents that want it will trade it")
        expect(page.locator(".bar nav a[aria-current]")).to_have_text("Read")
        expect(page.get_by_role("link", name="API docs by Redocly")).to_be_visible()  # its picture would be from afar
        expect(page.locator("html.dark-mode")).to_have_count(1)
        return [url for url in fetched if f"127.0.0.1:{web.port}" not in url and not url.startswith(("data:", "blob:"))]

    assert window.do(steps) == []
    assert window.errors == complaints == []
