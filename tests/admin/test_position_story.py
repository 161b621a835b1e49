"""A position's page opens with its story: what its rules hold, then what happened, each with the rows behind it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from apps.core import formatting
from apps.trading.models import Position
from tests import factories
from tests.admin.rows import count_queries
from tests.trading import lives

OPENED = datetime(2026, 3, 1, 14, 0, 0, tzinfo=UTC)


def page_of(position: Position) -> str:
    return reverse("admin:trading_position_change", args=[position.pk])


@pytest.fixture
def position(operator) -> Position:
    agent = factories.make_agent(sol="50", config={"takeProfit": {"enabled": True}, "dca": {"enabled": True}})
    return lives.live_on(lives.bought_on_a_signal(agent, OPENED), OPENED)


def test_the_story_is_told_with_source_age_and_the_rows_behind_it(client: Client, position: Position) -> None:
    text = client.get(page_of(position)).content.decode().replace(formatting.THIN_SPACE, " ")
    assert "Take profit: sold 250, profit 0.15 SOL" in text
    assert "bought 750 at 0.0008 for 0.6 SOL; average 0.001 → 0.00091429" in text
    assert "jupiter, 0.4 s old" in text
    sale = position.fills.filter(is_take_profit=True).first()
    assert reverse("admin:wallets_transaction_change", args=[sale.pk]) in text
    assert f'datetime="{OPENED.isoformat(timespec="milliseconds")}"' in text


def test_an_open_positions_plan_says_where_the_next_levels_are(client: Client, position: Position) -> None:
    text = client.get(page_of(position)).content.decode()
    assert "0 of 4 levels" in text
    assert "1 of 2 buys" in text
    assert 'title="0.001371428571428571428571 SOL"' in text  # +50 % of the average
    assert 'title="0.000731428571428571428571 SOL"' in text  # -20 %


def test_a_closed_positions_page_has_its_end_and_no_plan(client: Client, position: Position) -> None:
    factories.close_position(position, proceeds="0.62", reason="stop_loss")
    text = client.get(page_of(position)).content.decode()
    assert "Closed: profit 1.42 SOL" in text
    assert "sd-plan" not in text


def test_a_long_story_costs_the_page_no_more_queries(client: Client, position: Position) -> None:
    before = count_queries(client, page_of(position))
    for _ in range(5):
        factories.take_profit(position, tokens="10", proceeds="0.01")
        factories.make_intent(position, reason="dca", kind="adjust", status="cancelled", last_error="LAPSED")
    assert count_queries(client, page_of(position)) <= before


def test_words_from_outside_are_text(client: Client, operator) -> None:
    nasty = "<script>alert(1)</script>"
    agent = factories.make_agent()
    token = factories.make_token("EVIL")
    signal = factories.make_signal(agent.user, token, signal_type=nasty, source=nasty)
    position = factories.make_position(agent, token, signal=signal)
    factories.make_execution(signal, agent, verdict="executed", position=position, inputs={"category": nasty})
    factories.make_intent(position, last_error=nasty, attempts=1, details={"source": nasty, "doubt": nasty})
    assert nasty not in client.get(page_of(position)).content.decode()
