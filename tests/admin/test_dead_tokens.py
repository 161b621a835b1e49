"""The page of dead tokens: what is shown of the evidence, and the button that writes a token off."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Protocol

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuditEntry, User
from apps.prices.models import Token
from apps.trading.models import DeadToken, Position
from apps.trading.services import write_off
from tests import factories
from tests.trading import closing

LIST = "admin:trading_deadtoken_changelist"
BUTTON = "admin:trading_deadtoken_write_off_now"


class Listed(Protocol):
    """A row as the list reads it: the evidence, and what its query adds."""

    mint: str
    holders: int
    cost_sol: Decimal


@pytest.fixture
def token(db: None) -> Token:
    token = factories.make_token("GHOST")
    for invested in ("1.25", "2.5"):
        factories.make_position(factories.make_agent(), token, invested=invested)
    return token


def shown(client: Client, **query: str) -> list[Listed]:
    return list(client.get(reverse(LIST), query).context["cl"].result_list)


def test_the_list_shows_open_evidence_with_its_holders_and_their_cost(client: Client, token: Token) -> None:
    factories.make_dead_token(token, checks=7, seconds=600)
    ended = factories.make_dead_token(factories.make_token(), cleared_at=timezone.now(), cleared_code="price")
    (row,) = shown(client)
    assert (row.mint, row.holders, str(row.cost_sol)) == (token.mint, 2, "3.750000000")
    assert [one.mint for one in shown(client, state="ended")] == [ended.mint]
    assert len(shown(client, state="all")) == 2
    page = client.get(reverse(LIST)).content.decode()
    assert "GHOST" in page and "token not tradable" in page and "3.75" in page


def test_writing_off_asks_with_the_figures_and_leaves_a_log(client: Client, operator: User, token: Token) -> None:
    row = factories.make_dead_token(token, checks=7, seconds=600)
    url = reverse(BUTTON, args=[row.pk])
    question = client.get(url).content.decode()
    assert "2 positions in GHOST, 3.7500 SOL at cost" in question
    assert "7 checks over 10 min" in question and "token not tradable" in question
    assert not AuditEntry.objects.exists()

    answer = client.post(url)

    assert answer.status_code == 302
    (told,) = [str(message) for message in get_messages(answer.wsgi_request)]
    assert told.startswith("2 positions in GHOST (3.7500 SOL at cost) are being written off")
    entry = AuditEntry.objects.get(action="dead_token.write_off_requested", actor_id=operator.pk)
    assert entry.object_id == token.mint and entry.before["checks"] == 7
    assert len(write_off.run()) == 2
    assert set(Position.objects.values_list("close_reason", flat=True)) == {"write_off"}
    assert closing.differences() == []


def test_without_a_recent_check_the_button_says_why_not(client: Client, token: Token) -> None:
    row = factories.make_dead_token(token, checks=0)
    page = client.post(reverse(BUTTON, args=[row.pk])).content.decode()
    assert "TOKEN_NOT_DEAD" in page
    DeadToken.objects.update(checks=9, first_seen_at=timezone.now(), last_seen_at=timezone.now() - timedelta(hours=1))
    assert "TOKEN_NOT_DEAD" in client.post(reverse(BUTTON, args=[row.pk])).content.decode()
    assert not AuditEntry.objects.exists() and write_off.run() == []


def test_whoever_may_only_look_cannot_write_off(token: Token) -> None:
    row = factories.make_dead_token(token)
    viewer = factories.make_user(is_staff=True)
    client = Client()
    client.force_login(viewer)
    assert client.post(reverse(BUTTON, args=[row.pk])).status_code == 403
    assert DeadToken.objects.get().write_off_requested_at is None
