"""Pyth Hermes as the sandbox speaks it: integer strings with an exponent, ids without 0x, errors in plain text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from json import loads
from typing import Any

import aiohttp
import pytest

from tests.sandbox_server import SandboxControl

SOL_USD = "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"
LATEST = "/pyth/v2/updates/price/latest"


@asynccontextmanager
async def streaming(sandbox: SandboxControl, feed_id: str = SOL_USD) -> AsyncIterator[aiohttp.ClientResponse]:
    url = f"{sandbox.pyth_url}/v2/updates/price/stream?ids%5B%5D={feed_id}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        yield response


async def next_block(response: aiohttp.ClientResponse) -> list[str]:
    """Return the lines of the next event."""
    lines: list[str] = []
    while True:
        line = (await asyncio.wait_for(response.content.readline(), 60)).decode()
        if not line:
            return lines
        if line == "\n" and lines:
            return lines
        if line != "\n":
            lines.append(line.rstrip("\n"))


def only(document: dict[str, Any]) -> dict[str, Any]:
    (row,) = document["parsed"]
    return row


@pytest.mark.parametrize("written", [SOL_USD, "0x" + SOL_USD, SOL_USD.upper()])
def test_the_latest_price_is_an_integer_string_with_an_exponent(sandbox: SandboxControl, written: str) -> None:
    answer = sandbox.get(LATEST, **{"ids[]": written}).json()
    row = only(answer)
    assert row["id"] == SOL_USD
    assert row["price"]["expo"] == -8
    assert isinstance(row["price"]["price"], str)
    assert isinstance(row["price"]["conf"], str)
    assert abs(row["price"]["publish_time"] - time.time()) < 60
    assert set(row["ema_price"]) == set(row["price"])
    assert set(row["metadata"]) == {"slot", "proof_available_time", "prev_publish_time"}
    assert answer["binary"]["encoding"] == "hex"
    bytes.fromhex(answer["binary"]["data"][0])


def test_the_feed_and_the_market_agree_on_the_price_of_sol(sandbox: SandboxControl) -> None:
    sandbox.set_sol_usd("151.25")
    price = only(sandbox.get(LATEST, **{"ids[]": SOL_USD}).json())["price"]
    assert abs(Decimal(price["price"]).scaleb(price["expo"]) / Decimal("151.25") - 1) < Decimal("0.01")


def test_parsed_and_encoding_follow_the_query(sandbox: SandboxControl) -> None:
    answer = sandbox.get(LATEST, **{"ids[]": SOL_USD, "parsed": "false", "encoding": "base64"}).json()
    assert answer["parsed"] is None
    assert answer["binary"]["encoding"] == "base64"


def test_an_unknown_feed_is_a_404_in_plain_text_unless_ignored(sandbox: SandboxControl) -> None:
    unknown = "ab" * 32
    answer = sandbox.get(LATEST, **{"ids[]": [SOL_USD, unknown]})
    assert answer.status_code == 404
    assert answer.text == f"Price ids not found: 0x{unknown}"
    assert answer.headers["content-type"].startswith("text/plain")
    tolerant = sandbox.get(LATEST, **{"ids[]": [SOL_USD, unknown], "ignore_invalid_price_ids": "true"})
    assert only(tolerant.json())["id"] == SOL_USD


@pytest.mark.parametrize("query", [{}, {"ids[]": "xyz"}, {"ids[]": "ab" * 31}, {"ids[]": SOL_USD, "encoding": "morse"}])
def test_a_malformed_query_is_a_400_in_plain_text(sandbox: SandboxControl, query: dict[str, str]) -> None:
    answer = sandbox.get(LATEST, **query)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")


def test_feeds_are_listed_by_text(sandbox: SandboxControl) -> None:
    rows = sandbox.get("/pyth/v2/price_feeds", query="sol", asset_type="crypto").json()
    assert {row["id"]: row["attributes"]["symbol"] for row in rows}[SOL_USD] == "Crypto.SOL/USD"
    assert sandbox.get("/pyth/v2/price_feeds", query="sol", asset_type="fx").json() == []


async def test_the_stream_sends_one_data_line_per_move(sandbox: SandboxControl) -> None:
    async with streaming(sandbox) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        for _ in range(3):
            (line,) = await next_block(response)
            assert line.startswith("data:{")
            assert only(loads(line.removeprefix("data:")))["id"] == SOL_USD


async def test_an_outage_ends_open_streams_with_an_error_event(clean_sandbox: SandboxControl) -> None:
    async with streaming(clean_sandbox) as response:
        await next_block(response)
        await asyncio.to_thread(clean_sandbox.fault, "pyth", "server_error")
        block: list[str] = []
        while not block or block[0].startswith("data:"):
            block = await next_block(response)
        assert block[0] == "event: error"
        assert not block[1].removeprefix("data: ").startswith("{")
        assert await asyncio.wait_for(response.content.read(), 60) == b""


async def test_a_hanging_stream_stays_open_and_silent(clean_sandbox: SandboxControl) -> None:
    async with streaming(clean_sandbox) as response:
        await next_block(response)
        await asyncio.to_thread(clean_sandbox.fault, "pyth", "hang")
        with pytest.raises(TimeoutError):
            while True:
                await asyncio.wait_for(next_block(response), 1.5)
        await asyncio.to_thread(clean_sandbox.clear_faults)
        assert (await next_block(response))[0].startswith("data:")
