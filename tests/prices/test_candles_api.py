"""Candles over HTTP: exact, in order of time, refused with a code when the question is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.prices.services import candles
from tests import factories
from tests.apiclient import Api, api_of

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC)


def ask(mint: str, query: str = ""):
    return api_of(factories.make_user()).get(f"/prices/{mint}/candles?{query}")


def test_candles_come_in_order_of_time_with_every_digit_and_without_filling_gaps() -> None:
    token = factories.make_token()
    factories.make_tick(token, "0.00000000006632", price_usd="0.0000000109", at=AT)
    factories.make_tick(token, "0.00000000009", at=AT + timedelta(seconds=5))
    factories.make_tick(token, "2.5", at=AT + timedelta(minutes=3))
    answer = ask(token.mint, "interval=1m&from=2026-11-20T10:00:31Z&to=2026-11-20T10:04:00Z")
    assert answer.status == 200
    assert answer.json == {
        "mint": token.mint,
        "interval": "1m",
        "from": "2026-11-20T10:00:00.000Z",
        "to": "2026-11-20T10:05:00.000Z",
        "candles": [
            {
                "at": "2026-11-20T10:00:00.000Z",
                "sol": {"open": "6.632e-11", "high": "9e-11", "low": "6.632e-11", "close": "9e-11"},
                "usd": {"open": "1.09e-8", "high": "1.09e-8", "low": "1.09e-8", "close": "1.09e-8"},
                "ticks": 2,
            },
            {
                "at": "2026-11-20T10:03:00.000Z",
                "sol": {"open": "2.5", "high": "2.5", "low": "2.5", "close": "2.5"},
                "usd": None,
                "ticks": 1,
            },
        ],
    }


@pytest.mark.parametrize(("interval", "count"), [("1s", 4), ("1m", 3), ("1h", 2)])
def test_the_interval_says_how_long_a_candle_is(interval: str, count: int) -> None:
    token = factories.make_token()
    for seconds in (0, 1, 90, 3600):
        factories.make_tick(token, "1", at=AT + timedelta(seconds=seconds))
    stored = f"interval={interval}&to=2026-11-20T11:30:00Z&limit=1000&from=2026-11-20T10:00:00Z"
    by_second = f"interval=1s&to={(AT + timedelta(seconds=90)).isoformat().replace('+00:00', 'Z')}&limit=200"
    found = ask(token.mint, by_second if interval == "1s" else stored).json["candles"]
    assert len(found) == (3 if interval == "1s" else count)
    candles.make_candles(now=AT + timedelta(hours=3))
    assert ask(token.mint, by_second if interval == "1s" else stored).json["candles"] == found


def test_without_a_question_it_is_the_last_minutes_up_to_now() -> None:
    token = factories.make_token()
    factories.make_tick(token, "3")
    answer = ask(token.mint)
    assert answer.json["interval"] == "1m"
    assert [candle["sol"]["close"] for candle in answer.json["candles"]] == ["3"]
    begin, end = (datetime.fromisoformat(answer.json[name]) for name in ("from", "to"))
    assert end - begin == timedelta(minutes=500)


def test_a_token_nobody_has_priced_has_no_candles() -> None:
    assert ask(factories.mint_of("unheard of")).json["candles"] == []


def test_more_than_a_thousand_are_a_thousand() -> None:
    answer = ask(factories.mint_of("any"), "interval=1s&limit=99999&to=2026-11-20T10:00:00Z")
    assert answer.json["from"] == "2026-11-20T09:43:21.000Z"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("interval=5m", "INVALID_INTERVAL"),
        ("from=yesterday", "INVALID_FROM"),
        ("to=tomorrow", "INVALID_TO"),
        ("limit=0", "INVALID_LIMIT"),
        ("limit=many", "INVALID_LIMIT"),
        ("from=2026-11-20T10:00:01Z&to=2026-11-20T10:00:00Z", "INVALID_FROM"),
    ],
)
def test_a_wrong_question_is_refused_with_its_code(query: str, code: str) -> None:
    answer = ask(factories.mint_of("any"), query)
    assert (answer.status, answer.code) == (400, code)


def test_what_is_no_mint_is_refused() -> None:
    assert ask("not-a-mint").code == "INVALID_MINT"


def test_a_key_does_not_read_prices_and_a_signed_in_operator_does(client) -> None:
    _, secret = factories.make_api_key(factories.make_user())
    mint = factories.mint_of("any")
    assert Api(**{"x-api-key": secret}).get(f"/prices/{mint}/candles").status in (401, 403)
    client.force_login(factories.make_operator())
    assert client.get(f"/api/v1/prices/{mint}/candles").status_code == 200


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("interval", ["1s", "1m", "1h"])
def test_the_ends_of_time_are_times_like_any_other(moment: str, interval: str) -> None:
    for query in (f"to={moment}", f"from={moment}", f"from={moment}&to={moment}"):
        answer = ask(factories.mint_of("any"), f"interval={interval}&{query}")
        assert answer.status in (200, 400), query
        assert answer.status == 200 or answer.code in ("INVALID_FROM", "INVALID_TO")
