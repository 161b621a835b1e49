"""Trading signals over HTTP: taken once, seen by their owner only, corrected and deleted without trading again."""

from datetime import datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.accounts.services import api_keys
from apps.signals.models import SignalDedup, TradingSignal
from tests.apiclient import Api, api_of, api_with_key
from tests.factories import make_signal, make_token, make_user, mint_of

pytestmark = pytest.mark.django_db

MINT = mint_of("SIG")
FIELDS = {
    "id",
    "createdAt",
    "updatedAt",
    "tokenAddress",
    "symbol",
    "signalType",
    "activationReason",
    "signalStrength",
    "source",
}


def body(**changes):
    return {"tokenAddress": MINT, "signalType": "Momentum", "signalStrength": 3, **changes}


def test_a_signal_is_taken_as_it_was_sent(api, user):
    answer = api.post(
        "/trading-signals",
        body(symbol=" WIF ", activationReason="volume ×3\nsecond line", source="scanner", tokenAddress=f" {MINT} "),
    )
    assert answer.status == 201
    assert set(answer.json) == FIELDS
    assert isinstance(answer.json["id"], int)
    assert answer.json["tokenAddress"] == MINT
    assert answer.json["symbol"] == "WIF"
    assert answer.json["activationReason"] == "volume ×3\nsecond line"
    row = TradingSignal.objects.get()
    assert (row.user_id, row.status, row.api_key_id) == (user.pk, "due", None)


def test_blank_optionals_become_null(api):
    answer = api.post("/trading-signals", body(symbol="", activationReason="  ", source=None))
    assert answer.json["symbol"] is answer.json["activationReason"] is answer.json["source"] is None


def test_an_integral_number_with_a_point_is_an_integer(api):
    raw = f'{{"tokenAddress": "{MINT}", "signalType": "T", "signalStrength": 3.0}}'.encode()
    assert api.call("POST", "/trading-signals", raw).json["signalStrength"] == 3


def test_a_signal_by_key_remembers_the_key(user):
    key, secret = api_keys.create(user=user, name="k", scopes=["signals"], actor=user)
    assert api_with_key(secret).post("/trading-signals", body()).status == 201
    assert TradingSignal.objects.get().api_key_id == key.pk


def test_the_same_signal_within_a_minute_is_a_duplicate(api, user):
    assert api.post("/trading-signals", body()).status == 201
    answer = api.post("/trading-signals", body(symbol="OTHER", source="other"))
    assert (answer.status, answer.code) == (409, "SIGNAL_DUPLICATE")
    assert api.post("/trading-signals", body(signalStrength=4)).status == 201
    assert api.post("/trading-signals", body(signalType="Dip")).status == 201
    assert api_of(make_user()).post("/trading-signals", body()).status == 201
    SignalDedup.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    assert api.post("/trading-signals", body()).status == 201


@pytest.mark.django_db(transaction=True)
def test_ten_equal_signals_at_once_are_one():
    user = make_user()
    start, answers = Barrier(10), []

    def post():
        start.wait()
        try:
            answers.append(api_of(user).post("/trading-signals", body()).status)
        finally:
            connection.close()

    threads = [Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] + [409] * 9
    assert TradingSignal.objects.count() == 1


def test_signals_are_seen_by_their_owner_only(api):
    foreign = make_signal(make_user(), make_token())
    assert api.get("/trading-signals").json == []
    for call in (
        api.get(f"/trading-signals/{foreign.pk}"),
        api.put(f"/trading-signals/{foreign.pk}", {"symbol": "X"}),
        api.delete(f"/trading-signals/{foreign.pk}"),
    ):
        assert (call.status, call.code) == (404, "SIGNAL_NOT_FOUND")


def test_signals_are_filtered(api, user):
    one, other = make_token(), make_token()
    make_signal(user, one, signal_type="A")
    make_signal(user, other, signal_type="B")
    assert len(api.get(f"/trading-signals?tokenAddress={one.mint}").json) == 1
    assert [s["signalType"] for s in api.get("/trading-signals?signalType=B").json] == ["B"]
    assert api.get("/trading-signals?startDate=&endDate=&tokenAddress=").headers["X-Total-Count"] == "2"


def test_ranges_of_time_include_both_ends_to_the_millisecond(api, user):
    signal = make_signal(user, make_token())
    moment = datetime.fromisoformat("2026-03-01T10:00:00.123456+00:00")
    TradingSignal.objects.filter(pk=signal.pk).update(created_at=moment)
    shown = api.get(f"/trading-signals/{signal.pk}").json["createdAt"]
    assert shown == "2026-03-01T10:00:00.123Z"
    assert len(api.get(f"/trading-signals?startDate={shown}&endDate={shown}").json) == 1
    assert len(api.get("/trading-signals?endDate=2026-03-01T10:00:00.122Z").json) == 0
    assert len(api.get("/trading-signals?startDate=2026-03-01T12:00:00.123%2B02:00").json) == 1
    assert len(api.get("/trading-signals?startDate=2026-03-01").json) == 1
    assert len(api.get("/trading-signals?startDate=2026-03-02").json) == 0


