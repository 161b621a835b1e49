"""The story of a position over HTTP: who may read it, what it holds, how it is described."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.apiclient import Api, api_of, api_with_key
from tests.factories import (
    add_to,
    close_position,
    make_agent,
    make_api_key,
    make_position,
    make_stop_move,
    make_token,
    make_user,
    take_profit,
)
from tests.trading import closing

pytestmark = pytest.mark.django_db

NOBODY = "6f1f0d1e-0000-4000-8000-00000000000f"


@pytest.fixture
def position(agent):
    return make_position(agent, make_token("WIF"), invested="1", price="0.001")


def events_of(position) -> str:
    return f"/agent-positions/{position.agent_id}/{position.pk}/events"


def test_an_open_position_tells_its_story_oldest_first_with_its_books_and_its_plan(api, position):
    make_stop_move(position, peak="0.0013", percent="20", price="0.0012")
    sale = take_profit(position, tokens="250", proceeds="0.4")
    add_to(position, invested="0.6", price="0.0008")
    answer = api.get(events_of(position))
    assert answer.status == 200
    assert [event["kind"] for event in answer.json["events"]] == ["opened", "stop_raised", "sold_part", "added"]
    sold = answer.json["events"][2]
    assert sold["text"] == "Sold 250 for 0.4 SOL, profit 0.15 SOL; 750 left."
    assert (sold["priceSol"], sold["priceSource"], sold["priceAgeSeconds"]) == (Decimal("0.0016"), "fill", None)
    assert (sold["rule"], sold["transactionId"], sold["intentId"]) == ("take_profit", str(sale.pk), None)
    assert (sold["count"], sold["firstAt"]) == (1, None)
    assert (sold["facts"]["costSol"], sold["facts"]["profitSol"]) == ("0.25", "0.15")
    shown = answer.json["position"]
    assert (shown["tokenSymbol"], shown["remainingTokens"], shown["dcaCount"]) == ("WIF", 1500, 1)
    assert (shown["closedAt"], shown["closeReason"]) == (None, None)
    plan = answer.json["plan"]
    assert plan["stopLoss"] == {"enabled": True, "mode": "fixed", "defaultPercent": -32}
    assert plan["takeProfit"]["levels"][0]["number"] == 1
    assert closing.differences() == []


def test_a_closed_position_keeps_its_story_and_has_no_plan(api, position):
    trade = close_position(position, proceeds="1.4", reason="stop_loss")
    answer = api.get(events_of(position))
    assert [event["kind"] for event in answer.json["events"]] == ["opened", "sold", "closed"]
    assert answer.json["events"][-1]["id"] == f"trade-{trade.pk}"
    assert answer.json["plan"] is None
    assert answer.json["position"]["closeReason"] == "stop_loss"
    assert api.get(f"/agents/{position.agent_id}/positions/{position.pk}/events").json == answer.json


def test_rises_in_a_row_are_one_event_unless_each_is_asked_for(api, position):
    for step in (1, 2, 3):
        make_stop_move(position, peak=f"0.001{step + 2}", percent=f"{step + 1}0", price=f"0.001{step + 1}")
    folded = api.get(events_of(position)).json["events"]
    assert [event["count"] for event in folded] == [1, 3]
    assert folded[1]["firstAt"] <= folded[1]["at"]
    each = api.get(f"{events_of(position)}?folded=false").json["events"]
    assert [event["count"] for event in each] == [1, 1, 1, 1]
    assert api.get(f"{events_of(position)}?folded=perhaps").status == 400


def test_another_users_position_is_not_there(position):
    answer = api_of(make_user()).get(events_of(position))
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")


def test_a_position_of_another_agent_of_the_same_user_is_not_there(api, user, position):
    other = make_agent(user)
    answer = api.get(f"/agent-positions/{other.pk}/{position.pk}/events")
    assert (answer.status, answer.code) == (404, "POSITION_NOT_FOUND")


def test_an_unknown_position_is_not_there(api, agent):
    answer = api.get(f"/agent-positions/{agent.pk}/{NOBODY}/events")
    assert (answer.status, answer.code) == (404, "POSITION_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/agent-positions/{agent}/not-an-id/events", "INVALID_POSITION_ID"),
        ("/agent-positions/not-an-id/{position}/events", "INVALID_AGENT_ID"),
    ],
)
def test_a_malformed_id_is_named(api, position, path, code):
    answer = api.get(path.format(agent=position.agent_id, position=position.pk))
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(("scope", "status"), [("positions", 200), ("agents", 403)])
def test_a_key_needs_the_scope_of_positions(user, position, scope, status):
    _, secret = make_api_key(user, scopes=(scope,))
    assert api_with_key(secret).get(events_of(position)).status == status


def test_nobody_reads_it_without_signing_in(position):
    assert Api().get(events_of(position)).status == 401


def test_a_long_story_takes_the_queries_of_a_short_one(api, agent, position):
    other = make_position(agent, make_token())
    for _ in range(6):
        take_profit(other, tokens="10", proceeds="0.02")
        make_stop_move(other, peak="0.0013", percent="20", price="0.0012")

    def queries(of) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(events_of(of)).status == 200
        return len(captured)

    assert queries(position) == queries(other) <= 10
