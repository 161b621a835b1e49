"""Closing a position by its button really sells it, on the sandbox's market, and tells the result."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AuditEntry
from apps.trading.models import ClosedTrade
from apps.trading.services import exit_runner
from tests import factories
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


def test_closing_sells_everything_and_tells_the_profit(market):
    operator = factories.make_operator()
    client = Client()
    client.force_login(operator)
    _, (position,) = closing.agent_holding(market)
    answer = client.post(reverse("admin:trading_position_close_position", args=[position.pk]))
    assert answer.status_code == 302
    (told,) = (str(message) for message in get_messages(answer.wsgi_request))
    trade = ClosedTrade.objects.get(position=position)
    assert (trade.close_reason, "was sold for" in told) == ("manual", True)
    assert AuditEntry.objects.get(action="position.close_requested").actor_id == operator.pk
    assert closing.differences() == []
