"""Each fault, at the source it was switched on for and at no other."""

from __future__ import annotations

import time
from decimal import Decimal

import httpx
import pytest

from tests.desk import wait_until
from tests.sandbox_server import SOL_MINT, SandboxControl

SOL_USD = "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"
SOURCES = ["jupiter_quote", "jupiter_price", "jupiter_tokens", "dexscreener", "pyth"]


def ask(sandbox: SandboxControl, source: str, mint: str, *, timeout: float = 60) -> httpx.Response:
    """Ask one source about one token."""
    paths = {
        "jupiter_quote": f"/jupiter/swap/v2/order?inputMint={mint}&outputMint={SOL_MINT}&amount=1000000000",
        "jupiter_price": f"/jupiter/price/v3?ids={mint},{SOL_MINT}",
        "jupiter_tokens": f"/jupiter/tokens/v2/search?query={mint}",
        "dexscreener": f"/dexscreener/tokens/v1/solana/{mint}",
        "pyth": f"/pyth/v2/updates/price/latest?ids%5B%5D={SOL_USD}",
    }
    return sandbox.client.get(paths[source], timeout=timeout)


@pytest.mark.parametrize("source", SOURCES)
def test_a_fault_meets_its_source_and_no_other(clean_sandbox: SandboxControl, source: str) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault(source, "server_error", status=502)
    statuses = {one: ask(clean_sandbox, one, token.mint).status_code for one in SOURCES}
    assert statuses == {one: 502 if one == source else 200 for one in SOURCES}


@pytest.mark.parametrize("source", SOURCES)
def test_latency_delays_the_answer(clean_sandbox: SandboxControl, source: str) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault(source, "latency", latency_ms=250)
    started = time.monotonic()
    assert ask(clean_sandbox, source, token.mint).status_code == 200
    assert time.monotonic() - started >= 0.25


@pytest.mark.parametrize("source", ["jupiter_quote", "jupiter_price", "jupiter_tokens", "dexscreener"])
def test_a_fault_of_one_token_keeps_no_answer_about_others_back(clean_sandbox: SandboxControl, source: str) -> None:
    slow, other = clean_sandbox.add_token(), clean_sandbox.add_token()
    clean_sandbox.fault(source, "hang", mints=[slow.mint])
    assert ask(clean_sandbox, source, other.mint).status_code == 200
    clean_sandbox.clear_faults()
    clean_sandbox.fault(source, "latency", latency_ms=250, mints=[slow.mint])
    clean_sandbox.fault(source, "server_error", mints=[slow.mint], count=1)
    started = time.monotonic()
    assert ask(clean_sandbox, source, slow.mint).status_code == 503
    assert time.monotonic() - started >= 0.25
    assert ask(clean_sandbox, source, slow.mint).status_code == 200


