"""Closed trades entered by hand over HTTP: shown and counted like the engine's, corrected and taken back."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import AuditEntry
from apps.trading.models import ClosedTrade
from apps.wallets.models import LedgerEntry
from tests.apiclient import api_of, api_with_key
from tests.factories import (
    close_position,
    fund,
    make_agent,
    make_api_key,
    make_position,
    make_signal,
    make_token,
    make_user,
    mint_of,
    wallet_of,
)
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db

FIELDS = """
    id agentId walletAddress tokenAddress tokenSymbol amount purchasePrice salePrice changePercent profitLossUsd
    profitLossSol purchaseTime saleTime purchaseTransactionId saleTransactionId signalId closeReason createdAt
"""


def trade(agent, **changes):
    return {
        "agentId": str(agent.pk),
        "tokenAddress": mint_of("WIF"),
        "tokenSymbol": "WIF",
        "amount": "1000.5",
        "purchasePrice": "6.632e-11",
        "salePrice": 0.002,
        "changePercent": "-12.5",
        "profitLossUsd": -15,
        "profitLossSol": "-0.1",
        "purchaseTime": "2026-01-01T12:00:00Z",
        "saleTime": "2026-01-01T13:00:00Z",
        **changes,
    }


def everything():
    return list(ClosedTrade.objects.order_by("pk").values()), AuditEntry.objects.count(), LedgerEntry.objects.count()


def test_a_trade_is_kept_as_it_is_told_and_moves_no_balance(api, agent):
    lines = LedgerEntry.objects.count()
    answer = api.post("/agent-historical-swaps", trade(agent))
    assert answer.status == 201, answer
    assert set(answer.json) == set(FIELDS.split())
    assert answer.json == {
        **answer.json,
        "walletAddress": None,
        "tokenAddress": mint_of("WIF"),
        "tokenSymbol": "WIF",
        "amount": "1000.5",
        "purchasePrice": "6.632e-11",
        "salePrice": "0.002",
        "changePercent": "-12.5",
        "profitLossUsd": "-15",
        "profitLossSol": "-0.1",
        "purchaseTime": "2026-01-01T12:00:00.000Z",
        "saleTime": "2026-01-01T13:00:00.000Z",
        "purchaseTransactionId": None,
        "saleTransactionId": None,
        "signalId": None,
        "closeReason": None,
    }
    assert api.get(f"/agent-historical-swaps/{answer.json['id']}").json == answer.json
    assert api.get(f"/agent-historical-swaps?agentId={agent.pk}").json == [answer.json]
    assert LedgerEntry.objects.count() == lines
    assert AuditEntry.objects.get(action="trade.entered").after["purchase_price"] == "0.00000000006632"
    assert differences() == []


def test_a_trade_names_its_wallet_transactions_signal_and_reason(api, agent, user):
    wallet = wallet_of(agent)
    bought, sold = fund(wallet, "1"), fund(wallet, "2")
    signal = make_signal(user, make_token())
    answer = api.post(
        "/agent-historical-swaps",
        trade(
            agent,
            walletAddress=wallet.address,
            purchaseTransactionId=str(bought.pk),
            saleTransactionId=str(sold.pk),
            signalId=signal.pk,
            closeReason="stale_trade",
        ),
    )
    assert answer.status == 201, answer
    assert answer.json["walletAddress"] == wallet.address
    assert answer.json["purchaseTransactionId"] == str(bought.pk)
    assert answer.json["saleTransactionId"] == str(sold.pk)
    assert answer.json["signalId"] == str(signal.pk)
    assert answer.json["closeReason"] == "stale_trade"


def test_trades_entered_by_hand_count_in_the_performance(api, agent):
    position = make_position(agent, make_token(), invested="1")
    close_position(position, proceeds="1.5")
    wallet = wallet_of(agent).address
    won = trade(agent, profitLossSol="2", changePercent="100", walletAddress=wallet)
    assert api.post("/agent-historical-swaps", won).status == 201
    lost = api.post("/agent-historical-swaps", trade(agent, profitLossSol="-0.5", changePercent="-30")).json

    def figures(query=""):
        found = api.get(f"/agents/{agent.pk}/performance{query}").json
        names = ("totalClosedTrades", "realizedProfitLossSol", "averageReturn", "winRate")
        return [found[name] for name in names]

    assert figures() == [3, 2, 40, Decimal("66.66666667")]
    assert figures(f"?walletAddress={wallet}") == [2, Decimal("2.5"), 75, 100]
    assert api.delete(f"/agent-historical-swaps/{lost['id']}").status == 204
    assert figures() == [2, Decimal("2.5"), 75, 100]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tokenAddress": "x"}, "tokenAddress"),
        ({"tokenSymbol": "S" * 21}, "tokenSymbol"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "many"}, "amount"),
        ({"purchasePrice": 0}, "purchasePrice"),
        ({"salePrice": "0"}, "salePrice"),
        ({"salePrice": "1e-25"}, "salePrice"),
        ({"changePercent": "x"}, "changePercent"),
        ({"profitLossUsd": None}, "profitLossUsd"),
        ({"profitLossSol": "1e21"}, "profitLossSol"),
        ({"purchaseTime": "then"}, "purchaseTime"),
        ({"saleTime": "2026-01-01T11:59:59.999Z"}, "saleTime"),
        ({"purchaseTransactionId": "1"}, "purchaseTransactionId"),
        ({"signalId": "x"}, "signalId"),
        ({"closeReason": "take_profit"}, "closeReason"),
        ({"agentId": "x"}, "agentId"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_kept(api, agent, changes, field):
    before = everything()
    answer = api.post("/agent-historical-swaps", trade(agent, **changes))
    assert (answer.status, answer.json["field"]) == (400, field), answer
    assert everything() == before


@pytest.mark.parametrize("missing", [name for name in FIELDS.split() if name in trade(type("A", (), {"pk": 1}))])
def test_what_is_missing_is_named(api, agent, missing):
    body = {name: value for name, value in trade(agent).items() if name != missing}
    assert api.post("/agent-historical-swaps", body).json["field"] == missing


def test_a_figure_that_rounds_beyond_its_column_is_refused(api, agent):
    before = everything()
    answer = api.post("/agent-historical-swaps", trade(agent, profitLossSol="9" * 20 + ".9999999999"))
    assert (answer.status, answer.code) == (400, "FIGURE_TOO_LARGE")
    assert everything() == before


def test_a_sale_may_be_in_the_moment_of_the_purchase(api, agent):
    assert api.post("/agent-historical-swaps", trade(agent, saleTime="2026-01-01T12:00:00Z")).status == 201


def test_what_a_trade_names_must_be_there_and_be_the_agents(api, agent, user):
    other = fund(wallet_of(make_agent(user, sol=None)), "1")
    foreign = fund(wallet_of(make_agent(sol=None)), "1")
    signal = make_signal(make_user(), make_token())
    before = everything()
    cases: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"agentId": str(uuid.uuid4())}, (404, "AGENT_NOT_FOUND")),
        ({"walletAddress": "nobody's"}, (400, "WALLET_NOT_FOUND")),
        ({"walletAddress": other.wallet.address}, (400, "WALLET_NOT_FOUND")),
        ({"purchaseTransactionId": str(uuid.uuid4())}, (404, "TRANSACTION_NOT_FOUND")),
        ({"saleTransactionId": str(foreign.pk)}, (404, "TRANSACTION_NOT_FOUND")),
        ({"saleTransactionId": str(other.pk)}, (400, "TRANSACTION_OF_ANOTHER_AGENT")),
        ({"signalId": signal.pk}, (404, "SIGNAL_NOT_FOUND")),
    ]
    for changes, expected in cases:
        answer = api.post("/agent-historical-swaps", trade(agent, **changes))
        assert (answer.status, answer.code) == expected, changes
    assert api_of(make_user()).post("/agent-historical-swaps", trade(agent)).code == "AGENT_NOT_YOURS"
    assert everything() == before


def test_a_correction_changes_what_it_names_and_is_logged(api, agent, user):
    wallet = wallet_of(agent)
    bought = fund(wallet, "1")
    signal = make_signal(user, make_token())
    row = api.post(
        "/agent-historical-swaps", trade(agent, purchaseTransactionId=str(bought.pk), signalId=signal.pk)
    ).json
    changes = {
        "profitLossSol": "0.3",
        "closeReason": "manual",
        "purchaseTransactionId": None,
        "signalId": None,
        "agentId": str(uuid.uuid4()),
        "walletAddress": "dropped",
    }
    answer = api.put(f"/agent-historical-swaps/{row['id']}", changes)
    assert answer.status == 200, answer
    assert answer.json == {
        **row,
        "profitLossSol": "0.3",
        "closeReason": "manual",
        "purchaseTransactionId": None,
        "signalId": None,
    }
    entry = AuditEntry.objects.get(action="trade.corrected")
    assert (entry.before["profit_sol"], entry.after["profit_sol"]) == ("-0.1", "0.3")
    assert api.put(f"/agent-historical-swaps/{row['id']}", {}).json == answer.json


def test_times_are_checked_against_the_stored_one(api, agent):
    row = api.post("/agent-historical-swaps", trade(agent)).json
    before = everything()
    for changes in ({"saleTime": "2026-01-01T11:00:00Z"}, {"purchaseTime": "2026-01-01T14:00:00Z"}):
        answer = api.put(f"/agent-historical-swaps/{row['id']}", changes)
        assert (answer.status, answer.code) == (400, "INVALID_SALE_TIME")
    assert everything() == before
    both = {"purchaseTime": "2026-02-01T00:00:00Z", "saleTime": "2026-02-02T00:00:00Z"}
    assert api.put(f"/agent-historical-swaps/{row['id']}", both).status == 200


def test_a_correction_may_not_name_what_is_not_there(api, agent):
    row = api.post("/agent-historical-swaps", trade(agent)).json
    foreign = fund(wallet_of(make_agent(sol=None)), "1")
    before = everything()
    for changes, code in [
        ({"saleTransactionId": str(foreign.pk)}, "TRANSACTION_NOT_FOUND"),
        ({"signalId": 987654321}, "SIGNAL_NOT_FOUND"),
        ({"profitLossUsd": None}, "INVALID_PROFIT_LOSS_USD"),
        ({"amount": "-1"}, "INVALID_AMOUNT"),
    ]:
        assert api.put(f"/agent-historical-swaps/{row['id']}", changes).code == code
    assert everything() == before


def test_a_trade_taken_back_is_gone_for_everybody_and_its_row_stays(api, agent):
    row = api.post("/agent-historical-swaps", trade(agent)).json
    answer = api.delete(f"/agent-historical-swaps/{row['id']}")
    assert (answer.status, answer.text) == (204, b"")
    assert api.get(f"/agent-historical-swaps?agentId={agent.pk}").json == []
    for again in (
        api.get(f"/agent-historical-swaps/{row['id']}"),
        api.put(f"/agent-historical-swaps/{row['id']}", {"amount": "1"}),
        api.delete(f"/agent-historical-swaps/{row['id']}"),
    ):
        assert (again.status, again.code) == (404, "SWAP_NOT_FOUND")
    assert ClosedTrade.objects.get(pk=row["id"]).deleted_at is not None
    assert AuditEntry.objects.filter(action="trade.deleted", object_id=row["id"]).exists()


def test_trades_of_the_engine_are_immutable(api, agent):
    row = close_position(make_position(agent, make_token()), proceeds="2")
    before = everything()
    path = f"/agent-historical-swaps/{row.pk}"
    for answer in (api.put(path, {"amount": "1"}), api.put(path, {"amount": "x"}), api.delete(path)):
        assert (answer.status, answer.code) == (409, "IMMUTABLE_RECORD")
    assert everything() == before
    assert differences() == []


def test_only_its_owner_changes_a_trade_and_no_key_does(api, agent, user):
    row = api.post("/agent-historical-swaps", trade(agent)).json
    before = everything()
    stranger = api_of(make_user())
    for answer in (
        stranger.get(f"/agent-historical-swaps/{row['id']}"),
        stranger.put(f"/agent-historical-swaps/{row['id']}", {"amount": "2"}),
        stranger.delete(f"/agent-historical-swaps/{row['id']}"),
    ):
        assert (answer.status, answer.code) == (403, "AGENT_NOT_YOURS")
    _, secret = make_api_key(user)
    assert api_with_key(secret).post("/agent-historical-swaps", trade(agent)).status == 401
    assert everything()[0] == before[0]


def test_the_same_entry_twice_under_one_key_is_kept_once(api, agent):
    key = {"idempotency-key": "trade-1"}
    first, again = (api.post("/agent-historical-swaps", trade(agent), **key) for _ in range(2))
    assert first.json == again.json
    assert ClosedTrade.objects.count() == 1


def test_every_filter_of_the_list_picks_its_rows(api, agent, user):
    wallet = wallet_of(agent)
    bought, sold = fund(wallet, "1"), fund(wallet, "2")
    signal = make_signal(user, make_token())
    one = api.post(
        "/agent-historical-swaps",
        trade(
            agent,
            walletAddress=wallet.address,
            tokenAddress=mint_of("ONE"),
            tokenSymbol="ONE",
            purchaseTransactionId=str(bought.pk),
            saleTransactionId=str(sold.pk),
            signalId=signal.pk,
            profitLossUsd="20",
            purchaseTime="2026-03-01T00:00:00Z",
            saleTime="2026-03-02T00:00:00Z",
        ),
    ).json["id"]
    two = api.post("/agent-historical-swaps", trade(agent)).json["id"]

    def found(query):
        return [row["id"] for row in api.get(f"/agent-historical-swaps?agentId={agent.pk}&{query}").json]

    assert found("") == [one, two]
    for query in (
        f"walletAddress={wallet.address}",
        f"tokenAddress={mint_of('ONE')}",
        "tokenSymbol=ONE",
        "startPurchaseTime=2026-03-01T00:00:00Z",
        "startSaleTime=2026-03-02T00:00:00Z",
        f"signalId={signal.pk}",
        f"purchaseTransactionId={bought.pk}",
        f"saleTransactionId={sold.pk}",
        "minProfitLossUsd=20",
    ):
        assert found(query) == [one], query
    for query in (
        "endPurchaseTime=2026-01-01T12:00:00Z",
        "endSaleTime=2026-01-01T13:00:00Z",
        "maxProfitLossUsd=19.99999999",
    ):
        assert found(query) == [two], query
    for name in ("startPurchaseTime", "endSaleTime", "signalId", "purchaseTransactionId", "minProfitLossUsd"):
        assert api.get(f"/agent-historical-swaps?agentId={agent.pk}&{name}=x").json["field"] == name
