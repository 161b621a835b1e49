"""Wallets over HTTP: which there are and could be, giving and taking them, looking for deposits, limits."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connection

from apps.accounts.models import AuditEntry
from apps.core.models import OutboxMessage
from apps.trading.models import Position
from apps.wallets.adapters import chain
from apps.wallets.models import Balance, LedgerEntry, LiveKeyGrant, Transaction, Wallet
from tests.apiclient import api_of
from tests.factories import (
    fund,
    make_agent,
    make_live_key,
    make_operator,
    make_position,
    make_token,
    make_user,
    make_wallet,
    mint_of,
    wallet_of,
)
from tests.trading.closing import differences
from tests.wallets.chain import Chain

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_operator()


@pytest.fixture
def nodes():
    told = Chain()
    chain.connect(told)
    yield told
    chain.connect(None)


def assign(api, agent, address, wallet_type="live", **headers):
    body = {"agentId": str(agent.pk), "walletAddress": address, "walletType": wallet_type}
    return api.post("/wallets/assign", body, **headers)


def check(api, agent, address, **headers):
    return api.post(f"/wallets/{address}/check-deposits", {"agentId": str(agent.pk)}, **headers)


# Which there are.


def test_loaded_keys_are_offered_and_tell_whether_they_are_this_agents(api, user):
    agent, other = make_agent(user, sol=None), make_agent(user, sol=None)
    mine, theirs, free = (make_live_key() for _ in range(3))
    make_live_key(loaded=False)
    make_wallet(agent, wallet_type="live", address=mine.address)
    make_wallet(other, wallet_type="live", address=theirs.address)
    answer = api.get(f"/wallets/agent/{agent.pk}").json
    offered = {row["walletAddress"]: row["isAssigned"] for row in answer["availableWallets"]}
    assert offered == {mine.address: True, theirs.address: False, free.address: False}
    assert [(row["walletType"], row["isAvailable"]) for row in answer["agentWallets"]] == [
        ("live", True),
        ("simulation", True),
    ]


def test_a_live_wallet_whose_key_is_gone_is_not_available(api, user):
    agent = make_agent(user, sol=None)
    key = make_live_key(loaded=False)
    make_wallet(agent, wallet_type="live", address=key.address)
    answer = api.get(f"/wallets/agent/{agent.pk}").json
    assert (answer["agentWallets"][0]["walletType"], answer["agentWallets"][0]["isAvailable"]) == ("live", False)
    assert answer["availableWallets"] == []


def test_keys_are_told_and_given_to_staff_and_to_whom_they_were_allowed():
    user = make_user()
    agent, api = make_agent(user, sol=None), api_of(user)
    shown, hidden = make_live_key(), make_live_key()
    assert api.get(f"/wallets/agent/{agent.pk}").json["availableWallets"] == []
    answer = assign(api, agent, shown.address)
    assert (answer.status, answer.code) == (400, "WALLET_NOT_LOADED")
    assert not Wallet.objects.filter(wallet_type="live").exists()
    LiveKeyGrant.objects.create(key=shown, user=user)
    offered = api.get(f"/wallets/agent/{agent.pk}").json["availableWallets"]
    assert [row["walletAddress"] for row in offered] == [shown.address]
    assert assign(api, agent, shown.address).status == 201
    assert assign(api, agent, hidden.address).code == "WALLET_NOT_LOADED"


# Giving.


def test_a_first_live_wallet_is_made_and_audited(api, user):
    agent, key = make_agent(user, sol=None), make_live_key()
    answer = assign(api, agent, key.address)
    assert answer.status == 201
    assert answer.json == {
        "success": True,
        "walletAddress": key.address,
        "walletType": "live",
        "network": "mainnet",
        "message": answer.json["message"],
    }
    wallet = wallet_of(agent, "live")
    entry = AuditEntry.objects.get(action="wallet.assigned")
    assert (entry.object_id, entry.actor_id, entry.before) == (str(wallet.pk), user.pk, None)
    assert entry.after == {"agent": str(agent.pk), "address": key.address, "type": "live"}
    assert OutboxMessage.objects.get(kind="wallet_assigned").payload["walletAddress"] == key.address


def test_a_key_of_the_sandbox_chain_says_so(api, user):
    agent, key = make_agent(user, sol=None), make_live_key(network="testnet")
    assert assign(api, agent, key.address).json["network"] == "testnet"


def test_another_wallet_of_the_same_type_makes_room_and_keeps_its_history(api, user):
    agent, first, second = make_agent(user, sol=None), make_live_key(), make_live_key()
    assign(api, agent, first.address)
    old = wallet_of(agent, "live")
    fund(old, "3")
    answer = assign(api, agent, second.address)
    assert answer.status == 200
    assert (answer.json["walletAddress"], answer.json["network"]) == (second.address, "mainnet")
    old.refresh_from_db()
    assert old.released_at is not None and old.address == first.address
    assert Transaction.objects.get().wallet_id == old.pk
    assert not Balance.objects.filter(wallet=wallet_of(agent, "live")).exists()
    assert AuditEntry.objects.filter(action="wallet.assigned").latest("id").before["address"] == first.address
    assert assign(api, make_agent(user, sol=None), first.address).status == 201
    assert differences() == []


def test_what_is_assigned_already_stays_as_it_is(api, user):
    agent = make_agent(user)
    wallet = wallet_of(agent)
    Wallet.objects.filter(pk=wallet.pk).update(address="sim_Mine")
    answer = assign(api, agent, "sim_Mine", "simulation")
    assert (answer.status, answer.json["network"]) == (200, "testnet")
    assert list(Wallet.objects.values_list("pk", "epoch", "released_at")) == [(wallet.pk, 1, None)]
    assert not AuditEntry.objects.filter(action="wallet.assigned").exists()
    assert Balance.objects.get().amount == 10


def test_a_simulation_wallet_may_be_replaced_by_another(api, user):
    agent = make_agent(user)
    answer = assign(api, agent, "sim_Other", "simulation")
    assert answer.status == 200
    assert wallet_of(agent).address == "sim_Other"
    assert api.get(f"/agent-balances?agentId={agent.pk}").json == []
    assert differences() == []


@pytest.mark.parametrize(
    ("address", "wallet_type", "code"),
    [
        ("sim_Elsewhere", "live", "SIMULATION_ADDRESS"),
        (mint_of("not loaded"), "live", "WALLET_NOT_LOADED"),
        ("so", "live", "WALLET_NOT_LOADED"),
        (mint_of("a live address"), "simulation", "LIVE_ADDRESS"),
        ("paper", "simulation", "LIVE_ADDRESS"),
        ("sim_", "simulation", "LIVE_ADDRESS"),
        ("sim_../../x", "simulation", "LIVE_ADDRESS"),
    ],
)
def test_an_address_that_is_not_of_its_type_is_refused(api, user, address, wallet_type, code):
    agent = make_agent(user, sol=None)
    before = list(Wallet.objects.values_list("pk", "address", "released_at"))
    answer = assign(api, agent, address, wallet_type)
    assert (answer.status, answer.code) == (400, code)
    assert list(Wallet.objects.values_list("pk", "address", "released_at")) == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"agentId": "7"}, "agentId"),
        ({"agentId": None}, "agentId"),
        ({"walletAddress": ""}, "walletAddress"),
        ({"walletAddress": 5}, "walletAddress"),
        ({"walletAddress": "x" * 65}, "walletAddress"),
        ({"walletType": "paper"}, "walletType"),
        ({"walletType": None}, "walletType"),
    ],
)
def test_a_malformed_assignment_names_its_field(api, user, change, field):
    agent = make_agent(user, sol=None)
    body = {"agentId": str(agent.pk), "walletAddress": "sim_A", "walletType": "simulation", **change}
    answer = api.post("/wallets/assign", body)
    assert (answer.status, answer.code, answer.json["success"]) == (400, "VALIDATION_ERROR", False)
    assert answer.json["details"]["errors"][0]["field"] == field


def test_an_address_in_use_is_a_conflict_and_nobodys_wallet_changes(api, user):
    owner, thief, key = make_agent(user, sol=None), make_agent(user, sol=None), make_live_key()
    assign(api, owner, key.address)
    answer = assign(api, thief, key.address)
    assert (answer.status, answer.code) == (409, "WALLET_IN_USE")
    assert wallet_of(owner, "live").address == key.address
    assert not Wallet.objects.filter(agent=thief, wallet_type="live").exists()
    taken = wallet_of(make_agent(sol=None))
    Wallet.objects.filter(pk=taken.pk).update(address="sim_Taken")
    assert assign(api, thief, "sim_Taken", "simulation").code == "WALLET_IN_USE"


def test_a_wallet_with_open_positions_or_orders_is_not_replaced(api, user):
    agent, first, second = make_agent(user), make_live_key(), make_live_key()
    assign(api, agent, first.address)
    live = wallet_of(agent, "live")
    fund(live, "5")
    Balance.objects.filter(wallet=live).update(held=1)
    answer = assign(api, agent, second.address)
    assert (answer.status, answer.code) == (409, "ORDERS_OPEN")
    Balance.objects.filter(wallet=live).update(held=0)
    position = make_position(agent, make_token(), wallet=live)
    answer = assign(api, agent, second.address)
    assert (answer.status, answer.code) == (409, "POSITIONS_OPEN")
    live.refresh_from_db()
    position.refresh_from_db()
    assert (live.released_at, live.epoch, position.closed_at) == (None, 1, None)
    assert differences() == []


def test_another_users_agent_gets_no_wallet(api):
    foreign, key = make_agent(sol=None), make_live_key()
    answer = assign(api, foreign, key.address)
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")
    assert not Wallet.objects.filter(wallet_type="live").exists()


def test_an_assignment_repeated_under_its_key_is_answered_as_before(api, user):
    agent, key = make_agent(user, sol=None), make_live_key()
    first, again = (assign(api, agent, key.address, **{"idempotency-key": "assign-1"}) for _ in range(2))
    assert first.status == again.status == 201
    assert first.json == again.json
    other = assign(api, agent, make_live_key().address, **{"idempotency-key": "assign-1"})
    assert (other.status, other.code) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.django_db(transaction=True)
def test_one_address_goes_to_one_of_two_agents_that_ask_at_once(user):
    agents, key = [make_agent(user, sol=None) for _ in range(2)], make_live_key()
    answers = at_once(*(lambda agent=agent: assign(api_of(user), agent, key.address) for agent in agents))
    assert sorted((answer.status, answer.code) for answer in answers) == [(201, None), (409, "WALLET_IN_USE")]
    assert Wallet.objects.filter(wallet_type="live").count() == 1


@pytest.mark.django_db(transaction=True)
def test_agents_that_trade_their_addresses_at_once_do_not_block_each_other(user):
    one, two = make_agent(user, sol=None), make_agent(user, sol=None)
    first, second = make_live_key(), make_live_key()
    assign(api_of(user), one, first.address)
    assign(api_of(user), two, second.address)
    answers = at_once(
        lambda: assign(api_of(user), one, second.address), lambda: assign(api_of(user), two, first.address)
    )
    assert [(answer.status, answer.code) for answer in answers] == [(409, "WALLET_IN_USE")] * 2


# Taking.


def test_unassigning_ends_the_trading_counts_what_was_there_and_frees_the_address(api, user):
    agent, key = make_agent(user), make_live_key()
    assign(api, agent, key.address)
    live = wallet_of(agent, "live")
    fund(live, "5")
    position = make_position(agent, make_token(), wallet=live)
    answer = api.post(f"/wallets/{key.address}/unassign", {"confirm": True})
    assert answer.status == 200, answer
    assert answer.json == {
        "success": True,
        "message": answer.json["message"],
        "walletAddress": key.address,
        "deleted": {"positions": 1, "historicalSwaps": 0, "balances": 2, "transactions": 2, "balanceSnapshots": 0},
        "duration": answer.json["duration"],
    }
    live.refresh_from_db()
    position.refresh_from_db()
    assert live.released_at is not None and live.epoch == 2
    assert position.close_reason == "reset"
    assert not Balance.objects.filter(wallet=live).exists()
    assert Transaction.objects.filter(wallet=live).count() == 2
    assert [row["walletType"] for row in api.get(f"/wallets/agent/{agent.pk}").json["agentWallets"]] == ["simulation"]
    entry = AuditEntry.objects.get(action="wallet.unassigned")
    assert (entry.object_id, entry.before["positions"], entry.actor_id) == (str(live.pk), 1, user.pk)
    assert OutboxMessage.objects.filter(kind="wallet_unassigned").exists()
    again = api.post(f"/wallets/{key.address}/unassign", {"confirm": True})
    assert (again.status, again.code) == (404, "WALLET_NOT_FOUND")
    assert assign(api, make_agent(user, sol=None), key.address).status == 201
    assert differences() == []


def test_what_is_not_a_live_wallet_of_mine_is_not_unassigned(api, user):
    agent = make_agent(user)
    foreign = make_wallet(make_agent(), wallet_type="live")
    Wallet.objects.filter(agent=agent).update(address="sim_Mine")
    path = "/wallets/{}/unassign"
    for address, body, status, code in (
        ("sim_Mine", {"confirm": True}, 400, "SIMULATION_WALLET"),
        (foreign.address, {"confirm": True}, 404, "WALLET_NOT_FOUND"),
        (mint_of("nobody"), {"confirm": True}, 404, "WALLET_NOT_FOUND"),
        (foreign.address, {}, 400, "CONFIRMATION_REQUIRED"),
        (foreign.address, {"confirm": "true"}, 400, "CONFIRMATION_REQUIRED"),
        (foreign.address, {"confirm": 1}, 400, "CONFIRMATION_REQUIRED"),
    ):
        answer = api.post(path.format(address), body)
        assert (answer.status, answer.code) == (status, code), address
    assert not Wallet.objects.exclude(released_at=None).exists()
    assert not Wallet.objects.exclude(epoch=1).exists()


def test_a_simulation_wallet_under_any_address_is_kept(api, user):
    wallet = wallet_of(make_agent(user))
    answer = api.post(f"/wallets/{wallet.address}/unassign", {"confirm": True})
    assert (answer.status, answer.code) == (400, "SIMULATION_WALLET")


def test_a_wallet_with_an_order_under_way_is_neither_reset_nor_taken_nor_archived(api, user):
    agent, key = make_agent(user, sol=None), make_live_key()
    assign(api, agent, key.address)
    live = wallet_of(agent, "live")
    fund(live, "5")
    Balance.objects.filter(wallet=live).update(held=1)
    for answer in (
        api.post(f"/wallets/{key.address}/unassign", {"confirm": True}),
        api.post(f"/wallets/{key.address}/reset", {"confirm": True}),
        api.delete(f"/agents/{agent.pk}"),
    ):
        assert (answer.status, answer.code) == (409, "ORDERS_OPEN")
    live.refresh_from_db()
    agent.refresh_from_db()
    assert (live.released_at, live.epoch, agent.archived_at) == (None, 1, None)


# Resets.


def test_a_reset_says_that_it_wants_a_confirmation_in_the_words_clients_compare(api, user):
    wallet = wallet_of(make_agent(user))
    for body in ({}, {"confirm": "true"}, {"confirm": False}, {"confirm": None}, None):
        answer = api.post(f"/wallets/{wallet.address}/reset", body)
        assert (answer.status, answer.json["error"]) == (400, "Confirmation required")
        assert "confirm" in answer.json["message"]
    wallet.refresh_from_db()
    assert wallet.epoch == 1


def test_a_reset_repeated_under_its_key_resets_once(api, user):
    wallet = wallet_of(make_agent(user))
    key = {"idempotency-key": "reset-1"}
    first, again = (api.post(f"/wallets/{wallet.address}/reset", {"confirm": True}, **key) for _ in range(2))
    assert first.json == again.json and first.json["deleted"]["transactions"] == 1
    wallet.refresh_from_db()
    assert wallet.epoch == 2


def test_a_live_wallet_begins_anew_with_what_the_chain_holds(api, user, nodes):
    agent, key = make_agent(user), make_live_key()
    assign(api, agent, key.address)
    live = wallet_of(agent, "live")
    fund(live, "5")
    make_position(agent, make_token(), wallet=live)
    nodes.hold(key.address, "4.25")
    answer = api.post(f"/wallets/{key.address}/reset", {"confirm": True})
    assert answer.json["deleted"] == {
        "positions": 1,
        "historicalSwaps": 0,
        "balances": 2,
        "transactions": 2,
        "balanceSnapshots": 0,
    }
    (balance,) = api.get(f"/agent-balances?agentId={agent.pk}&walletAddress={key.address}").json
    assert balance["balance"] == "4.25"
    opening = Transaction.objects.get(wallet=live, epoch=2)
    assert (opening.transaction_type, opening.input_amount) == ("deposit", Decimal("4.25"))
    assert differences() == []


def test_a_live_wallet_whose_chain_does_not_answer_is_not_reset(api, user, nodes):
    agent, key = make_agent(user, sol=None), make_live_key()
    assign(api, agent, key.address)
    fund(wallet_of(agent, "live"), "5")
    nodes.fail()
    answer = api.post(f"/wallets/{key.address}/reset", {"confirm": True})
    assert (answer.status, answer.code) == (502, "RPC_ERROR")
    assert wallet_of(agent, "live").epoch == 1
    assert Balance.objects.get().amount == 5


def test_a_desk_without_a_chain_resets_a_live_wallet_to_nothing(api, user):
    agent, key = make_agent(user, sol=None), make_live_key()
    assign(api, agent, key.address)
    fund(wallet_of(agent, "live"), "5")
    assert api.post(f"/wallets/{key.address}/reset", {"confirm": True}).status == 200
    assert not Balance.objects.exists()
    assert differences() == []


# Deposits.


def test_a_deposit_on_chain_is_booked_once_and_told(api, user, nodes):
    agent, key = make_agent(user, sol=None), make_live_key()
    assign(api, agent, key.address)
    nodes.hold(key.address, "1.5")
    answer = check(api, agent, key.address)
    transaction = Transaction.objects.get()
    assert answer.status == 200
    assert answer.json == {
        "success": True,
        "depositDetected": True,
        "previousBalance": 0,
        "onChainBalance": Decimal("1.5"),
        "depositAmount": Decimal("1.5"),
        "withdrawalAmount": None,
        "transactionId": str(transaction.pk),
        "message": answer.json["message"],
    }
    shown = api.get(f"/agent-transactions/{transaction.pk}").json
    assert (shown["transactionType"], shown["inputAmount"], shown["transactionValueUsd"]) == ("DEPOSIT", "1.5", None)
    again = check(api, agent, key.address)
    assert again.json == {
        **answer.json,
        "depositDetected": False,
        "previousBalance": Decimal("1.5"),
        "depositAmount": None,
        "transactionId": None,
        "message": again.json["message"],
    }
    assert Transaction.objects.count() == 1
    assert differences() == []


def test_a_check_repeated_under_its_key_is_answered_as_before(api, user, nodes):
    agent, key = make_agent(user, sol=None), make_live_key()
    assign(api, agent, key.address)
    nodes.hold(key.address, "1.5")
    first, again = (check(api, agent, key.address, **{"idempotency-key": "check-1"}) for _ in range(2))
    assert first.json == again.json and first.json["depositDetected"] is True
    assert Transaction.objects.count() == 1


def test_checks_are_refused_with_what_is_wrong(api, user, nodes):
    agent, key = make_agent(user), make_live_key()
    foreign = make_agent()
    assign(api, agent, key.address)
    simulated = wallet_of(agent)
    for answer, status, code in (
        (check(api, agent, simulated.address), 400, "SIMULATION_WALLET"),
        (check(api, agent, "sim_Whatever"), 400, "SIMULATION_WALLET"),
        (check(api, agent, mint_of("unknown")), 404, "WALLET_NOT_FOUND"),
        (check(api, foreign, key.address), 403, "AGENT_NOT_YOURS"),
        (check(api, agent, make_wallet(foreign, wallet_type="live").address), 404, "WALLET_NOT_FOUND"),
        (api.post(f"/wallets/{key.address}/check-deposits", {}), 400, "INVALID_AGENT_ID"),
        (api.post(f"/wallets/{key.address}/check-deposits", {"agentId": "x"}), 400, "INVALID_AGENT_ID"),
        (
            api.post(f"/wallets/{key.address}/check-deposits", {"agentId": "6f1f0d1e-0000-4000-8000-00000000000f"}),
            404,
            "AGENT_NOT_FOUND",
        ),
    ):
        assert (answer.status, answer.code) == (status, code)
    assert nodes.asked == []
    assert LedgerEntry.objects.exclude(wallet__in=[simulated, wallet_of(foreign)]).count() == 0


def test_a_desk_without_a_chain_says_so(api, user):
    agent, key = make_agent(user, sol=None), make_live_key()
    assign(api, agent, key.address)
    answer = check(api, agent, key.address)
    assert (answer.status, answer.code) == (503, "CHAIN_NOT_CONFIGURED")
    assert not Transaction.objects.exists()


# Limits.


@pytest.mark.parametrize("action", ["reset", "unassign", "check-deposits"])
def test_changes_are_limited_per_wallet_and_kind(api, user, settings, action):
    settings.WALLET_CHANGES_PER_MINUTE = 2
    answers = [api.post(f"/wallets/sim_one/{action}", {}) for _ in range(7)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 3
    assert refused[0].code == "RATE_LIMITED"
    assert refused[0].json["retryAfter"] == int(refused[0].headers["Retry-After"])
    assert api.post(f"/wallets/sim_two/{action}", {}).status == 400


def test_assignments_are_limited_per_address(api, user, settings):
    settings.WALLET_CHANGES_PER_MINUTE = 2
    agent = make_agent(user)
    answers = [assign(api, agent, f"sim_{number}", "simulation").status for number in range(7)]
    assert 429 in answers
    assert Wallet.objects.filter(agent=agent).count() == 1 + answers.count(200)


def at_once(*calls):
    """Run calls in threads of their own and return their answers in the order of the calls."""
    answers: dict[int, object] = {}

    def run(number, call):
        try:
            answers[number] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number, call)) for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[number] for number in range(len(calls))]


def test_open_positions_of_a_simulation_wallet_keep_it_from_being_replaced(api, user):
    agent = make_agent(user)
    make_position(agent, make_token())
    assert assign(api, agent, "sim_Other", "simulation").code == "POSITIONS_OPEN"
    assert Position.objects.get().closed_at is None
    assert wallet_of(agent).released_at is None