def test_too_many_requests_in_jupiters_words(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault("jupiter_price", "rate_limit", retry_after_seconds=70)
    answer = ask(clean_sandbox, "jupiter_price", token.mint)
    assert answer.status_code == 429
    assert answer.json() == {"code": 429, "message": "[API Gateway] Too many requests"}
    assert 10 <= int(answer.headers["x-ratelimit-reset"]) - time.time() <= 70
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.headers["x-api-gateway-request-id"]


def test_too_many_requests_elsewhere_carries_no_rate_headers(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault(["dexscreener", "pyth"], "rate_limit")
    for source in ("dexscreener", "pyth"):
        answer = ask(clean_sandbox, source, token.mint)
        assert answer.status_code == 429
        assert not any("ratelimit" in name for name in answer.headers)
        assert answer.headers["content-type"].startswith("text/plain")


def test_server_errors_and_refused_keys_in_each_providers_words(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault(SOURCES, "server_error", count=1)
    assert ask(clean_sandbox, "jupiter_quote", token.mint).json() == {"code": 503, "message": "Service Unavailable"}
    assert ask(clean_sandbox, "pyth", token.mint).text == "Internal server error"
    clean_sandbox.clear_faults()
    clean_sandbox.fault(SOURCES, "unauthorized")
    assert ask(clean_sandbox, "jupiter_price", token.mint).json()["code"] == 401
    refused = ask(clean_sandbox, "pyth", token.mint)
    assert (refused.status_code, refused.text) == (401, "unauthorized")


@pytest.mark.parametrize("source", SOURCES)
def test_a_hang_gives_no_answer_until_it_is_lifted(clean_sandbox: SandboxControl, source: str) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault(source, "hang")
    with pytest.raises(httpx.ReadTimeout):
        ask(clean_sandbox, source, token.mint, timeout=0.4)
    clean_sandbox.clear_faults()
    assert ask(clean_sandbox, source, token.mint).status_code == 200


def test_a_disconnect_drops_the_connection_without_an_answer(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault("jupiter_quote", "disconnect")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(clean_sandbox, "jupiter_quote", token.mint)


def test_null_prices(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault("all", "null_price")
    assert ask(clean_sandbox, "jupiter_price", token.mint).json()[token.mint]["usdPrice"] is None
    assert ask(clean_sandbox, "jupiter_quote", token.mint).json()["outAmount"] is None
    assert ask(clean_sandbox, "jupiter_tokens", token.mint).json()[0]["mcap"] is None
    row = ask(clean_sandbox, "dexscreener", token.mint).json()[0]
    assert (row["priceNative"], row["priceUsd"], row["liquidity"]) == (None, None, None)
    assert ask(clean_sandbox, "pyth", token.mint).json()["parsed"] is None


def test_missing_prices_of_one_token_leave_the_others(clean_sandbox: SandboxControl) -> None:
    gone, other = clean_sandbox.add_tokens(2)
    clean_sandbox.fault(["jupiter_price", "jupiter_tokens", "dexscreener"], "missing_price", mints=[gone.mint])
    prices = clean_sandbox.get("/jupiter/price/v3", ids=f"{gone.mint},{other.mint}").json()
    assert set(prices) == {other.mint}
    assert ask(clean_sandbox, "dexscreener", gone.mint).json() == []
    assert ask(clean_sandbox, "jupiter_tokens", gone.mint).json() == []
    assert ask(clean_sandbox, "dexscreener", other.mint).json() != []


def test_an_absurd_price_is_absurd_in_sol_and_in_dollars_at_one_source_only(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    before = ask(clean_sandbox, "jupiter_price", token.mint).json()
    quoted = int(ask(clean_sandbox, "jupiter_quote", token.mint).json()["outAmount"])
    clean_sandbox.fault("jupiter_price", "absurd_price", factor="0.01")
    after = ask(clean_sandbox, "jupiter_price", token.mint).json()
    assert after[token.mint]["usdPrice"] / before[token.mint]["usdPrice"] == pytest.approx(0.01, rel=0.01)
    assert after[SOL_MINT]["usdPrice"] == pytest.approx(before[SOL_MINT]["usdPrice"], rel=0.01)
    assert Decimal(ask(clean_sandbox, "dexscreener", token.mint).json()[0]["priceNative"]) == token.price_sol
    assert int(ask(clean_sandbox, "jupiter_quote", token.mint).json()["outAmount"]) == quoted


def test_absurd_quotes_and_an_absurd_dollar(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    quoted = int(ask(clean_sandbox, "jupiter_quote", token.mint).json()["outAmount"])
    dollar = int(ask(clean_sandbox, "pyth", token.mint).json()["parsed"][0]["price"]["price"])
    clean_sandbox.fault(["jupiter_quote", "pyth"], "absurd_price", factor=10)
    bent = int(ask(clean_sandbox, "jupiter_quote", token.mint).json()["outAmount"])
    assert bent / quoted == pytest.approx(10, rel=0.01)
    bent_dollar = int(ask(clean_sandbox, "pyth", token.mint).json()["parsed"][0]["price"]["price"])
    assert bent_dollar / dollar == pytest.approx(10, rel=0.01)


def test_a_stale_source_keeps_its_old_price_and_its_old_time(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    block = ask(clean_sandbox, "jupiter_price", token.mint).json()[token.mint]["blockId"]
    clean_sandbox.fault(SOURCES, "stale_price", age_seconds=90)
    clean_sandbox.set_price(token.mint, token.price_sol * 2)
    stale = ask(clean_sandbox, "jupiter_price", token.mint).json()
    ratio = stale[token.mint]["usdPrice"] / stale[SOL_MINT]["usdPrice"]
    assert ratio == pytest.approx(float(token.price_sol))
    assert block - stale[token.mint]["blockId"] >= 200
    assert Decimal(ask(clean_sandbox, "dexscreener", token.mint).json()[0]["priceNative"]) == token.price_sol
    published = ask(clean_sandbox, "pyth", token.mint).json()["parsed"][0]["price"]["publish_time"]
    assert 88 <= time.time() - published <= 150
    clean_sandbox.clear_faults("dexscreener")
    fresh = Decimal(ask(clean_sandbox, "dexscreener", token.mint).json()[0]["priceNative"])
    assert fresh == pytest.approx(token.price_sol * 2)


def test_a_counted_fault_ends_after_its_count(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault("dexscreener", "server_error", count=2)
    statuses = [ask(clean_sandbox, "dexscreener", token.mint).status_code for _ in range(4)]
    assert statuses == [503, 503, 200, 200]
    assert clean_sandbox.state()["faults"] == []


def test_a_timed_fault_ends_after_its_time(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault("dexscreener", "server_error", duration_seconds="1.5")
    assert ask(clean_sandbox, "dexscreener", token.mint).status_code == 503
    wait_until(lambda: ask(clean_sandbox, "dexscreener", token.mint).status_code == 200)


def test_a_fault_of_some_probability_meets_some_requests(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    clean_sandbox.fault("dexscreener", "server_error", probability="0.5")
    statuses = [ask(clean_sandbox, "dexscreener", token.mint).status_code for _ in range(60)]
    assert 10 < statuses.count(503) < 50


def test_faults_are_listed_with_their_hits_and_removed_one_by_one(clean_sandbox: SandboxControl) -> None:
    token = clean_sandbox.add_token()
    slow, dead = clean_sandbox.fault(["dexscreener", "pyth"], "latency", latency_ms=1)
    ask(clean_sandbox, "dexscreener", token.mint)
    listed = {fault["id"]: fault for fault in clean_sandbox.get("/control/faults").json()["faults"]}
    assert (listed[slow]["hits"], listed[dead]["hits"]) == (1, 0)
    assert clean_sandbox.client.delete(f"/control/faults/{slow}").json() == {"removed": 1}
    assert clean_sandbox.client.delete(f"/control/faults/{slow}").status_code == 404
    assert [fault["id"] for fault in clean_sandbox.state()["faults"]] == [dead]


def test_a_delisted_token_has_no_price_and_no_route_until_it_is_listed_again(clean_sandbox: SandboxControl) -> None:
    dead, other = clean_sandbox.add_tokens(2)
    clean_sandbox.fault("all", "delisted", mints=[dead.mint])
    assert clean_sandbox.get("/jupiter/price/v3", ids=f"{dead.mint},{other.mint}").json().keys() == {other.mint}
    assert clean_sandbox.get(f"/dexscreener/tokens/v1/solana/{dead.mint}").json() == []
    assert clean_sandbox.get("/jupiter/tokens/v2/search", query=dead.mint).json() == []
    sale = {"inputMint": dead.mint, "outputMint": SOL_MINT, "amount": 1_000_000}
    refusal = clean_sandbox.get("/jupiter/swap/v2/order", **sale)
    assert refusal.status_code == 400
    assert refusal.json()["errorCode"] == "TOKEN_NOT_TRADABLE"
    assert refusal.json()["error"] == f"The token {dead.mint} is not tradable"
    assert clean_sandbox.order(input_mint=other.mint, output_mint=SOL_MINT, amount=1_000_000)["outAmount"]
    assert clean_sandbox.token_state(dead.mint)["symbol"] == dead.symbol

    clean_sandbox.clear_faults()
    assert clean_sandbox.get("/jupiter/swap/v2/order", **sale).status_code == 200
    assert ask(clean_sandbox, "dexscreener", dead.mint).json()[0]["baseToken"]["address"] == dead.mint
