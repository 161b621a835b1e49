"""The control API: what it does is seen at every provider, what it refuses is coded and changes nothing."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.desk import wait_until
from tests.sandbox_server import SOL_MINT, SandboxControl


def prices_everywhere(sandbox: SandboxControl, mint: str) -> dict[str, Decimal]:
    """Return the SOL price of a token as each provider gives it; the quote's is that of a dust-sized sale."""
    jupiter = sandbox.get("/jupiter/price/v3", ids=f"{mint},{SOL_MINT}").json()
    (pair,) = sandbox.get(f"/dexscreener/tokens/v1/solana/{mint}").json()
    (found,) = sandbox.get("/jupiter/tokens/v2/search", query=mint).json()
    quote = sandbox.order(input_mint=mint, output_mint=SOL_MINT, amount=10_000_000)
    sol_usd = Decimal(str(jupiter[SOL_MINT]["usdPrice"]))
    return {
        "jupiter_price": Decimal(str(jupiter[mint]["usdPrice"])) / sol_usd,
        "jupiter_tokens": Decimal(str(found["usdPrice"])) / sol_usd,
        "jupiter_quote": Decimal(quote["outAmount"]) / 10**9 / 10,
        "dexscreener": Decimal(pair["priceNative"]),
    }


def refused(sandbox: SandboxControl, path: str, body: Any, **options: Any) -> httpx.Response:
    return sandbox.client.post(path, **({"json": body} | options))


# Prices


