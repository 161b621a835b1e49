"""The fixture others build on: two nodes that agree, money to begin with, and a kill that loses nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tests.chain_market import SOL, ChainMarket, running_chain_market


def ask(url: str, method: str, *params: object) -> Any:
    answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, trust_env=False)
    return answer.json()["result"]


def test_both_nodes_tell_the_same_chain(chain_market: ChainMarket):
    alice = Keypair().pubkey()
    chain_market.airdrop(alice, 3 * SOL)
    balances = [
        ask(url, "getBalance", str(alice), {"commitment": "confirmed"})["value"] for url in chain_market.rpc_urls
    ]
    assert balances == [3 * SOL, 3 * SOL]
    first, second = (ask(url, "getGenesisHash") for url in chain_market.rpc_urls)
    assert first == second


def test_slots_pass_by_themselves_and_on_demand(chain_market: ChainMarket):
    slot = chain_market.ledger.slot
    chain_market.until(lambda: chain_market.ledger.slot > slot + 3 or None, "slots")
    slot = chain_market.ledger.slot
    chain_market.pass_slots(100)
    assert chain_market.ledger.slot >= slot + 100


def test_the_market_is_there_too(chain_market: ChainMarket):
    token = chain_market.control.add_token()
    assert chain_market.control.price_of(token.mint) == token.price_sol


def test_a_kill_loses_nothing_and_keeps_the_addresses():
    with running_chain_market() as market:
        alice = Keypair().pubkey()
        signature = market.airdrop(alice, 2 * SOL)
        urls, slot = market.rpc_urls, market.ledger.slot
        token = market.control.add_token()
        price = market.control.set_price(token.mint, "0.0123")
        blockhash = ask(urls[0], "getLatestBlockhash", {"commitment": "confirmed"})["value"]["blockhash"]
        market.restart()
        assert market.rpc_urls == urls
        assert market.balance(alice) == 2 * SOL
        assert market.ledger.slot >= slot
        assert ask(urls[1], "isBlockhashValid", blockhash, {"commitment": "processed"})["value"]
        (status,) = ask(urls[1], "getSignatureStatuses", [str(signature)])["value"]
        assert status["err"] is None
        assert market.faults.active() == []
        assert market.control.price_of(token.mint) == price


def test_a_killed_chain_answers_nobody():
    with running_chain_market() as market:
        market.kill()
        with pytest.raises(httpx.ConnectError):
            ask(market.rpc_urls[0], "getSlot")
        market.start()
        assert ask(market.rpc_urls[0], "getHealth") == "ok"


def test_a_port_that_is_taken_is_said_and_leaves_nothing_behind(tmp_path):
    with running_chain_market() as market:
        second = ChainMarket(tmp_path)
        second._options = replace(second._options, rpc_port=market.runtime.chain.port)
        with pytest.raises(OSError, match="address already in use"):
            second.start()
        second.close()
        assert ask(market.rpc_urls[0], "getHealth") == "ok"
