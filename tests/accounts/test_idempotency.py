"""Idempotency-Key: the same request gets the same answer and happens once."""

import json
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import IdempotencyKey
from apps.accounts.services import idempotency
from apps.core.errors import Conflict
from apps.core.money import SOL_MINT
from apps.signals.models import TradingSignal
from tests.apiclient import api_of
from tests.factories import make_agent, make_user, mint_of

pytestmark = pytest.mark.django_db
KEY = {"idempotency-key": "order-1"}


def signal_body(**changes):
    return {"tokenAddress": mint_of("IDEM"), "signalType": "Momentum", "signalStrength": 3, **changes}


@pytest.fixture
def user():
    return make_user()


@pytest.fixture
def api(user):
    return api_of(user)


def test_the_same_request_gets_the_same_answer_and_happens_once(api):
    first = api.post("/trading-signals", signal_body(), **KEY)
    again = api.post("/trading-signals", signal_body(), **KEY)
    assert first.status == again.status == 201
    assert first.json == again.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert TradingSignal.objects.count() == 1


def test_spacing_and_order_of_the_body_do_not_matter(api):
    first = api.post("/trading-signals", signal_body(), **KEY)
    shuffled = json.dumps(dict(reversed(signal_body().items())), indent=3).encode()
    assert api.call("POST", "/trading-signals", body=shuffled, **KEY).json == first.json


def test_another_body_under_the_same_key_is_refused(api):
    api.post("/trading-signals", signal_body(), **KEY)
    answer = api.post("/trading-signals", signal_body(signalStrength=4), **KEY)
    assert (answer.status, answer.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert TradingSignal.objects.count() == 1


def test_another_route_under_the_same_key_is_refused(api, user):
    make_agent(user)
    api.post("/trading-signals", signal_body(), **KEY)
    assert api.post("/trades/execute", signal_body(), **KEY).status == 422


def test_a_refusal_is_an_answer_too(api):
    bad = signal_body(tokenAddress="nonsense")
    first, again = (api.post("/trading-signals", bad, **KEY) for _ in range(2))
    assert first.status == again.status == 400
    assert first.json == again.json
    assert first.code == "INVALID_MINT"


def test_keys_of_two_users_do_not_meet(api):
    assert api.post("/trading-signals", signal_body(), **KEY).status == 201
    assert api_of(make_user()).post("/trading-signals", signal_body(), **KEY).status == 201


def test_a_request_that_still_runs_is_a_conflict(api, user):
    print_of = idempotency.fingerprint("POST", "/api/v1/trading-signals", signal_body())
    idempotency.claim(user=user, key="order-1", fingerprint=print_of)
    answer = api.post("/trading-signals", signal_body(), **KEY)
    assert (answer.status, answer.code) == (409, "IDEMPOTENCY_IN_PROGRESS")


def test_a_request_that_died_is_taken_over_when_its_lock_has_run_out(api, user):
    print_of = idempotency.fingerprint("POST", "/api/v1/trading-signals", signal_body())
    idempotency.claim(user=user, key="order-1", fingerprint=print_of)
    IdempotencyKey.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    assert api.post("/trading-signals", signal_body(), **KEY).status == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_malformed_key_is_refused(api, key):
    answer = api.post("/trading-signals", signal_body(), **{"idempotency-key": key})
    assert (answer.status, answer.code) == (400, "INVALID_IDEMPOTENCY_KEY")
    assert not TradingSignal.objects.exists()


def test_a_deposit_happens_once(api, user):
    agent = make_agent(user, sol=None)
    body = {
        "agentId": str(agent.pk),
        "transactionType": "DEPOSIT",
        "transactionValueUsd": "150",
        "transactionTime": "2026-01-01T00:00:00Z",
        "inputMint": SOL_MINT,
        "inputSymbol": "SOL",
        "inputAmount": "1",
    }
    first, again = (api.post("/agent-transactions", body, **KEY) for _ in range(2))
    assert first.status == again.status == 201
    assert first.json["id"] == again.json["id"]
    assert api.get(f"/agent-balances?agentId={agent.pk}").json[0]["balance"] == "1"


@pytest.mark.django_db(transaction=True)
def test_ten_equal_requests_at_once_happen_once():
    user = make_user()
    start, answers = Barrier(10), []

    def post():
        start.wait()
        try:
            answers.append(api_of(user).post("/trading-signals", signal_body(), **KEY).status)
        finally:
            connection.close()

    threads = [Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert TradingSignal.objects.count() == 1
    assert set(answers) <= {201, 409}
    assert 201 in answers


def test_old_keys_are_pruned(api):
    api.post("/trading-signals", signal_body(), **KEY)
    assert idempotency.prune(now=timezone.now()) == 0
    assert idempotency.prune(now=timezone.now() + timedelta(hours=25)) == 1


def taken(user):
    print_of = idempotency.fingerprint("POST", "/", {})
    return idempotency.claim(user=user, key="k", fingerprint=print_of)


def claimed(user) -> idempotency.Claim:
    found = taken(user)
    assert isinstance(found, idempotency.Claim)
    return found


def test_a_run_that_was_taken_over_can_neither_answer_nor_begin_nor_release(user):
    slow = claimed(user)
    IdempotencyKey.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    quick = claimed(user)
    for act in (
        lambda: idempotency.keep(slow, idempotency.Answer(200, b"{}")),
        lambda: idempotency.begin(slow, {"intent": 1}),
    ):
        with pytest.raises(Conflict) as refused:
            act()
        assert refused.value.code == "IDEMPOTENCY_IN_PROGRESS"
    idempotency.release(slow)
    idempotency.keep(quick, idempotency.Answer(200, b'{"a":1}'))
    assert taken(user) == idempotency.Answer(200, b'{"a": 1}')


def test_what_was_begun_is_found_by_the_next_run_and_not_forgotten_by_a_release(user):
    first = claimed(user)
    assert first.begun is None
    idempotency.begin(first, {"intent": 7})
    idempotency.release(first)
    again = claimed(user)
    assert again.begun == {"intent": 7}
