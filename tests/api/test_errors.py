"""Every error has a JSON body with `error` and a stable `code`, whatever a client sends."""

import json
import re

import pytest
from django.utils.html import strip_tags

from apps.agents.models import Agent
from apps.core.money import SOL_MINT
from apps.signals.models import TradingSignal
from apps.wallets.models import Transaction
from tests.apiclient import Api
from tests.factories import make_agent, make_operator, make_user, mint_of, wallet_of

pytestmark = pytest.mark.django_db

MALFORMED = {
    "cut off": b'{"name": "a',
    "no JSON": b"hello",
    "single quotes": b"{'name': 'a'}",
    "trailing comma": b'{"name": "a",}',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "a control character": b'{"name": "a\x01b"}',
    "two documents": b'{"name": "a"} {"name": "b"}',
    "nested too deeply": b"[" * 100_000 + b"]" * 100_000,
    "objects too deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "a number of 5000 digits": b'{"name": ' + b"9" * 5000 + b"}",
    "an exponent beyond all range": b'{"name": 1e99999999999999999999}',
}
POSTS = ["/agents", "/trading-signals", "/agent-transactions", "/trades/execute", "/api-keys", "/auth/logout"]


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_body_is_a_400_on_every_route(api, kind):
    for path in POSTS:
        answer = api.call("POST", path, body=MALFORMED[kind])
        assert (answer.status, answer.code) == (400, "MALFORMED_JSON"), path
        assert answer.json["success"] is False
        assert answer.json["details"]["errors"][0]["field"] == "body"
    assert not Agent.objects.exists()


def test_brackets_inside_a_text_are_no_nesting(api):
    answer = api.call("POST", "/agents", body=json.dumps({"name": "[" * 40}).encode())
    assert answer.status == 201


@pytest.mark.parametrize("body", [[], "text", 5, None, True, [{"name": "abc"}]])
@pytest.mark.parametrize("path", ["/trading-signals", "/agent-transactions", "/trades/execute"])
def test_a_body_that_is_no_object_is_refused(api, path, body):
    answer = api.call("POST", path, body=json.dumps(body).encode())
    assert (answer.status, answer.code) == (400, "INVALID_BODY")
    assert answer.json["field"] == "body"


def test_an_empty_body_lacks_its_first_field(api):
    answer = api.post("/trading-signals")
    assert (answer.status, answer.code) == (400, "INVALID_TOKEN_ADDRESS")


def test_a_body_beyond_one_megabyte_is_refused(api):
    answer = api.call("POST", "/agents", body=b'{"name": "' + b"a" * (1024 * 1024) + b'"}')
    assert (answer.status, answer.code) == (413, "BODY_TOO_LARGE")


