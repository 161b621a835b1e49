"""The list of positions shows the open ones; closed ones are a filter away."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

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
