"""Exports over a real connection: the database is read as fast as the client reads; who reads nothing harms nobody."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager

import pytest
from django.db import connection

from apps.accounts.services import sessions
from apps.trading.models import ClosedTrade
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]

ROWS = 60_000
STREAM_THREADS = 4
_FILL = """
INSERT INTO closed_trade (id, agent_id, wallet_id, epoch, origin, mint, symbol, amount, purchase_price, sale_price,
                          change_percent, profit_sol, profit_usd, purchase_time, sale_time)
SELECT gen_random_uuid(), %(agent)s, %(wallet)s, 1, 'hand', repeat('m', 44), repeat('s', 50), 1, 1, 2, 100, 1, 150,
       now(), timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, %(rows)s) AS n
"""


@pytest.fixture
def books():
    """Return path and headers of an export of some ten megabytes."""
    agent = factories.make_agent(sol=None)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"agent": agent.pk, "wallet": factories.wallet_of(agent).pk, "rows": ROWS})
    token = sessions.open_session(user=agent.user, remember=False).access_token
    return f"/api/v1/agent-historical-swaps/export?agentId={agent.pk}", {"Authorization": f"Bearer {token}"}


@contextmanager
def idle_client(web, path, headers):
    """Ask for an export and read none of it; its connection holds a few kilobytes at most on this side."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.settimeout(30)
    line.connect(("127.0.0.1", web.port))
    talk = http.client.HTTPConnection("127.0.0.1", web.port)
    talk.sock = line
    talk.request("GET", path, headers=headers)
    try:
        yield talk
    finally:
        talk.close()


def open_transactions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        return cursor.fetchone()[0]


def test_who_reads_nothing_holds_up_one_thread_and_no_transaction_and_gets_the_rest_later(web, books):
    path, headers = books
    with idle_client(web, path, headers) as idle:
        answer = idle.getresponse()
        assert answer.status == 200
        header = answer.readline()
        assert header.startswith(b"Time,Token Symbol")
        status, whole = web.get(path, **headers)
        assert (status, whole.count(b"\n")) == (200, ROWS + 1)
        assert [open_transactions() for _ in range(20)] == [0] * 20
        assert web.get("/api/v1/agents", **headers)[0] == 200
        # What the idle client has not come to yet was not read: it is not there any more when it goes on.
        late = ClosedTrade.objects.filter(sale_time__gt="2026-01-01T11:06:40Z")
        assert late.update(deleted_at="2026-01-02T00:00:00Z") == 20_000
        assert header.count(b"\n") + answer.read().count(b"\n") == ROWS - 20_000 + 1


def test_who_hangs_up_frees_its_thread(web, books):
    path, headers = books
    for _ in range(STREAM_THREADS * 2):
        with idle_client(web, path, headers) as idle:
            assert idle.getresponse().status == 200
    status, whole = web.get(path, **headers)
    assert (status, whole.count(b"\n")) == (200, ROWS + 1)


def test_a_stream_that_is_cut_does_not_look_complete(web, books):
    path, headers = books
    with idle_client(web, path, headers) as idle:
        answer = idle.getresponse()
        assert answer.readline()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE closed_trade RENAME TO closed_trade_away")
        try:
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
            status, body = web.get(path, **headers)
            assert (status, json.loads(body)["code"]) == (500, "INTERNAL_ERROR")
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE closed_trade_away RENAME TO closed_trade")
    assert web.get(path, **headers)[0] == 200
