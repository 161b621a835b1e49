"""Jupiter as the sandbox speaks it: strings for amounts, numbers for prices, nothing at all for what is not known."""

from __future__ import annotations

import uuid
from decimal import Decimal
from json import loads

import pytest

from apps.sandbox.domain import base58
from tests.sandbox_server import SOL_MINT, SandboxControl

UNLISTED = "Vote111111111111111111111111111111111111111"
ORDER = "/jupiter/swap/v2/order"


def exact(sandbox: SandboxControl, path: str, **params: object) -> object:
    """Return the answer with its numbers as exact decimals."""
    return loads(sandbox.get(path, **params).text, parse_float=Decimal)


# Swap V2


def test_a_buy_quote_has_every_field_in_its_documented_type(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(decimals=9)
    order = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=500_000_000)
    uuid.UUID(order["requestId"])
    for name in ("inAmount", "outAmount", "otherAmountThreshold"):
        assert isinstance(order[name], str)
        assert order[name].isdigit()
    assert (order["inputMint"], order["outputMint"]) == (SOL_MINT, token.mint)
    assert order["inAmount"] == "500000000"
    assert order["swapMode"] == "ExactIn"
    assert (order["mode"], order["router"], order["swapType"]) == ("ultra", "metis", "aggregator")
    assert isinstance(order["slippageBps"], int)
    assert isinstance(order["priceImpactPct"], str)
    assert isinstance(order["priceImpact"], float)
    assert isinstance(order["inUsdValue"], float)
    assert order["swapUsdValue"] == order["inUsdValue"]
    assert isinstance(order["totalTime"], float)
    assert order["gasless"] is False
    for name in ("signatureFeeLamports", "prioritizationFeeLamports", "rentFeeLamports"):
        assert order[name] == 0
    for name in ("taker", "transaction", "signatureFeePayer", "prioritizationFeePayer", "rentFeePayer"):
        assert order[name] is None
    assert "errorCode" not in order
    assert "lastValidBlockHeight" not in order
    (hop,) = order["routePlan"]
    assert (hop["percent"], hop["bps"]) == (100, 10_000)
    assert base58.is_key(hop["swapInfo"]["ammKey"])
    assert hop["swapInfo"]["outAmount"] == order["outAmount"]


def test_the_protocol_fee_is_in_sol_on_both_sides(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    buy = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=1_000_000_000)
    assert buy["feeMint"] == SOL_MINT
    assert buy["feeBps"] == 10
    assert buy["platformFee"] == {"amount": "1000000", "feeBps": 10, "feeMint": SOL_MINT}
    assert buy["routePlan"][0]["swapInfo"]["inAmount"] == "999000000"
    sale = sandbox.order(input_mint=token.mint, output_mint=SOL_MINT, amount=int(buy["outAmount"]))
    assert sale["platformFee"] == {"amount": str(int(sale["outAmount"]) // 1_000), "feeBps": 10, "feeMint": SOL_MINT}
    assert sale["routePlan"][0]["swapInfo"]["outAmount"] == sale["outAmount"]


def test_the_output_is_the_pools_to_the_last_unit(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(liquidity_sol=300)
    pool = sandbox.token_state(token.mint)["pool"]
    base, sol, fee_bps = int(pool["base_reserve"]), int(pool["sol_reserve"]), pool["fee_bps"]
    after_fees = (700_000_000 - 700_000) * (10_000 - fee_bps)
    order = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=700_000_000)
    assert int(order["outAmount"]) == base * after_fees // (sol * 10_000 + after_fees)


def test_price_impact_is_in_percentage_points_and_a_loss_is_negative(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(liquidity_sol=100)
    order = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=10_000_000_000)
    fraction = Decimal(order["priceImpactPct"])
    assert Decimal("-0.11") < fraction < Decimal("-0.09")
    assert order["priceImpact"] == pytest.approx(float(fraction * 100))
    assert order["outUsdValue"] / order["inUsdValue"] - 1 == pytest.approx(float(fraction), rel=1e-6)


def test_the_threshold_is_the_output_less_the_slippage_that_was_asked_for(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    order = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=10**9, slippageBps=100)
    assert order["slippageBps"] == 100
    assert int(order["otherAmountThreshold"]) == -(-int(order["outAmount"]) * 99 // 100)


def test_quotes_do_not_move_the_pool(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    first, second = (
        sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=50 * 10**9)["outAmount"] for _ in range(2)
    )
    assert first == second


def test_sol_sells_for_dollars_at_the_reported_price(sandbox: SandboxControl) -> None:
    usdc = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    order = sandbox.order(input_mint=SOL_MINT, output_mint=usdc, amount=10**9)
    assert int(order["outAmount"]) / 10**6 == pytest.approx(sandbox.state()["sol_usd"], rel=0.01)


def test_with_a_taker_the_quote_says_it_cannot_be_built(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    order = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=10**9, taker=UNLISTED)
    assert order["taker"] == UNLISTED
    assert order["transaction"] == ""
    assert isinstance(order["errorCode"], int)
    assert order["errorMessage"]


def test_an_unlisted_mint_is_not_tradable(sandbox: SandboxControl) -> None:
    answer = sandbox.get(ORDER, inputMint=SOL_MINT, outputMint=UNLISTED, amount=10**9)
    assert answer.status_code == 400
    assert answer.json()["errorCode"] == "TOKEN_NOT_TRADABLE"
    assert answer.json()["error"] == f"The token {UNLISTED} is not tradable"
    assert answer.json()["requestId"]
    assert answer.headers["x-api-gateway-request-id"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"amount": "0"}, "Invalid amount"),
        ({"amount": "-5"}, "Invalid amount"),
        ({"amount": "1.5"}, "Invalid amount"),
        ({"amount": "١٢"}, "Invalid amount"),
        ({"amount": str(2**64)}, "Invalid amount"),
        ({"amount": None}, "Invalid amount"),
        ({"inputMint": "sol"}, "Invalid inputMint"),
        ({"outputMint": "0" * 44}, "Invalid outputMint"),
        ({"slippageBps": "10001"}, "Invalid slippageBps"),
        ({"swapMode": "ExactOut"}, "Invalid swapMode"),
        ({"taker": "me"}, "Invalid taker"),
        ({"outputMint": SOL_MINT}, "Input and output mints are not allowed to be equal"),
    ],
)
def test_a_bad_order_is_refused_with_its_reason(sandbox: SandboxControl, change: dict[str, str], error: str) -> None:
    query = {"inputMint": SOL_MINT, "outputMint": UNLISTED, "amount": "1000000", **change}
    answer = sandbox.get(ORDER, **{name: value for name, value in query.items() if value is not None})
    assert answer.status_code == 400
    assert answer.json()["error"] == error


