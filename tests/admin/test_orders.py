"""The list of live orders: what it says of an order that failed."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from tests import factories


def test_a_code_is_shown_in_words(client: Client) -> None:
    factories.make_order(factories.make_agent(), factories.make_token(), status="failed", code="TOKEN_TRANSFER_FEE")
    page = client.get(reverse("admin:trading_order_changelist")).content.decode()
    assert "token transfer fee" in page