def test_another_content_type_is_refused(api):
    response = api.client.post("/api/v1/agents", "<name/>", content_type="text/xml")
    assert response.status_code == 415
    assert response.json()["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize("path", ["/nothing", "/agents/1/2/3", "/auth/register", "/agents/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_an_unknown_route_names_method_and_path(method, path):
    answer = Api().call(method, path)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.json["success"] is False
    assert method in answer.json["error"] and path in answer.json["error"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v2/agents"])
def test_unknown_paths_under_api_answer_json(path):
    response = Api().client.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


def test_a_method_a_path_does_not_know_is_an_unknown_route(api):
    answer = api.call("PATCH", "/agents")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_an_unexpected_error_shows_nothing_internal(api, monkeypatch):
    from apps.agents.api import views

    def fail(**_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(views.selectors, "list_agents", fail)
    answer = api.get("/agents")
    assert (answer.status, answer.code) == (500, "INTERNAL_ERROR")
    assert answer.json["error"] == "Internal server error"
    assert b"secret detail" not in answer.text


BAD_IDS = ["1", "abc", "null", "undefined", "00000000000000000000000000000000", "%00", "'; DROP TABLE agent"]
ROUTES_WITH_IDS = [
    ("GET", "/agents/{id}"),
    ("PUT", "/agents/{id}"),
    ("DELETE", "/agents/{id}"),
    ("GET", "/agents/{id}/config"),
    ("GET", "/agents/{id}/positions"),
    ("GET", "/agents/{id}/performance"),
    ("GET", "/agent-positions/{id}"),
    ("GET", "/agent-positions/{id}/take-profit-summary"),
    ("POST", "/agent-positions/{id}/6f1f0d1e-0000-4000-8000-000000000000/close"),
    ("POST", "/agent-positions/6f1f0d1e-0000-4000-8000-000000000000/{id}/close"),
    ("GET", "/agent-balances/{id}"),
    ("GET", "/agent-transactions/{id}"),
    ("GET", "/agent-historical-swaps/{id}"),
    ("GET", "/wallets/agent/{id}"),
    ("GET", "/agent-balances?agentId={id}"),
    ("GET", "/agent-transactions?agentId={id}"),
    ("GET", "/agent-historical-swaps?agentId={id}"),
    ("GET", "/trading-state?agentId={id}"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES_WITH_IDS)
def test_a_malformed_id_is_a_400_that_names_it(api, method, path):
    for bad in BAD_IDS:
        answer = api.call(method, path.replace("{id}", bad), {"name": "abc"} if method == "PUT" else None)
        assert answer.status == 400, (bad, answer)
        named = answer.json["details"]["errors"][0]["field"]
        codes = {"agentId": "INVALID_AGENT_ID", "positionId": "INVALID_POSITION_ID", "balanceId": "INVALID_BALANCE_ID"}
        assert answer.code == codes.get(named, "INVALID_ID"), (bad, answer)
        assert named in (*codes, "id")


@pytest.mark.parametrize(("method", "path"), ROUTES_WITH_IDS)
def test_an_id_nobody_has_is_a_404(api, method, path):
    answer = api.call(
        method,
        path.replace("{id}", "6f1f0d1e-0000-4000-8000-00000000000f"),
        {"name": "abc"} if method == "PUT" else None,
    )
    assert answer.status == 404, answer
    assert answer.code in (
        "AGENT_NOT_FOUND",
        "BALANCE_NOT_FOUND",
        "TRANSACTION_NOT_FOUND",
        "SWAP_NOT_FOUND",
        "POSITION_NOT_FOUND",
    )


SIGNAL = {"tokenAddress": mint_of("BAD"), "signalType": "Momentum", "signalStrength": 3}
BAD_SIGNALS = [
    ({"tokenAddress": None}, "INVALID_TOKEN_ADDRESS"),
    ({"tokenAddress": 5}, "INVALID_TOKEN_ADDRESS"),
    ({"tokenAddress": "  "}, "INVALID_TOKEN_ADDRESS"),
    ({"tokenAddress": "x" * 256}, "INVALID_TOKEN_ADDRESS"),
    ({"tokenAddress": "a\0b"}, "INVALID_TOKEN_ADDRESS"),
    ({"tokenAddress": "not-a-mint"}, "INVALID_MINT"),
    ({"tokenAddress": "0" * 44}, "INVALID_MINT"),
    ({"tokenAddress": ["x"]}, "INVALID_TOKEN_ADDRESS"),
    ({"signalType": ""}, "INVALID_SIGNAL_TYPE"),
    ({"signalType": "x" * 51}, "INVALID_SIGNAL_TYPE"),
    ({"signalType": {}}, "INVALID_SIGNAL_TYPE"),
    ({"signalType": "\ud800"}, "INVALID_SIGNAL_TYPE"),
    ({"signalStrength": "3"}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": 0}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": 6}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": 2.5}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": True}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": None}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": 10**400}, "INVALID_SIGNAL_STRENGTH"),
    ({"signalStrength": 1e300}, "INVALID_SIGNAL_STRENGTH"),
    ({"symbol": 5}, "INVALID_SYMBOL"),
    ({"symbol": "x" * 51}, "INVALID_SYMBOL"),
    ({"activationReason": []}, "INVALID_ACTIVATION_REASON"),
    ({"source": "x" * 101}, "INVALID_SOURCE"),
    ({"source": "\0"}, "INVALID_SOURCE"),
]


@pytest.mark.parametrize(("change", "code"), BAD_SIGNALS)
def test_a_wrong_signal_names_the_field_and_writes_nothing(api, change, code):
    raw = json.dumps({**SIGNAL, **change}).encode()
    answer = api.call("POST", "/trading-signals", raw)
    assert (answer.status, answer.code) == (400, code), answer
    assert "success" not in answer.json
    assert not TradingSignal.objects.exists()


@pytest.mark.parametrize("missing", SIGNAL)
def test_a_signal_without_a_required_field_names_it(api, missing):
    answer = api.post("/trading-signals", {name: value for name, value in SIGNAL.items() if name != missing})
    assert answer.status == 400
    assert answer.json["field"] == missing


BAD_DEPOSITS = [
    ({"agentId": 5}, "INVALID_AGENT_ID"),
    ({"agentId": None}, "INVALID_AGENT_ID"),
    ({"transactionType": "GIFT"}, "INVALID_TRANSACTION_TYPE"),
    ({"transactionType": None}, "INVALID_TRANSACTION_TYPE"),
    ({"transactionType": "SWAP"}, "INVALID_OUTPUT_MINT"),
    ({"transactionValueUsd": -1}, "INVALID_TRANSACTION_VALUE_USD"),
    ({"transactionValueUsd": "much"}, "INVALID_TRANSACTION_VALUE_USD"),
    ({"transactionValueUsd": 1e300}, "INVALID_TRANSACTION_VALUE_USD"),
    ({"transactionValueUsd": "9" * 40}, "INVALID_TRANSACTION_VALUE_USD"),
    ({"transactionTime": "yesterday"}, "INVALID_TRANSACTION_TIME"),
    ({"transactionTime": 5}, "INVALID_TRANSACTION_TIME"),
    ({"transactionTime": "0001-01-01T00:00:00+14:00"}, "INVALID_TRANSACTION_TIME"),
    ({"inputMint": "nonsense"}, "INVALID_INPUT_MINT"),
    ({"inputMint": None}, "INVALID_INPUT_MINT"),
    ({"inputSymbol": ""}, "INVALID_INPUT_SYMBOL"),
    ({"inputSymbol": "x" * 21}, "INVALID_INPUT_SYMBOL"),
    ({"inputAmount": 0}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": "-1"}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": "1e400"}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": 10**30}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": "0.1234567890123456789"}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": "NaN"}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": "Infinity"}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": True}, "INVALID_INPUT_AMOUNT"),
    ({"inputAmount": {}}, "INVALID_INPUT_AMOUNT"),
    ({"inputPrice": 10**20}, "INVALID_INPUT_PRICE"),
    ({"signalId": "abc"}, "INVALID_SIGNAL_ID"),
    ({"signalId": 10**30}, "INVALID_SIGNAL_ID"),
    ({"isDca": "no"}, "INVALID_IS_DCA"),
    ({"walletAddress": 5}, "INVALID_WALLET_ADDRESS"),
    ({"walletAddress": "nobody's"}, "WALLET_NOT_FOUND"),
    ({"walletAddress": "a\0"}, "INVALID_WALLET_ADDRESS"),
]


