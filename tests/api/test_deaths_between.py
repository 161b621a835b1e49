"""Requests with an Idempotency-Key whose process dies on the way: asked again, nothing happens a second time."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import IdempotencyKey
from apps.trading.api import views
from apps.trading.models import ExitIntent, Position
from apps.trading.services import exit_runner, exits, hand_buys
from apps.wallets.models import Transaction
from tests.apiclient import api_of
from tests.holding import held, terminate, waiting_session
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)
KEY = {"idempotency-key": "once"}


class Died(BaseException):
    """Ends a request as the end of its process does: no handler runs to its end."""


@pytest.fixture
def token(market):
    return market.add_token()


@pytest.fixture
def dying(monkeypatch):
    """Return a function that makes `name` of a module do its work, and the process die before it returns."""

    def arrange(module, name):
        work = getattr(module, name)

        def die_after(**arguments):
            work(**arguments)
            raise Died

        monkeypatch.setattr(module, name, die_after)
        return lambda: monkeypatch.setattr(module, name, work)

    return arrange


def buy(api, agent, token):
    return api.post("/trades/execute", {"agentId": str(agent.pk), "tokenAddress": token.mint, "positionSize": 1}, **KEY)


def close(api, agent, position, **headers):
    return api.post(f"/agent-positions/{agent.pk}/{position.pk}/close", {}, **headers)


def let_locks_run_out():
    IdempotencyKey.objects.update(locked_until=timezone.now() - timedelta(seconds=1))


def test_a_buy_whose_process_died_before_it_answered_is_not_bought_again(api, agent, token, dying):
    revive = dying(hand_buys, "buy_by_hand")
    with pytest.raises(Died):
        buy(api, agent, token)
    revive()
    position = Position.objects.get()
    assert close(api, agent, position).status == 200
    let_locks_run_out()
    answer = buy(api, agent, token)
    assert answer.status == 200
    assert answer.json["positionId"] == str(position.pk)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert Position.objects.count() == 1
    assert differences() == []


def test_a_buy_that_dies_while_its_answer_is_kept_is_not_booked(user, api, agent, token, market):
    """The booking and the answer are one transaction: who dies before its end has bought nothing."""
    before = Transaction.objects.count()
    answers = []

    def ask():
        try:
            answers.append(buy(api_of(user), agent, token).status)
        finally:
            connection.close()

    market.fault("jupiter_quote", "latency", latency_ms=500)  # the key is claimed before, and its answer kept after
    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(IdempotencyKey.objects.exists)
    with held("LOCK TABLE idempotency_key IN SHARE MODE"):
        pid = waiting_session("UPDATE idempotency_key SET status")
        assert not Position.objects.exists()
        terminate(pid)
    asking.join()
    assert answers == [503]
    assert not Position.objects.exists()
    assert Transaction.objects.count() == before
    let_locks_run_out()
    assert buy(api, agent, token).status == 200
    assert Position.objects.count() == 1
    assert differences() == []


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_close_whose_process_died_before_it_answered_answers_what_became_of_it(api, agent, token, dying):
    buy(api, agent, token)
    position = Position.objects.get()
    key = {"idempotency-key": "close"}
    revive = dying(exits, "wait_for_close")
    with pytest.raises(Died):
        close(api, agent, position, **key)
    revive()
    position.refresh_from_db()
    assert position.closed_at is not None
    let_locks_run_out()
    answer = close(api, agent, position, **key)
    assert answer.status == 200, answer
    assert answer.json["historicalSwapId"] == str(position.closed_trade.pk)
    assert close(api, agent, position, **key).json == answer.json
    assert close(api, agent, position).code == "POSITION_NOT_FOUND"
    assert ExitIntent.objects.count() == 1
    assert differences() == []


def test_a_close_that_takes_longer_is_gone_on_with_under_its_key(api, agent, token, market, monkeypatch):
    buy(api, agent, token)
    position = Position.objects.get()
    key = {"idempotency-key": "close"}
    monkeypatch.setattr(views, "WAIT_SECONDS", 0.3)
    market.fault("jupiter_quote", "server_error")
    pending = close(api, agent, position, **key)
    assert (pending.status, pending.code) == (202, "CLOSE_PENDING")
    market.clear_faults()
    ExitIntent.objects.update(due_at=timezone.now(), status="due", lease_until=None)
    exit_runner.run_due(intent_ids=[pending.json["intentId"]], quote_seconds=10)
    position.refresh_from_db()
    assert position.closed_at is not None
    answer = close(api, agent, position, **key)
    assert answer.status == 200, answer
    assert answer.json["historicalSwapId"] == str(position.closed_trade.pk)
    assert differences() == []
