"""Balances, transactions, deposits and wallets over HTTP."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.core.money import SOL_MINT
from apps.wallets.models import Balance, LedgerEntry, Transaction
from tests.factories import (
    close_position,
    fund,
    make_agent,
    make_position,
    make_tick,
    make_token,
    make_wallet,
    wallet_of,
)

pytestmark = pytest.mark.django_db

TRANSACTION_FIELDS = """
    id agentId walletAddress transactionType transactionValueUsd transactionTime destinationAddress signalId fees
    routes inputMint inputSymbol inputAmount inputPrice outputMint outputSymbol outputAmount outputPrice slippage
    priceImpact isDca isTakeProfit transactionHash protocolFeeSol networkFeeSol createdAt updatedAt
"""


def deposit_body(agent, **changes):
    return {
        "agentId": str(agent.pk),
        "transactionType": "DEPOSIT",
        "transactionValueUsd": 300.5,
        "transactionTime": "2026-01-01T12:00:00.500Z",
        "inputMint": SOL_MINT,
        "inputSymbol": "SOL",
        "inputAmount": "2.000000001",
        **changes,
    }


def test_a_deposit_is_booked_and_shown(api, user):
    agent = make_agent(user, sol=None)
    answer = api.post("/agent-transactions", deposit_body(agent))
    assert answer.status == 201
    assert set(answer.json) == set(TRANSACTION_FIELDS.split())
    assert answer.json["transactionType"] == "DEPOSIT"
    assert answer.json["inputAmount"] == "2.000000001"
    assert answer.json["transactionValueUsd"] == "300.5"
    assert answer.json["transactionTime"] == "2026-01-01T12:00:00.500Z"
    assert answer.json["walletAddress"] == wallet_of(agent).address
    assert api.get(f"/agent-transactions/{answer.json['id']}").json == answer.json
    (balance,) = api.get(f"/agent-balances?agentId={agent.pk}").json
    assert balance["balance"] == "2.000000001"
    assert balance["priceSol"] == 1
    assert LedgerEntry.objects.get().delta == Decimal("2.000000001")


def test_a_deposit_of_another_token_keeps_its_price(api, user):
    agent, token = make_agent(user, sol=None), make_token("WIF")
    body = deposit_body(agent, inputMint=token.mint, inputSymbol="WIF", inputAmount=1000000, inputPrice="6.632e-11")
    answer = api.post("/agent-transactions", body)
    assert (answer.json["inputAmount"], answer.json["inputPrice"]) == ("1000000", "6.632e-11")


def test_a_deposit_goes_to_the_wallet_named(api, user):
    agent = make_agent(user, sol=None)
    address = wallet_of(agent).address
    assert api.post("/agent-transactions", deposit_body(agent, walletAddress=address)).status == 201
    assert api.post("/agent-transactions", deposit_body(agent, walletAddress="")).status == 201


def test_a_live_wallet_takes_no_simulated_deposit(api, user):
    agent = make_agent(user, sol=None)
    live = make_wallet(agent, wallet_type="live")
    answer = api.post("/agent-transactions", deposit_body(agent, walletAddress=live.address))
    assert (answer.status, answer.code) == (400, "LIVE_WALLET")
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    "missing", ["inputMint", "inputSymbol", "inputAmount", "transactionTime", "transactionValueUsd"]
)
def test_a_deposit_without_what_it_needs_names_it(api, user, missing):
    agent = make_agent(user, sol=None)
    body = {name: value for name, value in deposit_body(agent).items() if name != missing}
    answer = api.post("/agent-transactions", body)
    assert answer.status == 400
    assert answer.json["field"] == missing


def test_another_users_agent_takes_no_deposit_and_shows_no_transactions(api):
    foreign = make_agent()
    row = Transaction.objects.get()
    for answer in (
        api.post("/agent-transactions", deposit_body(foreign)),
        api.get(f"/agent-transactions?agentId={foreign.pk}"),
        api.get(f"/agent-transactions/{row.pk}"),
        api.get(f"/agent-historical-swaps?agentId={foreign.pk}"),
    ):
        assert (answer.status, answer.code) == (403, "AGENT_NOT_YOURS")
    assert api.get(f"/agent-balances?agentId={foreign.pk}").code == "AGENT_NOT_FOUND"
    balance = Balance.objects.get()
    assert api.get(f"/agent-balances/{balance.pk}").code == "BALANCE_NOT_FOUND"
    assert api.get(f"/wallets/agent/{foreign.pk}").code == "AGENT_NOT_FOUND"
    assert Transaction.objects.count() == 1


def test_a_swap_is_shown_with_every_field_as_text(api, user):
    agent, token = make_agent(user), make_token("AAA")
    position = make_position(agent, token, invested="1.000005", price="0.001", network_fee="0.000005")
    answer = api.get(f"/agent-transactions/{position.purchase_transaction_id}")
    assert answer.json == {
        **answer.json,
        "transactionType": "SWAP",
        "inputSymbol": "SOL",
        "inputAmount": "1",
        "inputPrice": "1",
        "outputMint": token.mint,
        "outputAmount": "1000",
        "outputPrice": "0.001",
        "networkFeeSol": "0.000005",
        "protocolFeeSol": "0",
        "transactionValueUsd": None,
        "isDca": False,
        "isTakeProfit": False,
    }


def test_what_the_engine_wrote_is_immutable(api, user):
    position = make_position(make_agent(user), make_token())
    trade = close_position(position, proceeds="2")
    for path in (f"/agent-transactions/{position.purchase_transaction_id}", f"/agent-historical-swaps/{trade.pk}"):
        for method in ("PUT", "DELETE"):
            answer = api.call(method, path, {"transactionValueUsd": 1})
            assert (answer.status, answer.code) == (409, "IMMUTABLE_RECORD")


def test_transactions_are_filtered(api, user):
    agent = make_agent(user, sol=None)
    live = make_wallet(agent, wallet_type="live")
    early = fund(wallet_of(agent), "1", at=datetime(2026, 1, 1, tzinfo=UTC))
    late = fund(live, "2", at=datetime(2026, 2, 1, tzinfo=UTC))
    swap = make_position(agent, make_token(), opened_at=datetime(2026, 1, 15, tzinfo=UTC)).purchase_transaction

    def found(query):
        return [row["id"] for row in api.get(f"/agent-transactions?agentId={agent.pk}&{query}").json]

    assert found("") == [str(row.pk) for row in (late, swap, early)]
    assert found("transactionType=SWAP") == [str(swap.pk)]
    assert found(f"walletAddress={live.address}") == [str(late.pk)]
    assert found("startTime=2026-01-15T00:00:00Z&endTime=2026-01-15T00:00:00Z") == [str(swap.pk)]
    assert found("isDca=true") == []
    assert len(found("isDca=false")) == 3
    assert len(found("isTakeProfit=whatever")) == 3
    assert found("signalId=1") == []


def test_balances_are_last_changed_first_and_priced_without_a_provider(api, user):
    agent, token = make_agent(user), make_token("AAA")
    fund(wallet_of(agent), "5", mint=token.mint, symbol="AAA")
    make_tick(token, "0.0000000000663")
    unpriced = make_token("NOPE")
    fund(wallet_of(agent), "7", mint=unpriced.mint, symbol="NOPE")
    rows = api.get(f"/agent-balances?agentId={agent.pk}").json
    assert [row["tokenSymbol"] for row in rows] == ["NOPE", "AAA", "SOL"]
    assert "priceSol" not in rows[0]
    assert rows[1]["priceSol"] == Decimal("6.63e-11")
    assert rows[2]["priceSol"] == 1
    assert api.get(f"/agent-balances?agentId={agent.pk}&walletAddress=other").json == []
    one = api.get(f"/agent-balances/{rows[1]['id']}").json
    assert "priceSol" not in one
    assert set(one) == {"id", "agentId", "walletAddress", "tokenAddress", "tokenSymbol", "balance", "lastUpdated"}


def test_wallets_are_listed_newest_first(api, user):
    agent = make_agent(user, sol=None)
    live = make_wallet(agent, wallet_type="live")
    answer = api.get(f"/wallets/agent/{agent.pk}")
    first, second = answer.json["agentWallets"]
    assert (first["walletAddress"], first["walletType"], first["isAvailable"]) == (live.address, "live", False)
    assert (second["walletType"], second["isAvailable"]) == ("simulation", True)
    assert set(first) == {"walletAddress", "walletType", "isAvailable", "createdAt", "updatedAt"}
    assert answer.json["availableWallets"] == []


def test_a_reset_empties_the_wallet_and_counts_what_was_there(api, user):
    agent = make_agent(user)
    kept = make_position(agent, make_token())
    close_position(make_position(agent, make_token()), proceeds="1.5")
    wallet = wallet_of(agent)
    answer = api.post(f"/wallets/{wallet.address}/reset", {"confirm": True})
    assert answer.status == 200, answer
    assert answer.json["success"] is True
    assert answer.json["walletAddress"] == wallet.address
    assert set(answer.json["deleted"]) == {
        "positions",
        "historicalSwaps",
        "balances",
        "transactions",
        "balanceSnapshots",
    }
    assert answer.json["deleted"]["positions"] == 1
    assert answer.json["deleted"]["historicalSwaps"] >= 1
    assert answer.json["deleted"]["transactions"] == 4
    assert answer.json["duration"] >= 0
    kept.refresh_from_db()
    assert kept.closed_at is not None
    for path in ("agent-transactions", "agent-historical-swaps", "agent-positions"):
        query = f"/{path}/{agent.pk}" if path == "agent-positions" else f"/{path}?agentId={agent.pk}"
        assert api.get(query).json == [], path
    assert api.get(f"/agent-balances?agentId={agent.pk}").json == []
    assert api.get(f"/agent-transactions/{kept.purchase_transaction_id}").status == 404


def test_another_users_wallet_cannot_be_reset(api):
    wallet = wallet_of(make_agent())
    answer = api.post(f"/wallets/{wallet.address}/reset", {"confirm": True})
    assert (answer.status, answer.code) == (404, "WALLET_NOT_FOUND")
    assert api.post("/wallets/nobody/reset", {"confirm": True}).code == "WALLET_NOT_FOUND"
    wallet.refresh_from_db()
    assert wallet.epoch == 1


def test_resets_are_limited_per_wallet(api, user, settings):
    settings.WALLET_CHANGES_PER_MINUTE = 2
    wallet = wallet_of(make_agent(user))
    answers = [api.post(f"/wallets/{wallet.address}/reset", {}) for _ in range(7)]
    assert 429 in [answer.status for answer in answers]
    other = wallet_of(make_agent(user))
    assert api.post(f"/wallets/{other.address}/reset", {}).code == "CONFIRMATION_REQUIRED"


def balance_body(agent, token, **changes):
    return {
        "agentId": str(agent.pk),
        "tokenAddress": token.mint,
        "tokenSymbol": token.symbol,
        "balance": "12.5",
        **changes,
    }


def assert_books_add_up(agent):
    for balance in Balance.objects.filter(wallet__agent=agent):
        entries = LedgerEntry.objects.filter(wallet=balance.wallet, mint=balance.mint, epoch=balance.wallet.epoch)
        assert balance.amount == sum((entry.delta for entry in entries), Decimal(0))


def test_a_balance_entered_by_hand_is_an_adjustment_in_the_books(api, user):
    agent, token = make_agent(user), make_token("HAND")
    answer = api.post("/agent-balances", balance_body(agent, token))
    assert answer.status == 201, answer
    assert (answer.json["balance"], answer.json["tokenSymbol"]) == ("12.5", "HAND")
    assert api.post("/agent-balances", balance_body(agent, token)).code == "BALANCE_EXISTS"
    changed = api.put(f"/agent-balances/{answer.json['id']}", {"balance": "0.25", "tokenSymbol": "NEW"})
    assert (changed.json["balance"], changed.json["tokenSymbol"]) == ("0.25", "NEW")
    assert [entry.reason for entry in LedgerEntry.objects.filter(mint=token.mint)] == ["adjustment"] * 2
    assert_books_add_up(agent)
    removed = api.delete(f"/agent-balances/{answer.json['id']}")
    assert removed.status == 200 and removed.json["success"] is True
    assert api.get(f"/agent-balances/{answer.json['id']}").code == "BALANCE_NOT_FOUND"
    assert sum(entry.delta for entry in LedgerEntry.objects.filter(mint=token.mint)) == 0
    assert api.post("/agent-balances", balance_body(agent, token, balance="1")).status == 201
    assert_books_add_up(agent)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"balance": "-1"}, "INVALID_BALANCE"),
        ({"balance": "lots"}, "INVALID_BALANCE"),
        ({"balance": None}, "INVALID_BALANCE"),
        ({"balance": 10**30}, "INVALID_BALANCE"),
        ({"balance": "0.0000000000000000001"}, "INVALID_BALANCE"),
        ({"tokenAddress": "x"}, "INVALID_TOKEN_ADDRESS"),
        ({"tokenSymbol": ""}, "INVALID_TOKEN_SYMBOL"),
        ({"walletAddress": "other"}, "WALLET_NOT_FOUND"),
        ({"agentId": "x"}, "INVALID_AGENT_ID"),
    ],
)
def test_a_wrong_balance_names_the_field(api, user, change, code):
    agent = make_agent(user, sol=None)
    answer = api.post("/agent-balances", balance_body(agent, make_token(), **change))
    assert (answer.status, answer.code) == (400, code)
    assert not Balance.objects.exists()


def test_a_balance_never_falls_below_what_an_open_position_holds(api, user):
    agent, token = make_agent(user), make_token()
    position = make_position(agent, token)
    balance = Balance.objects.get(mint=token.mint)
    for answer in (
        api.put(f"/agent-balances/{balance.pk}", {"balance": "999"}),
        api.delete(f"/agent-balances/{balance.pk}"),
    ):
        assert (answer.status, answer.code) == (409, "POSITION_OPEN")
    balance.refresh_from_db()
    assert balance.amount == position.remaining_amount
    assert api.put(f"/agent-balances/{balance.pk}", {"balance": "2000"}).status == 200
    assert_books_add_up(agent)


def test_a_change_of_nothing_is_refused(api, user):
    make_agent(user)
    balance = Balance.objects.get()
    assert api.put(f"/agent-balances/{balance.pk}", {}).status == 400
    assert api.put(f"/agent-balances/{balance.pk}", {"balance": "-5"}).code == "INVALID_BALANCE"


def test_a_live_wallet_holds_what_the_chain_says(api, user):
    agent = make_agent(user, sol=None)
    live = make_wallet(agent, wallet_type="live")
    fund(live, "3")
    balance = Balance.objects.get()
    assert api.put(f"/agent-balances/{balance.pk}", {"balance": "5"}).code == "LIVE_WALLET"
    assert api.delete(f"/agent-balances/{balance.pk}").code == "LIVE_WALLET"
    body = balance_body(agent, make_token(), walletAddress=live.address)
    assert api.post("/agent-balances", body).code == "LIVE_WALLET"


def test_another_users_balance_cannot_be_changed(api):
    make_agent()
    balance = Balance.objects.get()
    assert api.put(f"/agent-balances/{balance.pk}", {"balance": "5"}).code == "BALANCE_NOT_FOUND"
    assert api.delete(f"/agent-balances/{balance.pk}").status == 404