def deposit_body(agent, **changes):
    return {
        "agentId": str(agent.pk),
        "transactionType": "DEPOSIT",
        "transactionValueUsd": "150",
        "transactionTime": "2026-01-01T00:00:00Z",
        "inputMint": SOL_MINT,
        "inputSymbol": "SOL",
        "inputAmount": "1",
        **changes,
    }


@pytest.mark.parametrize(("change", "code"), BAD_DEPOSITS)
def test_a_wrong_deposit_names_the_field_and_books_nothing(api, user, change, code):
    agent = make_agent(user, sol=None)
    answer = api.call("POST", "/agent-transactions", body=json.dumps(deposit_body(agent, **change)).encode())
    assert (answer.status, answer.code) == (400, code), answer
    assert not Transaction.objects.exists()


BAD_BUYS = [
    ({"agentId": "x"}, "INVALID_AGENT_ID"),
    ({"tokenAddress": "x"}, "INVALID_MINT"),
    ({"tokenAddress": ""}, "INVALID_TOKEN_ADDRESS"),
    ({"tokenAddress": 5}, "INVALID_TOKEN_ADDRESS"),
    ({"positionSize": 0}, "INVALID_POSITION_SIZE"),
    ({"positionSize": -1}, "INVALID_POSITION_SIZE"),
    ({"positionSize": "lots"}, "INVALID_POSITION_SIZE"),
    ({"positionSize": 1e300}, "INVALID_POSITION_SIZE"),
    ({"signalId": -1}, "INVALID_SIGNAL_ID"),
    ({"walletAddress": 7}, "INVALID_WALLET_ADDRESS"),
    ({"tokenSymbol": "x" * 51}, "INVALID_TOKEN_SYMBOL"),
]


