"""Buying and closing by hand over HTTP, against the sandbox market."""

from threading import Thread

import pytest
from django.db import connection

from apps.agents.models import Agent, AgentState
from apps.trading.api import views
from apps.trading.models import ExitIntent, Position
from apps.wallets.models import Transaction
from tests.apiclient import api_of
from tests.factories import (
    fund,
    make_agent,
    make_operator,
    make_position,
    make_signal,
    make_token,
    make_user,
    make_wallet,
    mint_of,
    set_state,
    wallet_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token()


def buy(api, agent, token, **more):
    return api.post("/trades/execute", {"agentId": str(agent.pk), "tokenAddress": token.mint, **more})


def test_a_buy_by_hand_opens_a_position(api, agent, token):
    answer = buy(api, agent, token, positionSize=1.5, tokenSymbol="HAND")
    assert answer.status == 200, answer
    position = Position.objects.get()
    assert answer.json == {
        "success": True,
        "transactionId": str(position.purchase_transaction_id),
        "positionId": str(position.pk),
        "inputAmount": answer.json["inputAmount"],
        "outputAmount": position.remaining_amount,
        "purchasePrice": answer.json["purchasePrice"],
        "transactionHash": None,
        "stopLossInitialized": True,
        "stopLossPercentage": -32,
    }
    assert answer.json["inputAmount"] == position.purchase_transaction.input_amount
    assert position.symbol == "HAND"


def test_a_buy_names_its_signal(api, agent, token, user):
    signal = make_signal(user, make_token(token.symbol, mint=token.mint, decimals=token.decimals))
    answer = buy(api, agent, token, signalId=signal.pk)
    assert answer.json["signalId"] == signal.pk
    assert buy(api, make_agent(user), token, signalId=0).json.get("signalId") is None


def test_a_paused_agent_buys_by_hand(api, user, token):
    paused = make_agent(user, automated_trading_simulation=False)
    assert buy(api, paused, token).status == 200


def configure(agent, **config):
    Agent.objects.filter(pk=agent.pk).update(trading_config=config)


def leave_no_slot(agent):
    AgentState.objects.filter(agent=agent).update(max_open_positions=0)


def go(agent, mode):
    Agent.objects.filter(pk=agent.pk).update(trading_mode=mode)


@pytest.mark.parametrize(
    ("prepare", "more", "status", "code"),
    [
        (lambda agent, token: make_agent(agent.user), {"positionSize": 100}, 400, "POSITION_SIZE_EXCEEDS_BALANCE"),
        (lambda agent, token: None, {"positionSize": 9.8}, 400, "VIOLATES_MINIMUM_BALANCE"),
        (lambda agent, token: None, {"positionSize": 3}, 400, "EXCEEDS_MAX_PURCHASE"),
        (lambda agent, token: None, {"walletAddress": "elsewhere"}, 400, "WALLET_NOT_FOUND"),
        (lambda agent, token: None, {"walletAddress": mint_of("nobody")}, 400, "WALLET_NOT_FOUND"),
        (lambda agent, token: None, {"positionSize": "0.0000000001"}, 400, "INVALID_POSITION_SIZE"),
        (lambda agent, token: None, {"positionSize": 0}, 400, "INVALID_POSITION_SIZE"),
        (lambda agent, token: None, {"positionSize": -1}, 400, "INVALID_POSITION_SIZE"),
        (lambda agent, token: None, {"positionSize": "much"}, 400, "INVALID_POSITION_SIZE"),
        (lambda agent, token: None, {"tokenAddress": "  "}, 400, "INVALID_TOKEN_ADDRESS"),
        (lambda agent, token: None, {"tokenAddress": None}, 400, "INVALID_TOKEN_ADDRESS"),
        (lambda agent, token: None, {"tokenAddress": "not-a-mint"}, 400, "INVALID_MINT"),
        (lambda agent, token: None, {"agentId": "7"}, 400, "INVALID_AGENT_ID"),
        (lambda agent, token: None, {"signalId": "seven"}, 400, "INVALID_SIGNAL_ID"),
        (lambda agent, token: None, {"signalId": 999_999_999}, 404, "SIGNAL_NOT_FOUND"),
        (lambda agent, token: configure(agent, signals={"minScore": 99}), {}, 400, "CONFIG_ERROR"),
        (lambda agent, token: configure(agent, purchaseLimits={"maxPriceImpact": 0}), {}, 400, "PRICE_IMPACT_TOO_HIGH"),
        (lambda agent, token: configure(agent, purchaseLimits=10), {}, 400, "CONFIG_ERROR"),
        (lambda agent, token: leave_no_slot(agent), {}, 400, "MAX_POSITIONS_EXCEEDED"),
        (lambda agent, token: go(agent, "live"), {}, 400, "WALLET_NOT_FOUND"),
        (lambda agent, token: set_state("halted"), {}, 409, "TRADING_HALTED"),
        (lambda agent, token: set_state("reducing", agent=agent), {}, 409, "TRADING_REDUCING"),
        (lambda agent, token: None, {"tokenAddress": mint_of("NOBODY QUOTES")}, 400, "TOKEN_NOT_TRADABLE"),
    ],
)
def test_a_buy_is_refused_by_its_rule_and_books_nothing(api, agent, token, prepare, more, status, code):
    prepare(agent, token)
    before = Transaction.objects.filter(agent=agent).count()
    answer = buy(api, agent, token, **more)
    assert (answer.status, answer.code) == (status, code), answer
    assert not Position.objects.exists()
    assert Transaction.objects.filter(agent=agent).count() == before


def test_the_wallet_of_the_other_mode_does_not_buy(api, agent, token):
    simulated, live = wallet_of(agent), make_wallet(agent, wallet_type="live")
    fund(live, "5")
    answer = buy(api, agent, token, walletAddress=live.address)
    assert (answer.status, answer.code) == (400, "WALLET_NOT_LOADED")
    go(agent, "live")
    answer = buy(api, agent, token, walletAddress=simulated.address)
    assert (answer.status, answer.code) == (400, "TRADING_MODE_MISMATCH")
    assert buy(api, agent, token).code == "WALLET_NOT_LOADED"
    foreign = wallet_of(make_agent(agent.user))
    assert buy(api, agent, token, walletAddress=foreign.address).code == "WALLET_NOT_FOUND"
    assert not Position.objects.exists()


def test_a_size_that_cannot_be_worked_out_says_why(api, user, token):
    agent = make_agent(user, sol="0.5")
    answer = buy(api, agent, token)
    assert (answer.status, answer.code) == (400, "POSITION_CALCULATION_ERROR")
    assert answer.json["details"] == {"cause": "INSUFFICIENT_BALANCE_FOR_MINIMUM"}


def test_the_wallet_named_may_be_the_agents_own_and_blanks_are_no_name(api, user, token):
    for name in ("", None, " "):
        assert buy(api, make_agent(user), token, walletAddress=name).status == 200
    agent = make_agent(user)
    assert buy(api, agent, token, walletAddress=wallet_of(agent).address).status == 200


def test_an_agent_without_money_cannot_buy(api, user, token):
    broke = make_agent(user, sol=None)
    assert buy(api, broke, token).code == "INSUFFICIENT_BALANCE"
    fund(wallet_of(broke), "0.1")
    assert buy(api, broke, token).code == "BELOW_MINIMUM_THRESHOLD"


def test_a_second_position_in_the_same_token_is_a_conflict(api, agent, token):
    assert buy(api, agent, token).status == 200
    answer = buy(api, agent, token)
    assert (answer.status, answer.code) == (409, "POSITION_EXISTS")
    assert Position.objects.count() == 1


def test_another_users_agent_cannot_buy(api, token):
    assert buy(api, make_agent(), token).code == "AGENT_NOT_FOUND"


def test_a_source_that_fails_is_no_servers_error_and_books_nothing(api, agent, market, token):
    market.fault("jupiter_quote", "server_error")
    answer = buy(api, agent, token)
    assert answer.status in (502, 503, 504), answer
    assert answer.code and answer.code.startswith("PROVIDER_")
    assert not Position.objects.exists()


def test_closing_sells_everything_and_tells_the_profit(api, agent, token):
    position_id = buy(api, agent, token).json["positionId"]
    answer = api.post(f"/agent-positions/{agent.pk}/{position_id}/close")
    assert answer.status == 200, answer
    position = Position.objects.get()
    trade = position.closed_trade
    assert answer.json == {
        "success": True,
        "transactionId": str(trade.sale_transaction_id),
        "historicalSwapId": str(trade.pk),
        "positionId": position_id,
        "inputAmount": trade.amount,
        "outputAmount": trade.sale_transaction.output_amount,
        "salePrice": trade.sale_transaction.input_price,
        "profitLossSol": trade.profit_sol,
        "profitLossUsd": trade.profit_usd,
        "changePercent": trade.change_percent,
        "transactionHash": None,
    }
    assert trade.close_reason == "manual"
    again = api.post(f"/agent-positions/{agent.pk}/{position_id}/close")
    assert (again.status, again.code) == (404, "POSITION_NOT_FOUND")


def test_the_alias_closes_too_with_the_reason_given(api, agent, token):
    position_id = buy(api, agent, token).json["positionId"]
    path = f"/agents/{agent.pk}/positions/{position_id}/close"
    assert api.post(path, {"reason": "take_profit"}).code == "INVALID_REASON"
    assert api.post(path, {"reason": 5}).code == "INVALID_REASON"
    assert api.post(path, {"reason": "stop_loss"}).status == 200
    assert Position.objects.get().close_reason == "stop_loss"


def test_a_close_is_refused_to_everybody_else(api, agent, token):
    position_id = buy(api, agent, token).json["positionId"]
    answer = api_of(make_user()).post(f"/agent-positions/{agent.pk}/{position_id}/close")
    assert (answer.status, answer.code) == (403, "AGENT_NOT_YOURS")
    other = make_agent(agent.user)
    answer = api.post(f"/agent-positions/{other.pk}/{position_id}/close")
    assert (answer.status, answer.code) == (404, "POSITION_NOT_FOUND")
    assert Position.objects.get().closed_at is None


def test_a_close_is_refused_while_exits_are_halted(api, agent, token):
    position_id = buy(api, agent, token).json["positionId"]
    set_state("halted", exits_enabled=False)
    answer = api.post(f"/agent-positions/{agent.pk}/{position_id}/close")
    assert (answer.status, answer.code) == (409, "EXITS_HALTED")


def test_a_close_that_takes_too_long_answers_with_its_intent(api, agent, market, token, monkeypatch):
    monkeypatch.setattr(views, "WAIT_SECONDS", 0.3)
    position_id = buy(api, agent, token).json["positionId"]
    market.fault("jupiter_quote", "server_error")
    key = {"idempotency-key": "close-1"}
    answer = api.post(f"/agent-positions/{agent.pk}/{position_id}/close", {}, **key)
    assert (answer.status, answer.code) == (202, "CLOSE_PENDING"), answer
    assert answer.json["orderId"] == answer.json["intentId"] == ExitIntent.objects.get().pk
    assert answer.json["success"] is True and answer.json["message"]
    market.clear_faults()
    monkeypatch.setattr(views, "WAIT_SECONDS", 15)
    assert api.post(f"/agent-positions/{agent.pk}/{position_id}/close", {}, **key).status == 200
    assert ExitIntent.objects.count() == 1


def test_two_closes_at_once_sell_once_and_both_get_the_result(api, agent, token):
    position_id = buy(api, agent, token).json["positionId"]
    answers = []

    def close():
        try:
            answers.append(api_of(agent.user).post(f"/agent-positions/{agent.pk}/{position_id}/close"))
        finally:
            connection.close()

    threads = [Thread(target=close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {200, 404}
    assert 200 in {answer.status for answer in answers}
    assert Transaction.objects.filter(position_id=position_id).count() == 2


def test_a_buy_repeated_under_its_key_buys_once(api, agent, token):
    body = {"agentId": str(agent.pk), "tokenAddress": token.mint}
    first, again = (api.post("/trades/execute", body, **{"idempotency-key": "buy-1"}) for _ in range(2))
    assert first.status == again.status == 200
    assert first.json == again.json
    assert Position.objects.count() == 1


def test_the_trading_state_of_an_agent_is_its_owners_to_set(api, agent):
    path = f"/trading-state?agentId={agent.pk}"
    assert api.get(path).json == {"state": "active", "exitsEnabled": True, "reason": ""}
    answer = api.put(path, {"state": "HALTED", "exitsEnabled": False, "reason": "holiday"})
    assert answer.json == {"state": "halted", "exitsEnabled": False, "reason": "holiday"}
    assert api.get(path).json == answer.json
    assert api.get("/trading-state").json["state"] == "active"
    assert api.put("/trading-state", {"state": "reducing", "agentId": str(agent.pk)}).json["state"] == "reducing"
    assert api.get(path).json["state"] == "reducing"
    foreign = make_agent()
    assert api.put(f"/trading-state?agentId={foreign.pk}", {"state": "halted"}).code == "AGENT_NOT_FOUND"


def test_the_state_of_the_desk_is_the_operators_to_set(api):
    answer = api.put("/trading-state", {"state": "halted"})
    assert (answer.status, answer.code) == (403, "OPERATORS_ONLY")
    operator = api_of(make_operator())
    assert operator.put("/trading-state", {"state": "halted"}).json["state"] == "halted"
    assert api.get("/trading-state").json["state"] == "halted"
    for body, code in [
        ({"state": "asleep"}, "INVALID_STATE"),
        ({}, "INVALID_STATE"),
        ({"state": "active", "exitsEnabled": "no"}, "INVALID_EXITS_ENABLED"),
        ({"state": "active", "reason": "x" * 201}, "INVALID_REASON"),
        ({"state": "active", "agentId": "1"}, "INVALID_AGENT_ID"),
    ]:
        assert operator.put("/trading-state", body).code == code, body


def test_a_live_position_keeps_its_agent_from_being_deleted(api, agent):
    live = make_wallet(agent, wallet_type="live")
    fund(live, "5")
    make_position(agent, make_token(), wallet=live)
    answer = api.delete(f"/agents/{agent.pk}")
    assert (answer.status, answer.code) == (409, "POSITIONS_OPEN")
    assert api.get(f"/agents/{agent.pk}").status == 200