def test_a_price_that_is_set_is_seen_at_every_provider(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    sandbox.set_price(token.mint, "0.00123")
    for source, price in prices_everywhere(sandbox, token.mint).items():
        assert abs(price / Decimal("0.00123") - 1) < Decimal("0.005"), source


@pytest.mark.parametrize(("name", "least", "most"), [("gap", 0.30, 0.50), ("crash", 0.20, 0.40), ("rug", 0.02, 0.04)])
def test_a_real_fall_is_real_at_every_provider(sandbox: SandboxControl, name: str, least: float, most: float) -> None:
    token = sandbox.add_token()
    sandbox.scenario(name, mint=token.mint, **({} if name == "gap" else {"seconds": 1}))
    sandbox.wait_for_scenario(token.mint, "rugged" if name == "rug" else "still")
    for source, price in prices_everywhere(sandbox, token.mint).items():
        assert least * 0.98 <= price / token.price_sol <= most, source


def test_a_price_in_dollars_is_turned_into_sol(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    sandbox.post("/control/price", {"mint": token.mint, "price_usd": "0.01"})
    row = sandbox.get("/jupiter/price/v3", ids=token.mint).json()[token.mint]
    assert row["usdPrice"] == pytest.approx(0.01, rel=0.005)


# Tokens


def test_forty_tokens_are_listed_at_once_and_stand_still(sandbox: SandboxControl) -> None:
    tokens = sandbox.add_tokens(40, prefix="BENCH", scenario="still")
    assert [token.symbol for token in tokens] == [f"BENCH{number}" for number in range(1, 41)]
    assert len({token.mint for token in tokens}) == 40
    time.sleep(1.1)
    state = {token["mint"]: token for token in sandbox.state()["tokens"]}
    assert all(Decimal(state[token.mint]["price_sol"]) == token.price_sol for token in tokens)


def test_listing_a_group_again_gives_the_same_mints_back_at_their_launch_price(sandbox: SandboxControl) -> None:
    first = sandbox.add_tokens(2, prefix="AGAIN")
    sandbox.set_price(first[0].mint, "0.5")
    assert sandbox.add_tokens(2, prefix="AGAIN") == first
    assert sandbox.price_of(first[0].mint) == first[0].price_sol


def test_a_calm_added_token_walks(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(scenario="calm")
    wait_until(lambda: sandbox.price_of(token.mint) != token.price_sol)


# Scenarios


def test_all_means_the_demo_market(sandbox: SandboxControl) -> None:
    mine = sandbox.add_token()
    started = sandbox.scenario("still", all=True)
    try:
        demo = {token["mint"] for token in sandbox.state()["tokens"] if token["is_demo"]}
        assert {entry["mint"] for entry in started} == demo
        assert mine.mint not in demo
    finally:
        sandbox.scenario("calm", all=True)


def test_a_scenario_can_be_started_by_symbol_and_for_several_mints(sandbox: SandboxControl) -> None:
    first, second = sandbox.add_tokens(2)
    assert sandbox.scenario("pump", symbol=first.symbol.lower())[0]["mint"] == first.mint
    started = sandbox.scenario("crash", mints=[first.mint, second.mint], change_percent=65)
    assert [entry["change_percent"] for entry in started] == [-65, -65]


# Signals


def test_the_signal_source_says_that_it_is_off(sandbox: SandboxControl) -> None:
    state = sandbox.state()["signals"]
    assert state["enabled"] is False
    assert state["status"] == "paused"


# Refusals


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        ("price", {"mint": "MINT"}, "REQUIRED_FIELD", "price_sol"),
        ("price", {"price_sol": 1}, "REQUIRED_FIELD", "mint"),
        ("price", {"mint": "MINT", "price_sol": "abc"}, "INVALID_FIELD", "price_sol"),
        ("price", {"mint": "MINT", "price_sol": -1}, "INVALID_FIELD", "price_sol"),
        ("price", {"mint": "MINT", "price_sol": True}, "INVALID_FIELD", "price_sol"),
        ("price", {"mint": "MINT", "price_sol": "NaN"}, "INVALID_FIELD", "price_sol"),
        ("price", {"mint": "MINT", "price_sol": "1e-18"}, "PRICE_OUT_OF_RANGE", "price_sol"),
        ("price", {"mint": "MINT", "price_sol": 1, "price_usd": 1}, "REQUIRED_FIELD", "price_sol"),
        ("price", {"mint": SOL_MINT, "price_sol": 1}, "INVALID_FIELD", "price_usd"),
        ("price", {"mint": "MINT", "price_sol": 1, "cluck": 1}, "UNKNOWN_FIELD", "cluck"),
        ("scenarios", {"mint": "MINT"}, "REQUIRED_FIELD", "scenario"),
        ("scenarios", {"mint": "MINT", "scenario": "moon"}, "INVALID_FIELD", "scenario"),
        ("scenarios", {"mint": "MINT", "scenario": "path"}, "INVALID_FIELD", "scenario"),
        ("scenarios", {"mint": "MINT", "scenario": "flash_crash", "seconds": 5}, "UNKNOWN_FIELD", "seconds"),
        ("scenarios", {"mint": "MINT", "scenario": "flash_crash", "speed": -1}, "INVALID_FIELD", "speed"),
        ("scenarios", {"mint": "MINT", "scenario": "crash", "change_percent": 100}, "INVALID_FIELD", "change_percent"),
        ("scenarios", {"mint": "MINT", "scenario": "calm", "change_percent": 5}, "UNKNOWN_FIELD", "change_percent"),
        ("scenarios", {"scenario": "crash"}, "REQUIRED_FIELD", "mint"),
        ("scenarios", {"mint": SOL_MINT, "scenario": "crash"}, "INVALID_FIELD", "mint"),
        ("tokens", {"count": 0}, "INVALID_FIELD", "count"),
        ("tokens", {"count": 501}, "INVALID_FIELD", "count"),
        ("tokens", {"count": "3"}, "INVALID_FIELD", "count"),
        ("tokens", {"prefix": "<b>"}, "INVALID_FIELD", "prefix"),
        ("tokens", {"decimals": 13}, "INVALID_FIELD", "decimals"),
        ("tokens", {"price_sol": "1e-18", "decimals": 12}, "POOL_OUT_OF_RANGE", "liquidity_sol"),
        ("tokens", {"scenario": "crash"}, "INVALID_FIELD", "scenario"),
        ("faults", {"kind": "latency"}, "REQUIRED_FIELD", "source"),
        ("faults", {"source": "moon", "kind": "latency"}, "INVALID_FIELD", "source"),
        ("faults", {"source": "pyth", "kind": "moon"}, "INVALID_FIELD", "kind"),
        ("faults", {"source": "pyth", "kind": "latency", "probability": 2}, "INVALID_FIELD", "probability"),
        ("faults", {"source": "pyth", "kind": "server_error", "status": 404}, "INVALID_FIELD", "status"),
        ("signals", {"enabled": "yes"}, "INVALID_FIELD", "enabled"),
        ("signals", {"interval_seconds": 0}, "INVALID_FIELD", "interval_seconds"),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(
    sandbox: SandboxControl, path: str, body: dict[str, Any], code: str, field: str
) -> None:
    token = sandbox.add_tokens(1, prefix="REFUSED")[0]
    before = sandbox.token_state(token.mint)
    sent = {name: token.mint if value == "MINT" else value for name, value in body.items()}
    answer = refused(sandbox, f"/control/{path}", sent)
    assert answer.status_code == 400
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert answer.json()["message"]
    assert sandbox.token_state(token.mint)["pool"] == before["pool"]
    assert sandbox.state()["faults"] == []


@pytest.mark.parametrize("content", ["{", "[1]", "nonsense", '{"count": NaN}', "[" * 5_000])
def test_what_is_not_a_json_object_is_refused(sandbox: SandboxControl, content: str) -> None:
    answer = refused(sandbox, "/control/tokens", None, content=content, json=None)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_JSON"


def test_an_unknown_token_is_a_404(sandbox: SandboxControl) -> None:
    for body in ({"mint": "nosuch", "price_sol": 1}, {"symbol": "nosuch", "price_sol": 1}):
        answer = refused(sandbox, "/control/price", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_TOKEN")


def test_a_page_of_another_origin_may_look_but_not_steer(sandbox: SandboxControl) -> None:
    foreign = {"Origin": "https://elsewhere.example"}
    answer = refused(sandbox, "/control/reset", {}, headers=foreign)
    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_ORIGIN")
    own = refused(sandbox, "/control/market", {}, headers={"Origin": sandbox.base_url})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