def test_a_correction_changes_the_text_and_trades_nothing(api, user):
    signal = make_signal(user, make_token(), status="done")
    answer = api.put(f"/trading-signals/{signal.pk}", {"symbol": None, "source": "desk", "signalStrength": 5})
    assert answer.status == 200
    assert (answer.json["symbol"], answer.json["source"], answer.json["signalStrength"]) == (None, "desk", 5)
    signal.refresh_from_db()
    assert signal.status == "done"
    assert api.put(f"/trading-signals/{signal.pk}", {}).status == 400
    assert api.put(f"/trading-signals/{signal.pk}", {"tokenAddress": "x"}).code == "INVALID_MINT"
    assert api.put(f"/trading-signals/{signal.pk}", {"signalStrength": 9}).code == "INVALID_SIGNAL_STRENGTH"


def test_a_deleted_signal_is_gone_and_its_row_stays(api, user):
    signal = make_signal(user, make_token())
    answer = api.delete(f"/trading-signals/{signal.pk}")
    assert (answer.status, answer.text) == (204, b"")
    assert api.get(f"/trading-signals/{signal.pk}").code == "SIGNAL_NOT_FOUND"
    assert api.delete(f"/trading-signals/{signal.pk}").status == 404
    signal.refresh_from_db()
    assert signal.deleted_at is not None
    assert AuditEntry.objects.filter(action="signals.deleted", object_id=str(signal.pk)).exists()


def test_deleting_all_wants_a_confirmation_and_takes_only_own_signals(api, user):
    for _ in range(3):
        make_signal(user, make_token())
    foreign = make_signal(make_user(), make_token())
    answer = api.delete("/trading-signals/all")
    assert (answer.status, answer.json["error"]) == (400, "Confirmation required")
    assert TradingSignal.objects.filter(deleted_at=None).count() == 4
    answer = api.delete("/trading-signals/all?confirm=true")
    assert answer.json == {**answer.json, "success": True, "deleted": 3}
    assert list(TradingSignal.objects.filter(deleted_at=None)) == [foreign]


@pytest.mark.parametrize("signal_id", ["0", "999999999999999999", "9" * 18])
def test_a_number_nobody_gave_is_not_found(api, signal_id):
    assert api.get(f"/trading-signals/{signal_id}").code == "SIGNAL_NOT_FOUND"


def test_a_key_may_post_so_many_signals_a_minute_and_another_key_is_its_own(user, settings):
    settings.SIGNALS_PER_MINUTE = 3
    _, first = api_keys.create(user=user, name="a", scopes=["signals"], actor=user)
    _, second = api_keys.create(user=user, name="b", scopes=["signals"], actor=user)
    answers = [api_with_key(first).post("/trading-signals", body(signalType=f"T{n}")) for n in range(8)]
    limited = [answer for answer in answers if answer.status == 429]
    assert limited and answers[0].status == 201
    assert limited[0].code == "RATE_LIMITED"
    assert int(limited[0].headers["Retry-After"]) == limited[0].json["retryAfter"]
    assert api_with_key(second).post("/trading-signals", body(signalType="mine")).status == 201


def test_reading_is_not_limited(user, settings):
    settings.SIGNALS_PER_MINUTE = 1
    _, secret = api_keys.create(user=user, name="a", scopes=["signals"], actor=user)
    assert {api_with_key(secret).get("/trading-signals").status for _ in range(5)} == {200}


def test_the_caller_is_known_by_one_query_and_the_signal_taken_in_one_transaction(user, django_assert_max_num_queries):
    _, secret = api_keys.create(user=user, name="a", scopes=["signals:create"], actor=user)
    api = api_with_key(secret)
    api.post("/trading-signals", body(signalType="warm"))
    api_keys.write_uses()
    with django_assert_max_num_queries(7) as captured:
        assert api.post("/trading-signals", body()).status == 201
    statements = [query["sql"] for query in captured.captured_queries]
    assert len([sql for sql in statements if "FROM api_key" in sql or "FROM account" in sql]) == 1
    assert len([sql for sql in statements if "INSERT INTO trading_signal" in sql]) == 1
    assert not [sql for sql in statements if "last_used_at" in sql and "UPDATE" in sql]


def test_an_anonymous_signal_is_refused():
    assert Api().post("/trading-signals", body()).status == 401
    assert not TradingSignal.objects.exists()
