"""Deposits, swaps and burns entered by hand over HTTP: what they do to balances, how they are corrected and undone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import AuditEntry
from apps.core.money import SOL_MINT
from apps.trading.services import wallet_reset
from apps.wallets.models import Balance, LedgerEntry, Transaction, Wallet
from tests.apiclient import api_of, api_with_key
from tests.factories import (
    make_agent,
    make_api_key,
    make_position,
    make_signal,
    make_token,
    make_user,
    make_wallet,
    wallet_of,
)
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db


@pytest.fixture
def token():
    return make_token("WIF")


def entered(agent, kind="DEPOSIT", **changes):
    return {
        "agentId": str(agent.pk),
        "transactionType": kind,
        "transactionValueUsd": "150",
        "transactionTime": "2026-01-01T12:00:00Z",
        "inputMint": SOL_MINT,
        "inputSymbol": "SOL",
        "inputAmount": "1",
        **changes,
    }


def swap(agent, token, **changes):
    """A swap of 1 SOL into 1,000 tokens."""
    output = {"outputMint": token.mint, "outputSymbol": token.symbol, "outputAmount": "1000"}
    return entered(agent, "SWAP", **{**output, **changes})


def balances(agent):
    """Return what the agent holds by symbol, what is empty left out."""
    rows = Balance.objects.filter(wallet__agent=agent).exclude(amount=0)
    return {row.symbol: row.amount for row in rows}


def everything():
    """Return all that a refused change must leave as it was."""
    return (
        list(Transaction.objects.order_by("pk").values()),
        list(LedgerEntry.objects.order_by("pk").values()),
        list(Balance.objects.order_by("pk").values("wallet", "mint", "amount", "held")),
        AuditEntry.objects.count(),
    )


def test_a_swap_takes_its_input_and_adds_its_output(api, agent, token):
    answer = api.post("/agent-transactions", swap(agent, token))
    assert answer.status == 201, answer
    assert (answer.json["inputAmount"], answer.json["outputAmount"]) == ("1", "1000")
    assert balances(agent) == {"SOL": 9, "WIF": 1000}
    lines = LedgerEntry.objects.filter(transaction_id=answer.json["id"])
    assert {(line.mint, line.delta, line.reason) for line in lines} == {
        (SOL_MINT, Decimal(-1), "swap"),
        (token.mint, Decimal(1000), "swap"),
    }
    assert differences() == []


def test_a_burn_takes_its_input(api, agent):
    assert api.post("/agent-transactions", entered(agent, "BURN", inputAmount="0.25")).status == 201
    assert balances(agent) == {"SOL": Decimal("9.75")}
    assert differences() == []


def test_every_optional_field_is_kept_and_shown(api, agent, token, user):
    signal = make_signal(user, token)
    plan = {"routePlan": [{"swapInfo": {"label": "Raydium", "feeAmount": "12"}, "percent": 100}], "slippageBps": 50.5}
    answer = api.post(
        "/agent-transactions",
        swap(
            agent,
            token,
            walletAddress=wallet_of(agent).address,
            destinationAddress="where it went",
            signalId=str(signal.pk),
            fees="0.000005",
            routes=plan,
            inputPrice=1,
            outputPrice="6.632e-11",
            slippage="0.5",
            priceImpact="-0.01",
            isDca=True,
        ),
    )
    assert answer.status == 201, answer
    assert answer.json == {
        **answer.json,
        "walletAddress": wallet_of(agent).address,
        "transactionType": "SWAP",
        "transactionValueUsd": "150",
        "transactionTime": "2026-01-01T12:00:00.000Z",
        "destinationAddress": "where it went",
        "signalId": signal.pk,
        "fees": "0.000005",
        "routes": {**plan, "slippageBps": Decimal("50.5")},
        "inputPrice": "1",
        "outputPrice": "6.632e-11",
        "slippage": "0.5",
        "priceImpact": "-0.01",
        "isDca": True,
        "isTakeProfit": False,
        "transactionHash": None,
        "protocolFeeSol": None,
        "networkFeeSol": None,
    }
    assert api.get(f"/agent-transactions/{answer.json['id']}").json == answer.json
    assert api.get(f"/agent-transactions?agentId={agent.pk}&isDca=true").json == [answer.json]
    assert api.get(f"/agent-transactions?agentId={agent.pk}&signalId={signal.pk}").json == [answer.json]
    assert differences() == []


def test_what_is_short_is_short_to_the_last_lamport_and_the_answer_says_by_how_much(api, agent):
    before = everything()
    answer = api.post("/agent-transactions", entered(agent, "BURN", inputAmount="10.000000001"))
    assert (answer.status, answer.code) == (400, "INSUFFICIENT_BALANCE")
    assert {
        name: answer.json[name] for name in ("currentBalance", "requiredAmount", "tokenAddress", "tokenSymbol")
    } == {
        "currentBalance": "10",
        "requiredAmount": "10.000000001",
        "tokenAddress": SOL_MINT,
        "tokenSymbol": "SOL",
    }
    assert everything() == before
    assert api.post("/agent-transactions", entered(agent, "BURN", inputAmount="10")).status == 201
    assert balances(agent) == {}


def test_what_was_never_held_cannot_be_swapped(api, agent, token):
    before = everything()
    backwards = swap(agent, token, inputMint=token.mint, inputSymbol="WIF", outputMint=SOL_MINT, outputSymbol="SOL")
    answer = api.post("/agent-transactions", backwards)
    assert (answer.status, answer.code) == (400, "INSUFFICIENT_BALANCE")
    assert (answer.json["currentBalance"], answer.json["tokenAddress"]) == ("0", token.mint)
    assert everything() == before


def test_sol_is_kept_to_the_lamport_less_coming_in_more_going_out(api, agent):
    came = api.post("/agent-transactions", entered(agent, inputAmount="0.0000000019"))
    went = api.post("/agent-transactions", entered(agent, "BURN", inputAmount="0.0000000011"))
    assert (came.json["inputAmount"], went.json["inputAmount"]) == ("1e-9", "2e-9")
    assert balances(agent) == {"SOL": Decimal("9.999999999")}
    nothing = api.post("/agent-transactions", entered(agent, inputAmount="0.0000000001"))
    assert (nothing.status, nothing.code) == (400, "INVALID_AMOUNT")
    assert differences() == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"transactionType": "GIFT"}, "transactionType"),
        ({"transactionValueUsd": "-1"}, "transactionValueUsd"),
        ({"transactionValueUsd": "much"}, "transactionValueUsd"),
        ({"transactionTime": "yesterday"}, "transactionTime"),
        ({"inputMint": "x"}, "inputMint"),
        ({"inputSymbol": "S" * 21}, "inputSymbol"),
        ({"inputAmount": 0}, "inputAmount"),
        ({"inputAmount": "1e-19"}, "inputAmount"),
        ({"inputAmount": None}, "inputAmount"),
        ({"outputMint": None}, "outputMint"),
        ({"outputSymbol": ""}, "outputSymbol"),
        ({"outputAmount": 0}, "outputAmount"),
        ({"outputAmount": None}, "outputAmount"),
        ({"destinationAddress": "d" * 256}, "destinationAddress"),
        ({"signalId": "12abc"}, "signalId"),
        ({"signalId": 1.5}, "signalId"),
        ({"routes": {"label": "zero \0 character"}}, "routes"),
        ({"isDca": "yes"}, "isDca"),
        ({"agentId": "1"}, "agentId"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_booked(api, agent, token, changes, field):
    before = everything()
    answer = api.post("/agent-transactions", swap(agent, token, **changes))
    assert (answer.status, answer.json["field"]) == (400, field), answer
    assert everything() == before


def test_a_swap_of_a_token_into_itself_is_refused(api, agent):
    before = everything()
    body = entered(agent, "SWAP", outputMint=SOL_MINT, outputSymbol="SOL", outputAmount="5", inputAmount="100")
    assert api.post("/agent-transactions", body).code == "SAME_TOKEN"
    assert everything() == before


def test_text_that_only_looks_like_a_zero_character_is_kept(api, agent):
    answer = api.post("/agent-transactions", entered(agent, routes=["\\u0000", "\ud800"]))
    assert answer.status == 201, answer
    assert answer.json["routes"][0] == "\\u0000"


def test_a_balance_beyond_all_columns_is_refused(api, agent, token):
    most = entered(agent, inputMint=token.mint, inputSymbol="WIF", inputAmount="9" * 20)
    assert api.post("/agent-transactions", most).status == 201
    before = everything()
    answer = api.post("/agent-transactions", most)
    assert (answer.status, answer.code) == (400, "FIGURE_TOO_LARGE")
    assert everything() == before


def test_unknown_agents_wallets_and_signals_are_told_apart(api, agent, user):
    before = everything()
    foreign = make_signal(make_user(), make_token())
    nobody = "6f1f0d1e-0000-4000-8000-00000000000f"
    cases: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"agentId": nobody}, (404, "AGENT_NOT_FOUND")),
        ({"walletAddress": "nobody's"}, (400, "WALLET_NOT_FOUND")),
        ({"walletAddress": wallet_of(make_agent(user, sol=None)).address}, (400, "WALLET_NOT_FOUND")),
        ({"signalId": foreign.pk}, (404, "SIGNAL_NOT_FOUND")),
        ({"signalId": 0}, (404, "SIGNAL_NOT_FOUND")),
    ]
    for changes, expected in cases:
        answer = api.post("/agent-transactions", entered(agent, **changes))
        assert (answer.status, answer.code) == expected, changes
    stranger = api_of(make_user())
    assert (stranger.post("/agent-transactions", entered(agent)).code) == "AGENT_NOT_YOURS"
    assert everything() == before


def test_a_live_wallet_is_never_written_by_hand(api, user):
    agent = make_agent(user, trading_mode="live")
    live = make_wallet(agent, wallet_type="live")
    before = everything()
    for changes in ({}, {"walletAddress": live.address}):
        assert api.post("/agent-transactions", entered(agent, **changes)).code == "LIVE_WALLET"
    assert everything() == before


def test_tokens_of_an_open_position_cannot_be_taken_away(api, agent, token):
    make_position(agent, token)
    spare = entered(agent, inputMint=token.mint, inputSymbol="WIF", inputAmount="5")
    extra = api.post("/agent-transactions", spare).json["id"]
    before = everything()
    for answer in (
        api.post("/agent-transactions", {**spare, "transactionType": "BURN", "inputAmount": "5.1"}),
        api.post(
            "/agent-transactions",
            swap(
                agent,
                token,
                inputMint=token.mint,
                inputSymbol="WIF",
                inputAmount="1000",
                outputMint=SOL_MINT,
                outputSymbol="SOL",
            ),
        ),
    ):
        assert (answer.status, answer.code) == (409, "POSITION_OPEN")
    assert everything() == before
    assert api.post("/agent-transactions", {**spare, "transactionType": "BURN", "inputAmount": "1"}).status == 201
    before = everything()
    for answer in (
        api.delete(f"/agent-transactions/{extra}"),
        api.put(f"/agent-transactions/{extra}", {"inputAmount": "0.5"}),
    ):
        assert (answer.status, answer.code) == (409, "POSITION_OPEN")
    assert everything() == before
    assert differences() == []


def test_a_correction_posts_back_what_was_and_posts_what_is(api, agent, token):
    row = api.post("/agent-transactions", swap(agent, token)).json
    answer = api.put(f"/agent-transactions/{row['id']}", {"inputAmount": "2", "outputAmount": 1500, "fees": "0.1"})
    assert answer.status == 200, answer
    assert answer.json == {
        **row,
        "inputAmount": "2",
        "outputAmount": "1500",
        "fees": "0.1",
        "updatedAt": answer.json["updatedAt"],
    }
    assert answer.json["updatedAt"] > row["updatedAt"]
    assert balances(agent) == {"SOL": 8, "WIF": 1500}
    lines = LedgerEntry.objects.filter(transaction_id=row["id"], mint=token.mint).order_by("pk")
    assert [(line.delta, line.reason) for line in lines] == [
        (Decimal(1000), "swap"),
        (Decimal(-1000), "correction"),
        (Decimal(1500), "swap"),
    ]
    entry = AuditEntry.objects.get(action="transaction.corrected")
    assert entry.before == {"input_amount": "1", "output_amount": "1000", "fees_sol": None}
    assert entry.after == {"input_amount": "2", "output_amount": "1500", "fees_sol": "0.1"}
    assert differences() == []


def test_a_correction_may_change_what_kind_of_movement_it_was(api, agent, token):
    row = api.post("/agent-transactions", entered(agent, inputAmount="3")).json
    assert balances(agent) == {"SOL": 13}
    assert api.put(f"/agent-transactions/{row['id']}", {"transactionType": "BURN"}).status == 200
    assert balances(agent) == {"SOL": 7}
    incomplete = api.put(f"/agent-transactions/{row['id']}", {"transactionType": "SWAP", "outputAmount": "5"})
    assert (incomplete.status, incomplete.json["field"]) == (400, "outputMint")
    whole = {"transactionType": "SWAP", "outputAmount": "5", "outputMint": token.mint, "outputSymbol": "WIF"}
    assert api.put(f"/agent-transactions/{row['id']}", whole).status == 200
    assert balances(agent) == {"SOL": 7, "WIF": 5}
    assert differences() == []


def test_a_correction_of_words_moves_no_money(api, agent):
    row = api.post("/agent-transactions", entered(agent, destinationAddress="here", signalId=None)).json
    lines = LedgerEntry.objects.count()
    answer = api.put(
        f"/agent-transactions/{row['id']}",
        {
            "destinationAddress": None,
            "transactionTime": "2026-02-02T00:00:00Z",
            "agentId": row["agentId"],
            "walletAddress": row["walletAddress"],
        },
    )
    assert answer.json == {
        **row,
        "destinationAddress": None,
        "transactionTime": "2026-02-02T00:00:00.000Z",
        "updatedAt": answer.json["updatedAt"],
    }
    unchanged = api.put(f"/agent-transactions/{row['id']}", {})
    assert unchanged.json == answer.json
    assert LedgerEntry.objects.count() == lines
    assert differences() == []


def test_a_correction_that_the_wallet_cannot_bear_changes_nothing(api, agent):
    row = api.post("/agent-transactions", entered(agent, inputAmount="5")).json
    assert api.post("/agent-transactions", entered(agent, "BURN", inputAmount="12")).status == 201
    before = everything()
    answer = api.put(f"/agent-transactions/{row['id']}", {"inputAmount": "1.999999999"})
    assert (answer.status, answer.code) == (400, "INSUFFICIENT_BALANCE")
    assert everything() == before
    assert api.put(f"/agent-transactions/{row['id']}", {"inputAmount": "2"}).status == 200
    assert balances(agent) == {}
    assert differences() == []


def test_a_row_stays_with_its_agent_and_its_wallet(api, agent, user):
    row = api.post("/agent-transactions", entered(agent)).json
    before = everything()
    for changes, field in (
        ({"agentId": str(make_agent(user, sol=None).pk)}, "agentId"),
        ({"walletAddress": make_wallet(agent, wallet_type="live").address}, "walletAddress"),
    ):
        answer = api.put(f"/agent-transactions/{row['id']}", changes)
        assert (answer.status, answer.code, answer.json["field"]) == (400, "TRANSACTION_STAYS", field)
    assert everything() == before


def test_a_row_taken_back_is_hidden_and_its_money_gone(api, agent):
    row = api.post("/agent-transactions", entered(agent, inputAmount="4")).json
    answer = api.delete(f"/agent-transactions/{row['id']}")
    assert (answer.status, answer.text) == (204, b"")
    assert balances(agent) == {"SOL": 10}
    assert row["id"] not in [found["id"] for found in api.get(f"/agent-transactions?agentId={agent.pk}").json]
    for again in (
        api.get(f"/agent-transactions/{row['id']}"),
        api.put(f"/agent-transactions/{row['id']}", {"inputAmount": "1"}),
        api.delete(f"/agent-transactions/{row['id']}"),
    ):
        assert (again.status, again.code) == (404, "TRANSACTION_NOT_FOUND")
    kept = Transaction.objects.get(pk=row["id"])
    assert kept.deleted_at is not None
    assert sum(line.delta for line in LedgerEntry.objects.filter(transaction=kept)) == 0
    assert AuditEntry.objects.get(action="transaction.deleted").before["input_amount"] == "4"
    assert differences() == []


def test_what_is_spent_cannot_be_taken_back(api, agent, token):
    row = api.post("/agent-transactions", swap(agent, token)).json
    burn = entered(agent, "BURN", inputMint=token.mint, inputSymbol="WIF", inputAmount="0.000000000000000001")
    assert api.post("/agent-transactions", burn).status == 201
    before = everything()
    answer = api.delete(f"/agent-transactions/{row['id']}")
    assert (answer.status, answer.code) == (400, "INSUFFICIENT_BALANCE")
    assert (answer.json["requiredAmount"], answer.json["tokenSymbol"]) == ("1000", "WIF")
    assert everything() == before
    assert differences() == []


def test_rows_of_the_engine_are_immutable(api, agent, token):
    position = make_position(agent, token)
    before = everything()
    path = f"/agent-transactions/{position.purchase_transaction_id}"
    for answer in (api.put(path, {"inputAmount": "1"}), api.put(path, {"nonsense": 1}), api.delete(path)):
        assert (answer.status, answer.code) == (409, "IMMUTABLE_RECORD")
    assert everything() == before


def test_only_its_owner_changes_a_row_and_no_key_does(api, agent, user):
    row = api.post("/agent-transactions", entered(agent)).json
    before = everything()
    stranger = api_of(make_user())
    for answer in (
        stranger.get(f"/agent-transactions/{row['id']}"),
        stranger.put(f"/agent-transactions/{row['id']}", {"inputAmount": "2"}),
        stranger.delete(f"/agent-transactions/{row['id']}"),
    ):
        assert (answer.status, answer.code) == (403, "AGENT_NOT_YOURS")
    _, secret = make_api_key(user)
    assert api_with_key(secret).post("/agent-transactions", entered(agent)).status == 401
    assert api_with_key(secret).delete(f"/agent-transactions/{row['id']}").status == 401
    assert everything()[:3] == before[:3]


def test_a_row_of_a_wallet_that_was_reset_is_history(api, agent):
    row = api.post("/agent-transactions", entered(agent)).json
    wallet_reset.reset_wallet(wallet=Wallet.objects.get(agent=agent), actor=None)
    before = everything()
    for answer in (
        api.put(f"/agent-transactions/{row['id']}", {"inputAmount": "2"}),
        api.delete(f"/agent-transactions/{row['id']}"),
    ):
        assert (answer.status, answer.code) == (404, "TRANSACTION_NOT_FOUND")
    assert everything() == before
    assert differences() == []


def test_the_same_entry_twice_under_one_key_is_booked_once(api, agent, token):
    key = {"idempotency-key": "swap-1"}
    first, again = (api.post("/agent-transactions", swap(agent, token), **key) for _ in range(2))
    assert first.status == again.status == 201
    assert first.json == again.json
    assert balances(agent) == {"SOL": 9, "WIF": 1000}


def at_once(number, act):
    """Run `act(index)` in threads that start together; return what they returned."""
    start, results = Barrier(number), []

    def run(index):
        start.wait()
        try:
            results.append(act(index))
        finally:
            connection.close()

    threads = [Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_burns_at_once_take_no_more_than_there_is(user, agent):
    answers = at_once(6, lambda _: api_of(user).post("/agent-transactions", entered(agent, "BURN", inputAmount="3")))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [400] * 3
    assert balances(agent) == {"SOL": 1}
    assert differences() == []


@pytest.mark.django_db(transaction=True)
def test_corrections_and_deletions_at_once_leave_books_that_add_up(api, user, agent):
    row = api.post("/agent-transactions", entered(agent, inputAmount="4")).json

    def change(index):
        client = api_of(user)
        if index == 3:
            return client.delete(f"/agent-transactions/{row['id']}").status
        return client.put(f"/agent-transactions/{row['id']}", {"inputAmount": str(index + 5)}).status

    statuses = at_once(6, change)
    assert set(statuses) <= {200, 204, 404}
    assert statuses.count(204) == 1
    assert balances(agent) == {"SOL": 10}
    assert differences() == []


def test_lists_are_filtered_by_what_was_entered(api, agent, token):
    burn = api.post("/agent-transactions", entered(agent, "BURN", transactionTime="2026-03-01T00:00:00Z")).json["id"]
    bought = api.post("/agent-transactions", swap(agent, token, isDca=True)).json["id"]

    def found(query):
        return [row["id"] for row in api.get(f"/agent-transactions?agentId={agent.pk}&{query}").json]

    assert found("transactionType=BURN") == [burn]
    assert found("isDca=true") == [bought]
    assert found("startTime=2026-03-01&endTime=2026-03-01") == [burn]
    for query, code in [
        ("transactionType=GIFT", "INVALID_TRANSACTION_TYPE"),
        ("startTime=then", "INVALID_START_TIME"),
        ("endTime=then", "INVALID_END_TIME"),
        ("signalId=x", "INVALID_SIGNAL_ID"),
    ]:
        assert api.get(f"/agent-transactions?agentId={agent.pk}&{query}").code == code
    assert api.get("/agent-transactions").code == "INVALID_AGENT_ID"


def test_a_time_at_the_edge_of_the_calendar_is_taken(api, agent):
    edge = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).isoformat()
    assert api.post("/agent-transactions", entered(agent, transactionTime=edge)).status == 201
