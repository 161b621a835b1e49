"""DexScreener as the sandbox speaks it: string prices, missing rows, foreign quote tokens."""

from __future__ import annotations

from decimal import Decimal

from tests.sandbox_server import SOL_MINT, SandboxControl

UNLISTED = "Vote111111111111111111111111111111111111111"
USDC_MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


def test_a_row_has_string_prices_and_number_everything_else(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(price_sol="0.000000000066", liquidity_sol=50)
    (row,) = sandbox.get(f"/dexscreener/tokens/v1/solana/{token.mint}").json()
    assert row["chainId"] == "solana"
    assert row["baseToken"] == {"address": token.mint, "name": row["baseToken"]["name"], "symbol": token.symbol}
    assert row["quoteToken"]["address"] == SOL_MINT
    assert row["priceNative"] == "0.000000000066"
    assert abs(
        Decimal(row["priceUsd"]) / Decimal("0.000000000066") / Decimal(sandbox.state()["sol_usd"]) - 1
    ) < Decimal("0.01")
    assert isinstance(row["liquidity"]["usd"], float)
    assert row["liquidity"]["quote"] == 50
    assert isinstance(row["fdv"], int)
    assert row["pairCreatedAt"] > 10**12
    for window in ("m5", "h1", "h6", "h24"):
        assert set(row["txns"][window]) == {"buys", "sells"}
        assert isinstance(row["volume"][window], float)
        assert isinstance(row["priceChange"][window], float)


def test_native_price_and_quote_come_from_one_pool(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(price_sol="0.0000123456")
    (row,) = sandbox.get(f"/dexscreener/tokens/v1/solana/{token.mint}").json()
    assert abs(Decimal(row["priceNative"]) / token.price_sol - 1) < Decimal("1e-14")


def test_unknown_tokens_and_chains_are_simply_missing(sandbox: SandboxControl) -> None:
    token = sandbox.add_token()
    rows = sandbox.get(f"/dexscreener/tokens/v1/solana/{UNLISTED},{token.mint}").json()
    assert [row["baseToken"]["address"] for row in rows] == [token.mint]
    assert sandbox.get(f"/dexscreener/tokens/v1/solana/{UNLISTED}").json() == []
    assert sandbox.get(f"/dexscreener/tokens/v1/base/{token.mint}").json() == []
    assert sandbox.get(f"/dexscreener/latest/dex/tokens/{UNLISTED}").json()["pairs"] is None


def test_thirty_addresses_are_answered_and_more_refused(sandbox: SandboxControl) -> None:
    mints = [token.mint for token in sandbox.add_tokens(31)]
    assert len(sandbox.get(f"/dexscreener/tokens/v1/solana/{','.join(mints[:30])}").json()) == 30
    assert sandbox.get(f"/dexscreener/tokens/v1/solana/{','.join(mints)}").status_code == 400


def test_sol_is_listed_against_the_dollar_so_its_native_price_is_not_in_sol(sandbox: SandboxControl) -> None:
    (row,) = sandbox.get(f"/dexscreener/tokens/v1/solana/{SOL_MINT}").json()
    assert row["baseToken"]["address"] == SOL_MINT
    assert row["quoteToken"]["address"] == USDC_MINT
    assert row["priceNative"] == row["priceUsd"]
    (usdc,) = sandbox.get(f"/dexscreener/tokens/v1/solana/{USDC_MINT}").json()
    assert usdc["baseToken"]["address"] == SOL_MINT


def test_the_main_row_is_one_per_token_and_all_pools_are_listed_on_request(sandbox: SandboxControl) -> None:
    demo = [token["mint"] for token in sandbox.state()["tokens"] if token["is_demo"]]
    rows = sandbox.get(f"/dexscreener/tokens/v1/solana/{','.join(demo)}").json()
    assert [row["baseToken"]["address"] for row in rows] == demo
    pools = {mint: sandbox.get(f"/dexscreener/token-pairs/v1/solana/{mint}").json() for mint in demo}
    assert all(len(rows) in (1, 2) for rows in pools.values())
    second = [rows[1] for rows in pools.values() if len(rows) == 2]
    assert second
    for row in second:
        assert row["quoteToken"]["address"] == USDC_MINT
        assert row["priceNative"] == row["priceUsd"]
        assert row["liquidity"]["usd"] < pools[row["baseToken"]["address"]][0]["liquidity"]["usd"]


def test_pairs_are_found_by_text_and_by_their_own_address(sandbox: SandboxControl) -> None:
    token = sandbox.add_token(prefix="PAIRED")
    (found,) = sandbox.get("/dexscreener/latest/dex/search", q="paired1").json()["pairs"]
    assert found["baseToken"]["address"] == token.mint
    again = sandbox.get(f"/dexscreener/latest/dex/pairs/solana/{found['pairAddress']}").json()["pairs"]
    assert [row["baseToken"]["address"] for row in again] == [token.mint]
    assert sandbox.get("/dexscreener/latest/dex/search", q="no such thing").json()["pairs"] == []
