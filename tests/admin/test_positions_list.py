"""The list of positions shows the open ones; closed ones are a filter away."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.trading import admin_figures as figures
from tests import factories
from tests.admin.rows import Desk

POSITIONS = "admin:trading_position_changelist"


@pytest.mark.parametrize(
    ("query", "open_shown", "closed_shown"),
    [
        ({}, True, False),
        ({"state": "all"}, True, True),
        ({"state": "closed"}, False, True),
        ({"close_reason": "take_profit"}, False, True),
    ],
    ids=["default", "all", "closed", "a close reason"],
)
def test_closed_positions_are_shown_when_asked_for(
    client: Client, desk: Desk, query: dict[str, str], open_shown: bool, closed_shown: bool
) -> None:
    context = client.get(reverse(POSITIONS), query).context_data
    shown = [position.closed_at is None for position in context["cl"].queryset]
    assert (True in shown, False in shown) == (open_shown, closed_shown)


def test_the_state_of_each_is_told_only_where_it_differs(client: Client, desk: Desk) -> None:
    def names(query: dict[str, str]) -> list[str]:
        listed = client.get(reverse(POSITIONS), query).context_data["cl"].list_display
        return [getattr(item, "__name__", item) for item in listed]

    assert "state" not in names({})
    assert "state" in names({"state": "all"})


def test_a_list_is_titled_by_what_it_lists(client: Client, desk: Desk) -> None:
    assert client.get(reverse(POSITIONS)).context_data["title"] == "Positions"


def test_a_position_is_valued_at_its_last_fill_until_a_newer_price_is_known(client: Client, operator) -> None:
    agent, now = factories.make_agent(), timezone.now()
    again, part, known = (factories.make_token(symbol) for symbol in ("AGAIN", "PART", "KNOWN"))
    for token, at in ((again, now - timedelta(hours=1)), (part, now), (known, now + timedelta(hours=1))):
        factories.make_tick(token, "0.009", at=at)
        factories.make_position(agent, token, invested="1", price="0.001", opened_at=now - timedelta(minutes=30))
    sold = agent.positions.get(symbol="PART")
    factories.take_profit(sold, tokens="250", proceeds="0.5", at=now + timedelta(minutes=1))
    page = client.get(reverse(POSITIONS))
    shown = {row.symbol: row for row in page.context_data["cl"].queryset}
    assert {symbol: figures.mark_of(row).price_sol for symbol, row in shown.items()} == {
        "AGAIN": Decimal("0.001"),
        "PART": Decimal("0.002"),
        "KNOWN": Decimal("0.009"),
    }
    assert figures.profit_of(shown["PART"]) == Decimal("0.002") * 750 - Decimal("0.75") + Decimal("0.25")
    assert page.content.decode().count("last fill</span>") == 2