# Price V3


def test_prices_are_numbers_keyed_by_mint_and_the_unknown_is_left_out(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(price_sol="0.000000000066", liquidity_sol=50, decimals=6)
    answer = sandbox.get("/jupiter/price/v3", ids=f"{SOL_MINT},{token.mint},{UNLISTED},nonsense")
    assert set(answer.json()) == {SOL_MINT, token.mint}
    row = answer.json()[token.mint]
    assert set(row) == {"usdPrice", "blockId", "decimals", "priceChange24h", "liquidity", "createdAt"}
    assert isinstance(row["usdPrice"], float)
    assert isinstance(row["blockId"], int)
    assert row["decimals"] == 6
    assert row["createdAt"].endswith("Z")
    assert row["liquidity"] == pytest.approx(2 * 50 * sandbox.state()["sol_usd"], rel=0.01)


def test_a_tokens_price_over_sols_of_one_answer_is_the_pools_price(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(price_sol="0.0000123456")
    prices = exact(sandbox, "/jupiter/price/v3", ids=f"{token.mint},{SOL_MINT}")
    assert isinstance(prices, dict)
    ratio = prices[token.mint]["usdPrice"] / prices[SOL_MINT]["usdPrice"]
    assert abs(ratio / token.price_sol - 1) < Decimal("1e-14")


def test_more_than_fifty_ids_are_refused(sandbox: SandboxControl) -> None:
    answer = sandbox.get("/jupiter/price/v3", ids=",".join([SOL_MINT] * 51))
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert sandbox.get("/jupiter/price/v3").status_code == 400


# Tokens V2


def test_a_token_is_found_by_its_mint_with_audit_and_windows(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(decimals=8)
    (row,) = sandbox.get("/jupiter/tokens/v2/search", query=token.mint).json()
    assert row["id"] == token.mint
    assert row["symbol"] == token.symbol
    assert row["decimals"] == 8
    assert base58.is_key(row["dev"])
    assert base58.is_key(row["firstPool"]["id"])
    assert isinstance(row["holderCount"], int)
    assert row["mcap"] == pytest.approx(row["usdPrice"] * row["circSupply"], rel=1e-6)
    assert isinstance(row["audit"]["mintAuthorityDisabled"], bool)
    assert 0 <= row["audit"]["topHoldersPercentage"] <= 100
    assert row["organicScoreLabel"] in ("low", "medium", "high")
    for window in ("stats5m", "stats1h", "stats6h", "stats24h"):
        assert {"priceChange", "buyVolume", "sellVolume", "numBuys", "numSells", "numTraders"} <= set(row[window])
    assert ("mintAuthority" in row) is not row["audit"]["mintAuthorityDisabled"]


def test_several_mints_are_found_at_once_and_the_unknown_is_left_out(sandbox: SandboxControl) -> None:
    tokens = sandbox.add_tokens(3)
    query = ",".join([token.mint for token in tokens] + [UNLISTED, SOL_MINT])
    found = [row["id"] for row in sandbox.get("/jupiter/tokens/v2/search", query=query).json()]
    assert found == [token.mint for token in tokens] + [SOL_MINT]


def test_text_finds_symbols_and_names_exact_ones_first(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(prefix="FINDME")
    rows = sandbox.get("/jupiter/tokens/v2/search", query="findme1").json()
    assert rows[0]["id"] == token.mint
    assert sandbox.get("/jupiter/tokens/v2/search", query="no such thing").json() == []
    assert sandbox.get("/jupiter/tokens/v2/search").status_code == 400


def test_tags_rankings_and_recent_answer_arrays(sandbox: SandboxControl) -> None:
    assert all("verified" in row["tags"] for row in sandbox.get("/jupiter/tokens/v2/tag", query="verified").json())
    assert sandbox.get("/jupiter/tokens/v2/tag", query="nonsense").status_code == 400
    assert len(sandbox.get("/jupiter/tokens/v2/toptraded/5m", limit=5).json()) == 5
    assert sandbox.get("/jupiter/tokens/v2/toptraded/7m").status_code == 400
    created = [row["firstPool"]["createdAt"] for row in sandbox.get("/jupiter/tokens/v2/recent").json()]
    assert created == sorted(created, reverse=True)
    assert len(created) <= 30


def test_a_rugged_token_is_flagged(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    assert "isSus" not in sandbox.get("/jupiter/tokens/v2/search", query=token.mint).json()[0]["audit"]
    sandbox.scenario("rug", mint=token.mint, seconds=0.02)
    sandbox.wait_for_scenario(token.mint, "rugged")
    row = sandbox.get("/jupiter/tokens/v2/search", query=token.mint).json()[0]
    assert row["audit"]["isSus"] is True
    assert row["liquidity"] < 0.02 * 2 * 5_000 * sandbox.state()["sol_usd"]
