"""The web process: health beside the pool, slow senders outside it, what waits on the outside in a lane of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from apps.accounts.services import sessions
from tests import factories
from tests.console.web_process import ROOT, WebProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]

QUICK_THREADS = 4
SLOW_THREADS = 8


@contextmanager
def waiting_requests(web: WebProcess, count: int, method: str, path: str, headers: dict[str, str], *, table: str):
    """Have `count` requests wait for `table`; yields the list their statuses come into when the block ends."""
    taken, let_go = threading.Event(), threading.Event()
    statuses: list[int] = []

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            taken.set()
            let_go.wait(60)
        connection.close()

    def ask() -> None:
        statuses.append(web.request(method, path, b"{}", headers)[0])

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    askers = [threading.Thread(target=ask) for _ in range(count)]
    for thread in askers:
        thread.start()
    time.sleep(0.5)
    try:
        yield statuses
    finally:
        let_go.set()
        for thread in [holder, *askers]:
            thread.join()


def authorised(user) -> dict[str, str]:
    token = sessions.open_session(user=user, remember=False).access_token
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def test_health_answers_while_every_thread_waits(web):
    headers = authorised(factories.make_user())
    with waiting_requests(web, QUICK_THREADS * 2, "GET", "/api/v1/auth/me", headers, table="account") as statuses:
        for path, expected in (("", 200), ("/ready", 503), ("/live", 200)):  # no worker runs here: no trading
            started = time.monotonic()
            status, body = web.get(f"/api/v1/health{path}")
            assert status == expected
            assert json.loads(body)
            assert time.monotonic() - started < 10  # the lock is held for as long as this takes
        assert statuses == []
    assert statuses == [200] * QUICK_THREADS * 2


def test_what_waits_on_the_outside_does_not_take_the_threads_of_the_rest(web):
    agent = factories.make_agent()
    position = factories.make_position(agent, factories.make_token())
    factories.set_state("halted", exits_enabled=False)
    headers = authorised(agent.user)
    path = f"/api/v1/agent-positions/{agent.pk}/{position.pk}/close"
    with waiting_requests(web, SLOW_THREADS, "POST", path, headers, table="position") as statuses:
        started = time.monotonic()
        assert web.get("/api/v1/auth/me", **headers)[0] == 200
        assert time.monotonic() - started < 10
        assert statuses == []
    assert statuses == [409] * SLOW_THREADS


def test_a_body_that_does_not_arrive_occupies_no_thread(web):
    senders = []
    for _ in range(QUICK_THREADS * 3):
        sender = socket.create_connection(("127.0.0.1", web.port))
        sender.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{")
        senders.append(sender)
    started = time.monotonic()
    assert web.get("/admin/login/")[0] == 200
    assert time.monotonic() - started < 20  # such a body is given up after half a minute
    for sender in senders:
        sender.close()


def test_a_huge_body_is_refused_with_a_code(web):
    status, body = web.request(
        "POST", "/api/v1/auth/login", b"x" * (3 * 1024 * 1024), {"Content-Type": "application/json"}
    )
    assert status == 413
    assert json.loads(body)["code"] == "BODY_TOO_LARGE"


def test_every_answer_names_its_request(web):
    talk = socket.create_connection(("127.0.0.1", web.port))
    talk.sendall(
        b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: mine-1\r\nConnection: close\r\n\r\n"
    )
    answer = b""
    while more := talk.recv(4096):
        answer += more
    assert b"x-request-id: mine-1" in answer
    talk.close()


def test_static_files_and_pages_come_through_the_same_port(web):
    assert web.get("/static/desk/desk.css")[0] == 200
    assert web.get("/desk/")[0] == 302
    assert web.get("/nowhere")[0] == 404


def test_a_port_in_use_ends_with_a_sentence(web):
    second = subprocess.run(
        [sys.executable, "-m", "config.web"], cwd=ROOT, env=web.environment, capture_output=True, text=True, timeout=120
    )
    assert second.returncode == 1
    assert second.stderr.strip() == f"Port {web.port} is in use: stop what listens there, or set PORT."
