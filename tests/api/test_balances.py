"""Balances over HTTP: text without exponents, one per wallet and token under any race, nothing below zero."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connection

from apps.accounts.models import AuditEntry
from apps.core.money import SOL_MINT
from apps.wallets.models import Balance, LedgerEntry
from tests.apiclient import api_of, api_with_key
from tests.factories import (
    fund,
    make_agent,
    make_api_key,
    make_tick,
    make_token,
    make_wallet,
    wallet_of,
)
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db


def body(agent, token, **changes):
    return {
        "agentId": str(agent.pk),
        "tokenAddress": token.mint,
        "tokenSymbol": token.symbol,
        "balance": "12.5",
        **changes,
    }


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("0.000000000000000001", "0.000000000000000001"),
        ("0.0000001", "0.0000001"),
        ("12.500", "12.5"),
        ("100000", "100000"),
        ("12345678901234567890.123456789", "12345678901234567890.123456789"),
        (7, "7"),
        ("0", "0"),
    ],
)
def test_a_balance_is_plain_text_that_may_be_sent_back(api, user, sent, shown):
    agent = make_agent(user, sol=None)
    made = api.post("/agent-balances", body(agent, make_token(), balance=sent))
    assert (made.status, made.json["balance"]) == (201, shown)
    path = f"/agent-balances/{made.json['id']}"
    again = api.put(path, {"balance": made.json["balance"]})
    assert (again.status, again.json["balance"]) == (200, shown)
    assert api.get(path).json["balance"] == shown
    assert differences() == []


def test_the_wallet_of_the_present_mode_is_meant_unless_one_is_named(api, user):
    agent, token = make_agent(user, sol=None), make_token()
    made = api.post("/agent-balances", body(agent, token)).json
    assert made["walletAddress"] == wallet_of(agent).address
    live_only = make_agent(user, sol=None, trading_mode="live")
    answer = api.post("/agent-balances", body(live_only, token))
    assert (answer.status, answer.code) == (400, "WALLET_NOT_FOUND")
    foreign = wallet_of(make_agent(sol=None))
    answer = api.post("/agent-balances", body(agent, token, walletAddress=foreign.address))
    assert (answer.status, answer.code) == (400, "WALLET_NOT_FOUND")
    assert Balance.objects.count() == 1


def test_a_second_balance_of_a_token_is_a_conflict_and_the_first_stays(api, user):
    agent, token = make_agent(user, sol=None), make_token()
    api.post("/agent-balances", body(agent, token))
    answer = api.post("/agent-balances", body(agent, token, balance="99"))
    assert (answer.status, answer.code) == (409, "BALANCE_EXISTS")
    assert Balance.objects.get().amount == Decimal("12.5")


@pytest.mark.django_db(transaction=True)
def test_of_many_that_enter_the_same_balance_at_once_one_does(user):
    agent, token = make_agent(user, sol=None), make_token()
    codes = []

    def enter() -> None:
        try:
            answer = api_of(user).post("/agent-balances", body(agent, token))
            codes.append(answer.code or answer.status)
        finally:
            connection.close()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, codes)) == ["201", "BALANCE_EXISTS", "BALANCE_EXISTS", "BALANCE_EXISTS"]
    assert Balance.objects.get().amount == Decimal("12.5")
    assert differences() == []


def test_a_balance_entered_twice_under_one_key_is_entered_once(api, user):
    agent, token = make_agent(user, sol=None), make_token()
    first, again = (
        api.post("/agent-balances", body(agent, token), **{"idempotency-key": "balance-1"}) for _ in range(2)
    )
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    assert LedgerEntry.objects.count() == 1


def test_every_change_of_a_balance_is_audited(api, user):
    agent, token = make_agent(user, sol=None), make_token()
    made = api.post("/agent-balances", body(agent, token)).json
    api.put(f"/agent-balances/{made['id']}", {"balance": "2"})
    api.delete(f"/agent-balances/{made['id']}")
    entries = AuditEntry.objects.filter(action="balance.adjusted").order_by("id")
    assert [Decimal(entry.after["amount"]) for entry in entries] == [Decimal("12.5"), 2, 0]
    assert {entry.actor_id for entry in entries} == {user.pk}


def test_a_new_name_of_a_token_is_audited_too(api, user):
    agent, token = make_agent(user, sol=None), make_token()
    made = api.post("/agent-balances", body(agent, token)).json
    api.put(f"/agent-balances/{made['id']}", {"tokenSymbol": "NEW"})
    entry = AuditEntry.objects.get(action="balance.renamed")
    assert (entry.before, entry.after) == (
        {"mint": token.mint, "symbol": token.symbol},
        {"mint": token.mint, "symbol": "NEW"},
    )


def test_ids_that_are_none_or_nobodys_are_told_apart(api):
    foreign = make_agent()
    balance = Balance.objects.get()
    for answer, status, code in (
        (api.get("/agent-balances/7"), 400, "INVALID_BALANCE_ID"),
        (api.put("/agent-balances/7", {"balance": "1"}), 400, "INVALID_BALANCE_ID"),
        (api.delete("/agent-balances/7"), 400, "INVALID_BALANCE_ID"),
        (api.get(f"/agent-balances/{foreign.pk}"), 404, "BALANCE_NOT_FOUND"),
        (api.put(f"/agent-balances/{balance.pk}", {"balance": "1"}), 404, "BALANCE_NOT_FOUND"),
        (api.delete(f"/agent-balances/{balance.pk}"), 404, "BALANCE_NOT_FOUND"),
        (api.get("/agent-balances"), 400, "INVALID_AGENT_ID"),
        (api.get("/agent-balances?agentId=7"), 400, "INVALID_AGENT_ID"),
        (api.get(f"/agent-balances?agentId={foreign.pk}"), 404, "AGENT_NOT_FOUND"),
    ):
        assert (answer.status, answer.code) == (status, code)
    balance.refresh_from_db()
    assert balance.amount == 10


def test_a_key_reads_balances_and_changes_none(user):
    agent = make_agent(user)
    _, secret = make_api_key(user, scopes=("balances",))
    api, balance = api_with_key(secret), Balance.objects.get()
    assert [row["balance"] for row in api.get(f"/agent-balances?agentId={agent.pk}").json] == ["10"]
    assert api.get(f"/agent-balances/{balance.pk}").status == 200
    assert api.put(f"/agent-balances/{balance.pk}", {"balance": "99"}).status == 401
    assert api.delete(f"/agent-balances/{balance.pk}").status == 401
    assert Balance.objects.get().amount == 10


def test_prices_come_from_what_the_desk_knows_and_sol_is_one(api, user, settings):
    settings.PROVIDERS = {}  # whoever asked a provider would fail
    agent, known, unknown = make_agent(user), make_token(), make_token()
    live = make_wallet(agent, wallet_type="live")
    fund(wallet_of(agent), "5", mint=known.mint, symbol=known.symbol)
    fund(live, "7", mint=unknown.mint, symbol=unknown.symbol)
    make_tick(known, "0.25")
    rows = {row["tokenAddress"]: row for row in api.get(f"/agent-balances?agentId={agent.pk}").json}
    assert rows[SOL_MINT]["priceSol"] == 1
    assert rows[known.mint]["priceSol"] == Decimal("0.25")
    assert "priceSol" not in rows[unknown.mint]
    (only,) = api.get(f"/agent-balances?agentId={agent.pk}&walletAddress={live.address}").json
    assert only["walletAddress"] == live.address
