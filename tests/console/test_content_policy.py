"""No page asks a browser for what its content policy forbids: one page of every kind, looked at in Chromium."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from apps.trading.models import Position
from tests import factories
from tests.admin.rows import make_desk

pytestmark = pytest.mark.django_db(transaction=True)

#: Redoc's own mark at the foot of its menu, which the policy keeps from being fetched from its makers.
TOLERATED = ("https://cdn.redoc.ly/redoc/logo-mini.svg",)


def pages(desk) -> list[str]:
    agent = f"/admin/agents/agent/{desk.agent.pk}"
    position = Position.objects.get(pk=desk.open_position.pk)
    return [
        "/admin/",
        "/admin/agents/agent/",
        f"{agent}/change/",
        f"{agent}/history/",
        "/admin/accounts/user/add/",
        f"/admin/trading/position/{position.pk}/change/",
        "/admin/django_celery_beat/periodictask/",
        "/admin/password_change/",
        "/desk/",
        "/api/docs/",
        "/api/redoc/",
        "/api/v1/agents",
        "/admin/nothing/",
    ]


def test_a_browser_finds_nothing_forbidden_and_asks_nobody_else(web, window):
    operator = factories.make_user(is_staff=True, is_superuser=True)
    desk = make_desk(operator)
    base = f"http://127.0.0.1:{web.port}"
    forbidden: list[str] = []
    elsewhere: set[str] = set()
    wanted = pages(desk)

    def note(message) -> None:
        if "Content Security Policy" in message.text and not any(known in message.text for known in TOLERATED):
            forbidden.append(message.text)

    def look(page) -> list[int]:
        page.on("console", note)
        page.on("request", lambda request: elsewhere.add(request.url))
        page.goto(f"{base}/admin/login/")
        page.fill("input[name=username]", operator.email)
        page.fill("input[name=password]", factories.PASSWORD)
        page.click("[type=submit]")
        page.wait_for_url(f"{base}/admin/")
        statuses = []
        for path in wanted:
            statuses.append(page.goto(base + path).status)
            page.wait_for_timeout(300)
        return statuses

    statuses = window.do(look)

    assert statuses == [200] * (len(statuses) - 1) + [404]
    assert forbidden == []
    hosts = {urlsplit(url).netloc for url in elsewhere if not url.startswith(("data:", "blob:", *TOLERATED))}
    assert hosts == {f"127.0.0.1:{web.port}"}
