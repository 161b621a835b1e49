"""A Postman run in the dialect, in its order and from the contract alone, against a real web process and the sandbox
market; and every call the dialect's own front end makes, as it makes it, with the fields it relies on.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from tests.console import dialect
from tests.console.dialect import Client, list_of
from tests.console.web_process import WebProcess

SOL = "So11111111111111111111111111111111111111112"
MISSING = "6f1f0d1e-0000-4000-8000-00000000000f"


@pytest.fixture(scope="module")
def trading_web(module_redis, sandbox, tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator[WebProcess]:
    """A web process whose market is the sandbox."""
    port = sandbox.base_url.rpartition(":")[2]
    with django_db_blocker.unblock():
        process = WebProcess(
            module_redis.url, tmp_path_factory.mktemp("web") / "web.log", SANDBOX_PORT=port, SOLDESK_DEMO="1"
        )
        process.start()
    yield process
    process.kill()


@pytest.fixture
def client(trading_web, module_redis, transactional_db, market) -> Client:
    from tests.factories import PASSWORD, make_user

    Redis.from_url(module_redis.url).flushdb()  # what one run has signed in is not held against the next
    user = make_user("postman@example.com")
    signed_in = Client(trading_web)
    signed_in.sign_in(user.email.upper(), PASSWORD)
    return signed_in


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def deposit(agent: str, amount: str = "10") -> dict[str, Any]:
    """A deposit as the user interface posts it."""
    return {
        "agentId": agent,
        "transactionType": "DEPOSIT",
        "transactionValueUsd": 1500,
        "transactionTime": now(),
        "inputMint": SOL,
        "inputSymbol": "SOL",
        "inputAmount": amount,
        "inputPrice": "150",
    }


def claims(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def test_a_run_in_the_dialects_order_passes_from_sign_in_to_sign_out(trading_web, client, market):
    from tests.factories import PASSWORD
    from tests.trading.closing import differences

    # Sign in, refresh, me.
    wrong = client.post("/auth/login", {"email": "postman@example.com", "password": "no"}, expect=401)
    unknown = client.post("/auth/login", {"email": "nobody@example.com", "password": "no"}, expect=401)
    assert wrong == unknown
    malformed = client.post("/auth/login", {"email": "no e-mail"}, expect=400)
    assert (malformed["success"], malformed["code"], malformed["error"]) == (
        False,
        "VALIDATION_ERROR",
        "Validation failed",
    )
    assert {fault["field"] for fault in malformed["details"]["errors"]} == {"email", "password"}
    signed_in = client.sign_in("postman@example.com", PASSWORD)
    told = claims(signed_in["accessToken"])
    assert (told["type"], told["email"], told["exp"] - told["iat"]) == ("access", "postman@example.com", 900)
    assert claims(signed_in["refreshToken"])["type"] == "refresh"
    tokens = {"accessToken": dialect.text, "refreshToken": dialect.text}
    first = signed_in["refreshToken"]
    for _ in range(2):  # clients of the dialect keep sending their first one
        client.token = client.post("/auth/refresh", {"refreshToken": first}, tokens)["accessToken"]
    client.post("/auth/refresh", {"refreshToken": client.token}, expect=401)
    me = client.get("/auth/me", dialect.USER)
    assert me["id"] == told["userId"]
    client.post("/auth/register", {}, expect=404)

    # An agent.
    client.post("/agents", {"name": "ab"}, expect=400)
    agent = client.post("/agents", {"name": " Postman agent "}, dialect.AGENT, expect=201)
    assert (agent["name"], agent["tradingMode"], agent["userId"]) == ("Postman agent", "simulation", me["id"])
    assert agent["automatedTradingSimulation"] is agent["automatedTradingLive"] is True
    identifier = agent["id"]
    assert client.get("/agents", list_of(dialect.AGENT)) == [agent]
    assert client.get(f"/agents/{identifier}", dialect.AGENT) == agent
    client.get("/agents/not-an-id", expect=400)
    client.get(f"/agents/{MISSING}", expect=404)
    client.put(f"/agents/{identifier}", {}, expect=400)
    renamed = client.put(f"/agents/{identifier}", {"name": "Renamed", "automatedTradingLive": False}, dialect.AGENT)
    assert (renamed["name"], renamed["automatedTradingLive"]) == ("Renamed", False)

    # Wallets.
    wallets = client.get(f"/wallets/agent/{identifier}", dialect.WALLETS)
    (wallet,) = (row["walletAddress"] for row in wallets["agentWallets"])
    assert wallet.startswith("sim_") and len(wallet) == 44 and wallets["agentWallets"][0]["isAvailable"] is True
    client.get(f"/wallets/agent/{MISSING}", expect=404)
    same = {"agentId": identifier, "walletAddress": wallet, "walletType": "simulation"}
    client.post("/wallets/assign", same, dialect.ASSIGNED)
    client.post("/wallets/assign", {**same, "walletType": "live"}, expect=400)
    client.post(f"/wallets/{wallet}/check-deposits", {"agentId": identifier}, expect=400)
    client.post(f"/wallets/{wallet}/unassign", {"confirm": True}, expect=400)

    # A signal.
    token = market.add_token()
    body = {"tokenAddress": token.mint, "symbol": token.symbol, "signalType": "Momentum", "signalStrength": 3}
    signal = client.post("/trading-signals", body, dialect.SIGNAL, expect=201)
    assert client.post("/trading-signals", body, expect=409)["code"] == "SIGNAL_DUPLICATE"
    assert client.post("/trading-signals", {**body, "tokenAddress": "nonsense"}, expect=400)["code"] == "INVALID_MINT"
    client.post("/trading-signals", {**body, "signalStrength": "3"}, expect=400)
    assert client.get("/trading-signals?limit=1", list_of(dialect.SIGNAL)) == [signal]
    assert client.get(f"/trading-signals/{signal['id']}", dialect.SIGNAL) == signal
    changed = client.put(f"/trading-signals/{signal['id']}", {"source": "Postman", "symbol": None}, dialect.SIGNAL)
    assert (changed["source"], changed["symbol"]) == ("Postman", None)
    client.get("/trading-signals/999999999", expect=404)
    assert "Signal ID,Created At,Signal Strength" in client.get("/trading-signals/export?timezone=Europe/Berlin")

    # A balance.
    entered = {"agentId": identifier, "tokenAddress": token.mint, "tokenSymbol": token.symbol, "balance": "5.50"}
    balance = client.post("/agent-balances", entered, dialect.BALANCE, expect=201)
    assert (balance["walletAddress"], balance["tokenAddress"]) == (wallet, token.mint)
    client.post("/agent-balances", entered, expect=409)
    client.post("/agent-balances", {**entered, "balance": "much"}, expect=400)
    listed = client.get(f"/agent-balances?agentId={identifier}&walletAddress={wallet}", list_of(dialect.BALANCE))
    assert [row["id"] for row in listed] == [balance["id"]]
    client.get("/agent-balances", expect=400)
    assert client.get(f"/agent-balances/{balance['id']}", dialect.BALANCE)["balance"] == balance["balance"]
    assert client.put(f"/agent-balances/{balance['id']}", {"balance": "7"}, dialect.BALANCE)["balance"] == "7"
    client.delete(f"/agent-balances/{balance['id']}", dialect.DONE)
    client.get(f"/agent-balances/{balance['id']}", expect=404)

    # The configuration.
    assert client.get(f"/agents/{identifier}/config") == {"config": dialect.DEFAULT_CONFIG}
    client.put(f"/agents/{identifier}/config", {}, expect=400)
    refused = client.put(f"/agents/{identifier}/config", {"config": {"signals": {"minScore": 9}}}, expect=400)
    assert any(line.startswith("signals.minScore: ") for line in refused["details"])
    merged = client.patch(
        f"/agents/{identifier}/config", {"config": {"signals": {"minScore": 2, "marketCapMin": 5000}}}
    )
    assert merged["config"]["signals"] == {**dialect.DEFAULT_CONFIG["signals"], "minScore": 2, "marketCapMin": 5000}
    merged = client.put(f"/agents/{identifier}/config", {"config": {"signals": {"marketCapMin": None}}})
    assert "marketCapMin" not in merged["config"]["signals"]
    assert client.put(f"/agents/{identifier}/config", {"config": None}) == {"config": dialect.DEFAULT_CONFIG}

    # Transactions.
    paid_in = client.post("/agent-transactions", deposit(identifier), dialect.TRANSACTION, expect=201)
    assert (paid_in["inputAmount"], paid_in["transactionValueUsd"], paid_in["walletAddress"]) == ("10", "1500", wallet)
    burn = {**deposit(identifier, "99"), "transactionType": "BURN"}
    short = client.post("/agent-transactions", burn, expect=400)
    assert (short["currentBalance"], short["requiredAmount"]) == ("10", "99")
    assert (short["tokenAddress"], short["tokenSymbol"]) == (SOL, "SOL")
    listed = client.get(
        f"/agent-transactions?agentId={identifier}&transactionType=DEPOSIT", list_of(dialect.TRANSACTION)
    )
    assert [row["id"] for row in listed] == [paid_in["id"]]
    assert client.get(f"/agent-transactions/{paid_in['id']}", dialect.TRANSACTION) == paid_in
    client.get("/agent-transactions/not-an-id", expect=400)
    client.put(f"/agent-transactions/{paid_in['id']}", {"inputAmount": "12"}, dialect.TRANSACTION)
    mistaken = client.post("/agent-transactions", deposit(identifier, "1"), dialect.TRANSACTION, expect=201)
    client.delete(f"/agent-transactions/{mistaken['id']}", expect=204)
    (sol,) = client.get(f"/agent-balances?agentId={identifier}&walletAddress={wallet}", list_of(dialect.BALANCE))
    assert (sol["tokenAddress"], sol["balance"], sol["priceSol"]) == (SOL, "12", 1)

    # Closed trades entered by hand.
    by_hand = {
        "agentId": identifier,
        "tokenAddress": token.mint,
        "tokenSymbol": token.symbol,
        "amount": 1000,
        "purchasePrice": "0.001",
        "salePrice": 0.002,
        "changePercent": 100,
        "profitLossUsd": "150",
        "profitLossSol": 1,
        "purchaseTime": now(),
        "saleTime": now(),
        "closeReason": "manual",
    }
    swap = client.post("/agent-historical-swaps", by_hand, dialect.SWAP, expect=201)
    client.post("/agent-historical-swaps", {**by_hand, "saleTime": "2020-01-01T00:00:00Z"}, expect=400)
    listed = client.get(
        f"/agent-historical-swaps?agentId={identifier}&tokenSymbol={token.symbol}", list_of(dialect.SWAP)
    )
    assert [row["id"] for row in listed] == [swap["id"]]
    client.get(f"/agent-historical-swaps/{swap['id']}", dialect.SWAP)
    corrected = client.put(f"/agent-historical-swaps/{swap['id']}", {"closeReason": "stop_loss"}, dialect.SWAP)
    assert corrected["closeReason"] == "stop_loss"
    table = client.get(f"/agent-historical-swaps/export?agentId={identifier}&currency=SOL&timezone=UTC")
    assert table.startswith("Time,Token Symbol,Token Address,Amount,Average Purchase Price (SOL),Sale Price (SOL),")
    assert len(table.splitlines()) == 2
    client.delete(f"/agent-historical-swaps/{swap['id']}", expect=204)

    # A trade, and its position.
    nobody_quotes = {"agentId": identifier, "tokenAddress": "nonsense"}
    client.post("/trades/execute", nobody_quotes, expect=400)
    order = {"agentId": identifier, "tokenAddress": token.mint, "tokenSymbol": token.symbol, "positionSize": 1.5}
    bought = client.post("/trades/execute", order, dialect.BOUGHT)
    assert client.post("/trades/execute", order, expect=409)["code"] == "POSITION_EXISTS"
    (position,) = client.get(f"/agent-positions/{identifier}", list_of(dialect.POSITION))
    assert (position["id"], position["purchase"]["transaction"]["id"]) == (
        bought["positionId"],
        bought["transactionId"],
    )
    assert [row["id"] for row in client.get(f"/agents/{identifier}/positions", list_of(dialect.POSITION))] == [
        position["id"]
    ]
    client.get(f"/agent-positions/{identifier}?walletAddress=sim_nobodys", expect=404)
    summary = client.get(f"/agent-positions/{identifier}/take-profit-summary", dialect.TAKE_PROFIT_SUMMARY)
    assert summary["totalPositions"] == 1 and "positions" not in summary
    summary = client.get(f"/agent-positions/{identifier}/take-profit-summary?includePositions=true")
    assert summary["positions"] == []
    client.get(f"/agents/{identifier}/balance-history", expect=400)
    client.get(f"/agents/{identifier}/balance-history?walletAddress={wallet}&timeframe=24h", dialect.BALANCE_HISTORY)
    client.get(f"/agents/{identifier}/performance?timeframe=week", expect=400)
    assert client.get(f"/agents/{identifier}/performance", dialect.PERFORMANCE)["totalOpenPositions"] == 1
    closed = client.post(f"/agent-positions/{identifier}/{position['id']}/close", {"reason": "manual"}, dialect.CLOSED)
    client.post(f"/agent-positions/{identifier}/{position['id']}/close", {}, expect=404)
    (sold,) = client.get(f"/agent-historical-swaps?agentId={identifier}", list_of(dialect.SWAP))
    assert (sold["id"], sold["saleTransactionId"]) == (closed["historicalSwapId"], closed["transactionId"])
    assert (
        client.put(f"/agent-transactions/{closed['transactionId']}", {"fees": "1"}, expect=409)["code"]
        == "IMMUTABLE_RECORD"
    )
    assert client.delete(f"/agent-historical-swaps/{sold['id']}", expect=409)["code"] == "IMMUTABLE_RECORD"
    assert client.get(f"/agents/{identifier}/performance?timeframe=24h", dialect.PERFORMANCE)["totalClosedTrades"] == 1

    # Health, prices.
    client.get("/health", dialect.HEALTH)
    client.get("/health/live", {"alive": dialect.one_of(True), "timestamp": dialect.ts, "uptime": dialect.integer})
    client.get(
        "/health/ready", {"ready": dialect.one_of(False), "timestamp": dialect.ts}, expect=503
    )  # no workers here
    client.get("/price-feeds/sol-usd", dialect.SOL_USD)
    client.get("/data-sources/status", dialect.SOURCES)
    assert "# TYPE api_requests_total counter" in client.get("/metrics")

    # API keys.
    client.post("/api-keys", {"name": "Key", "scopes": []}, expect=400)
    key = client.post("/api-keys", {"name": "Key", "scopes": ["agents", "signals"]}, dialect.NEW_KEY, expect=201)
    shown = client.get("/api-keys", {"items": list_of(dialect.KEY)})["items"]
    assert [row["id"] for row in shown] == [key["id"]] and "key" not in shown[0]
    assert client.get(f"/api-keys/{key['id']}", dialect.KEY)["prefix"] == key["key"][:8]
    for headers in ({"X-API-Key": key["key"]}, {"Authorization": f"Bearer {key['key']}"}):
        assert [row["id"] for row in client.get("/agents", list_of(dialect.AGENT), **headers)] == [identifier]
        client.get(f"/agent-positions/{identifier}", expect=403, **headers)
        client.get("/auth/me", expect=401, **headers)
    client.delete(f"/api-keys/{key['id']}", dialect.DONE)
    client.get("/agents", expect=401, **{"X-API-Key": key["key"]})

    # Reset, delete, sign out.
    assert client.post(f"/wallets/{wallet}/reset", {}, expect=400)["error"] == "Confirmation required"
    reset = client.post(f"/wallets/{wallet}/reset", {"confirm": True}, dialect.RESET)
    assert reset["deleted"]["historicalSwaps"] == 1 and reset["walletAddress"] == wallet
    assert client.get(f"/agent-historical-swaps?agentId={identifier}") == []
    assert client.delete("/trading-signals/all", expect=400)["error"] == "Confirmation required"
    client.delete(f"/trading-signals/{signal['id']}", expect=204)
    client.delete(f"/agents/{identifier}", dialect.DONE)
    client.get(f"/agents/{identifier}", expect=404)
    client.post("/auth/logout", {"refreshToken": first}, dialect.DONE)
    client.get("/auth/me", expect=401)
    client.post("/auth/refresh", {"refreshToken": first}, expect=401)
    assert differences() == []


def test_every_call_of_the_dialects_front_end_is_answered_with_what_it_relies_on(trading_web, client, market):
    """Section 9's table, call by call, with the parameters it lists."""
    from apps.agents.models import Agent
    from tests.factories import make_snapshot, make_tick, make_token, make_user, wallet_of
    from tests.trading.closing import differences

    # Signing in happens on the front end's server; the session keeps both tokens and their end.
    signed_in = client.post("/auth/login", {"email": "postman@example.com", "password": "x"}, expect=401)
    assert signed_in["error"]
    access = client.token
    assert claims(access)["exp"] > claims(access)["iat"]

    # Agents: created by name alone, listed with a userId nobody reads, newest first.
    older = client.post("/agents", {"name": "Older"}, dialect.AGENT, expect=201)
    agent = client.post("/agents", {"name": "Newer"}, dialect.AGENT, expect=201)
    listed = client.get(f"/agents?userId={make_user().pk}", list_of(dialect.AGENT))
    assert [row["id"] for row in listed] == [agent["id"], older["id"]]
    identifier = agent["id"]
    assert client.get(f"/agents/{identifier}", dialect.AGENT) == agent

    # The header's switch between simulation and live pauses the mode that is left.
    to_live = {"tradingMode": "live", "automatedTradingSimulation": False}
    switched = client.put(f"/agents/{identifier}", to_live, dialect.AGENT)
    assert (switched["tradingMode"], switched["automatedTradingSimulation"]) == ("live", False)
    back = {"tradingMode": "simulation", "automatedTradingLive": False}
    switched = client.put(f"/agents/{identifier}", back, dialect.AGENT)
    assert (switched["tradingMode"], switched["automatedTradingLive"]) == ("simulation", False)
    client.put(f"/agents/{identifier}", {"automatedTradingSimulation": True}, dialect.AGENT)

    # The profile page sends the whole configuration back; the dialog that makes an agent sets the stop.
    config = client.get(f"/agents/{identifier}/config")["config"]
    config["stopLoss"] |= {
        "mode": "custom",
        "trailingLevels": [{"change": 200, "stopLoss": 90}, {"change": 20, "stopLoss": 10}],
    }
    assert client.put(f"/agents/{identifier}/config", {"config": config})["config"] == config

    # Wallets and their dialogs.
    wallet = client.get(f"/wallets/agent/{identifier}", dialect.WALLETS)["agentWallets"][0]["walletAddress"]
    assign = {"agentId": identifier, "walletAddress": "not-loaded-here", "walletType": "live"}
    assert client.post("/wallets/assign", assign, expect=400)["error"]
    assert client.post(f"/wallets/{wallet}/unassign", {"confirm": True}, expect=400)["error"]
    assert client.post(f"/wallets/{wallet}/check-deposits", {"agentId": identifier}, expect=400)["error"]

    # A simulated deposit, the balances, a buy to look at.
    client.post("/agent-transactions", deposit(identifier), dialect.TRANSACTION, expect=201)
    token = market.add_token()
    order = {"agentId": identifier, "tokenAddress": token.mint, "tokenSymbol": token.symbol, "positionSize": 1}
    bought = client.post("/trades/execute", order, dialect.BOUGHT)
    own = f"agentId={identifier}&walletAddress={wallet}"
    make_tick(make_token(token.symbol, mint=token.mint, decimals=token.decimals), "0.25")  # as the watch does
    balances = client.get(f"/agent-balances?{own}", list_of(dialect.BALANCE))
    assert {row["tokenSymbol"]: row["priceSol"] for row in balances} == {"SOL": 1, token.symbol: 0.25}

    # Transactions, with the steps of their route; the tabs of a position filter them.
    for more in ("", "&isDca=true", "&isTakeProfit=true", "&transactionType=SWAP", f"&startTime={now()}"):
        client.get(f"/agent-transactions?{own}{more}&limit=1000", list_of(dialect.TRANSACTION))
    rows = client.get(f"/agent-transactions?{own}&limit=1000", list_of(dialect.TRANSACTION))
    assert [row["transactionType"] for row in rows] == ["SWAP", "DEPOSIT"]
    (step,) = rows[0]["routes"]["routePlan"]
    assert dialect.text(step["swapInfo"]["label"]) and (rows[0]["isDca"], rows[0]["isTakeProfit"]) == (False, False)
    assert client.get(f"/agent-transactions/{bought['transactionId']}", dialect.TRANSACTION) == rows[0]

    # The live table, over the socket of the selected agent.
    with trading_web.socket(f"token={client.token}&agentId={identifier}") as socket:
        assert socket.next("connected")["data"]["agentId"] == identifier
        (shown,) = socket.next("initial_data")["data"]["positions"]
        assert (shown["id"], shown["tokenAddress"]) == (bought["positionId"], token.mint)
        socket.say({"type": "ping"})
        assert "timestamp" in socket.next("pong")

    # The overview's cards and chart; closing a position; recent trades and their export.
    make_snapshot(wallet_of(Agent.objects.get(pk=identifier)), portfolio="10")
    for timeframe in ("24h", "all"):
        client.get(
            f"/agents/{identifier}/performance?timeframe={timeframe}&walletAddress={wallet}", dialect.PERFORMANCE
        )
        client.get(
            f"/agents/{identifier}/balance-history?walletAddress={wallet}&timeframe={timeframe}",
            dialect.BALANCE_HISTORY,
        )
    history = client.get(f"/agents/{identifier}/balance-history?walletAddress={wallet}&timeframe=24h")
    assert [snapshot["portfolioBalanceSol"] for snapshot in history["snapshots"]] == ["10"]
    close = f"/agent-positions/{identifier}/{bought['positionId']}/close"
    client.post(close, {"reason": "manual"}, dialect.CLOSED)
    assert client.post(close, {"reason": "manual"}, expect=404)["error"]
    (trade,) = client.get(f"/agent-historical-swaps?{own}&limit=1000", list_of(dialect.SWAP))
    assert trade["purchaseTransactionId"] == bought["transactionId"]
    table = client.get(f"/agent-historical-swaps/export?{own}&timezone=America/New_York&currency=USD&solPrice=150")
    assert "Average Purchase Price (USD)" in table and len(table.splitlines()) == 2

    # Signals: the manual test form, the list, its export.
    form = {
        "tokenAddress": token.mint,
        "symbol": token.symbol,
        "signalType": "Manual Trigger",
        "signalStrength": 1,
        "activationReason": "Manual test signal",
        "source": "Trading engine",
    }
    signal = client.post("/trading-signals", form, dialect.SIGNAL, expect=201)
    assert client.get("/trading-signals?limit=1000", list_of(dialect.SIGNAL)) == [signal]
    assert len(client.get("/trading-signals/export?timezone=America/New_York").splitlines()) == 2

    # Integrations, health, the price of SOL.
    key = client.post("/api-keys", {"name": "Bot", "scopes": ["full_access"]}, dialect.NEW_KEY, expect=201)
    assert [row["id"] for row in client.get("/api-keys", {"items": list_of(dialect.KEY)})["items"]] == [key["id"]]
    client.delete(f"/api-keys/{key['id']}", dialect.DONE)
    client.get("/data-sources/status", dialect.SOURCES)
    client.get("/health", dialect.HEALTH)
    client.get("/price-feeds/sol-usd", dialect.SOL_USD)

    # Resetting a wallet and deleting an agent end the tour; a 401 is what sends a visitor back to the sign-in.
    client.post(f"/wallets/{wallet}/reset", {"confirm": True}, dialect.RESET)
    client.delete(f"/agents/{older['id']}", dialect.DONE)
    client.token = "expired"
    assert client.get("/agents", expect=401)["error"]
    assert differences() == []