@pytest.mark.parametrize(("change", "code"), BAD_BUYS)
def test_a_wrong_buy_names_the_field(api, user, change, code):
    body = {"agentId": str(make_agent(user).pk), "tokenAddress": mint_of("BUY"), **change}
    answer = api.call("POST", "/trades/execute", body=json.dumps(body).encode())
    assert (answer.status, answer.code) == (400, code), answer


def test_a_signal_of_somebody_else_cannot_be_named_in_a_buy_or_a_deposit(api, user):
    agent = make_agent(user)
    foreign = TradingSignal.objects.create(
        user=make_user(), token_address=mint_of("F"), signal_type="t", signal_strength=1
    )
    body = {"agentId": str(agent.pk), "tokenAddress": mint_of("BUY"), "signalId": foreign.pk}
    assert api.post("/trades/execute", body).code == "SIGNAL_NOT_FOUND"
    assert api.post("/agent-transactions", deposit_body(agent, signalId=foreign.pk)).code == "SIGNAL_NOT_FOUND"


BAD_QUERIES = [
    ("limit=0", "INVALID_LIMIT"),
    ("limit=-1", "INVALID_LIMIT"),
    ("limit=x", "INVALID_LIMIT"),
    ("limit=1.5", "INVALID_LIMIT"),
    ("limit=" + "9" * 50, "INVALID_LIMIT"),
    ("offset=-1", "INVALID_OFFSET"),
    ("offset=NaN", "INVALID_OFFSET"),
    ("cursor=rubbish", "INVALID_CURSOR"),
    ("cursor=%00", "INVALID_CURSOR"),
    ("cursor=W10", "INVALID_CURSOR"),
]


@pytest.mark.parametrize(("query", "code"), BAD_QUERIES)
@pytest.mark.parametrize(
    "path", ["/trading-signals?", "/agent-transactions?agentId={a}&", "/agent-historical-swaps?agentId={a}&"]
)
def test_a_wrong_page_is_a_400_that_names_it(api, user, path, query, code):
    answer = api.get(path.format(a=make_agent(user).pk) + query)
    assert (answer.status, answer.code) == (400, code), answer


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/trading-signals?startDate=never", "INVALID_START_DATE"),
        ("/trading-signals?endDate=2026-13-01", "INVALID_END_DATE"),
        ("/trading-signals?tokenAddress=%00", "INVALID_TOKEN_ADDRESS"),
        ("/trading-signals/abc", "INVALID_ID"),
        ("/trading-signals/12abc", "INVALID_ID"),
        ("/agent-balances", "INVALID_AGENT_ID"),
        ("/agent-transactions", "INVALID_AGENT_ID"),
        ("/agent-historical-swaps", "INVALID_AGENT_ID"),
        ("/agent-transactions?agentId={a}&transactionType=GIFT", "INVALID_TRANSACTION_TYPE"),
        ("/agent-transactions?agentId={a}&startTime=x", "INVALID_START_TIME"),
        ("/agent-transactions?agentId={a}&signalId=x", "INVALID_SIGNAL_ID"),
        ("/agent-historical-swaps?agentId={a}&minProfitLossUsd=x", "INVALID_MIN_PROFIT_LOSS_USD"),
        ("/agent-historical-swaps?agentId={a}&endSaleTime=x", "INVALID_END_SALE_TIME"),
        ("/agent-historical-swaps?agentId={a}&saleTransactionId=1", "INVALID_SALE_TRANSACTION_ID"),
        ("/agents/{a}/performance?timeframe=week", "INVALID_TIMEFRAME"),
        ("/agents/{a}/balance-history", "INVALID_WALLET_ADDRESS"),
    ],
)
def test_a_wrong_query_names_the_parameter(api, user, path, code):
    answer = api.get(path.format(a=make_agent(user).pk))
    assert (answer.status, answer.code) == (400, code), answer


@pytest.mark.parametrize("nothing", ["", "%20", "%01%1f", "%09%0A%C2%85"])
def test_a_query_parameter_that_shows_nothing_is_an_absent_one(api, user, nothing):
    signal = api.post("/trading-signals", SIGNAL).json
    names = ("limit", "offset", "cursor", "tokenAddress", "startDate", "signalType")
    answer = api.get("/trading-signals?" + "&".join(f"{name}={nothing}" for name in names))
    assert (answer.status, [row["id"] for row in answer.json]) == (200, [signal["id"]])
    assert api.get(f"/agent-balances?agentId={nothing}").code == "INVALID_AGENT_ID"


def test_a_browser_sees_a_page_and_a_script_sees_json():
    operator = make_operator()
    client = Api().client
    client.force_login(operator)
    make_agent(operator, name="Scout")
    page = client.get("/api/v1/agents", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    text = strip_tags(page.content.decode())
    assert re.search(r"^ +&quot;name&quot;: &quot;Scout&quot;,$", text, re.MULTILINE), "a line for each value"
    assert "Soldesk API" in text and "Django REST framework" not in text
    assert client.get("/api/v1/agents").headers["Content-Type"] == "application/json"


def test_an_anonymous_browser_sees_a_page_with_the_refusal():
    page = Api().client.get("/api/v1/agents", headers={"accept": "text/html"})
    assert page.status_code == 401
    assert b"AUTH_HEADER_MISSING" in page.content


def test_a_session_opens_the_api_to_operators_only_and_changes_need_the_csrf_token():
    client = Api().client
    client.force_login(make_user())
    assert client.get("/api/v1/agents").status_code == 401
    from django.test import Client

    strict = Client(headers={"host": "localhost"}, enforce_csrf_checks=True)
    strict.force_login(make_operator())
    assert strict.get("/api/v1/agents").status_code == 200
    response = strict.post("/api/v1/agents", {"name": "Agent"}, content_type="application/json")
    assert response.status_code == 403
    assert response.json()["code"] == "AUTHORIZATION_ERROR"


@pytest.mark.parametrize("accept", ["text/csv", "application/xml", "image/png", "nonsense"])
def test_an_odd_accept_header_gets_json(api, accept):
    answer = api.get("/agents", accept=accept)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"


def test_a_wallet_reset_without_confirmation_says_so(api, user):
    wallet = wallet_of(make_agent(user))
    for body in (None, {}, {"confirm": False}, {"confirm": "true"}, {"confirm": 1}):
        answer = api.post(f"/wallets/{wallet.address}/reset", body)
        assert (answer.status, answer.code) == (400, "CONFIRMATION_REQUIRED")
        assert answer.json["error"] == "Confirmation required"
        assert answer.json["message"]
