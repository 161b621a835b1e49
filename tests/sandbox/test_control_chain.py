"""The chain and its nodes steered from outside, as a person or a test in another process does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tests.chain_market import ChainMarket
from tests.sandbox.chain.wallet import CONFIRMED, ask, post

PAUPER = str(Keypair().pubkey())


def answered(
    market: ChainMarket, path: str, body: dict[str, Any] | None = None, method: str = "POST"
) -> httpx.Response:
    return market.control.client.request(method, f"/control{path}", json=body)


def test_the_state_tells_of_the_chain_and_of_both_nodes(chain_market: ChainMarket):
    told = chain_market.control.state()["chain"]
    assert {"slot", "height", "transactions", "fee_floor", "last"} <= set(told)
    assert told["height"] < told["slot"]
    assert tuple(node["rpc"] for node in told["nodes"]) == chain_market.rpc_urls
    assert tuple(node["websocket"] for node in told["nodes"]) == chain_market.ws_urls


def test_an_airdrop_pays_and_is_listed_first(chain_market: ChainMarket):
    alice = Keypair().pubkey()
    signature = answered(chain_market, "/chain/airdrop", {"address": str(alice), "sol": "2.5"}).json()["signature"]
    row = answered(chain_market, "/chain", method="GET").json()["last"][0]
    assert (row["signature"], row["what"], row["payer"]) == (signature, "airdrop", "faucet")
    assert chain_market.balance(alice, "processed") == 2_500_000_000


def test_a_fault_of_a_node_is_steered_like_any_other(chain_market: ChainMarket):
    body = {"source": "node_1", "kind": "rate_limit", "methods": ["getSlot"], "retry_after_seconds": 7}
    (fault,) = answered(chain_market, "/faults", body).json()["faults"]
    assert (fault["source"], fault["methods"], fault["retry_after_seconds"]) == ("node_1", ["getSlot"], 7)
    refused = post(chain_market.rpc_urls[0], "getSlot")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert [each["hits"] for each in chain_market.control.state()["faults"]] == [1]
    assert answered(chain_market, f"/faults/{fault['id']}", method="DELETE").json() == {"removed": 1}
    assert ask(chain_market.rpc_urls[0], "getSlot") > 0


def test_faults_of_nodes_and_of_providers_share_their_numbers_and_end_together(chain_market: ChainMarket):
    numbers = [
        fault["id"]
        for body in ({"source": "nodes", "kind": "html"}, {"source": "pyth", "kind": "hang"})
        for fault in answered(chain_market, "/faults", body).json()["faults"]
    ]
    assert len(set(numbers)) == len(numbers) == 3
    assert answered(chain_market, "/faults?source=node_2", method="DELETE").json() == {"removed": 1}
    assert answered(chain_market, "/faults", method="DELETE").json() == {"removed": 2}
    assert chain_market.control.state()["faults"] == []


def test_a_reset_ends_faults_of_nodes_too(chain_market: ChainMarket):
    answered(chain_market, "/faults", {"source": "nodes", "kind": "unhealthy"})
    answered(chain_market, "/reset", {})
    assert ask(chain_market.rpc_urls[1], "getSlot") > 0


def test_slots_pass_on_demand(chain_market: ChainMarket):
    before = ask(chain_market.rpc_urls[0], "getBlockHeight", CONFIRMED)
    answered(chain_market, "/chain/slots", {"count": 200})
    assert ask(chain_market.rpc_urls[1], "getBlockHeight", CONFIRMED) >= before + 190


def test_a_floor_of_fees_is_told_by_the_nodes(chain_market: ChainMarket):
    assert answered(chain_market, "/chain/fees", {"floor": 40_000}).json() == {"floor": 40_000}
    assert {each["prioritizationFee"] for each in ask(chain_market.rpc_urls[0], "getRecentPrioritizationFees")} == {
        40_000
    }
    answered(chain_market, "/chain/fees", {"floor": 0})


def test_a_fork_takes_back_a_transaction_once(chain_market: ChainMarket):
    alice = Keypair().pubkey()
    signature = answered(chain_market, "/chain/airdrop", {"address": str(alice), "sol": 1}).json()["signature"]
    assert signature in answered(chain_market, "/chain/fork", {"signature": signature}).json()["taken_back"]
    assert chain_market.balance(alice, "processed") == 0
    again = answered(chain_market, "/chain/fork", {"signature": signature})
    assert (again.status_code, again.json()["code"]) == (409, "NOT_PENDING")


def test_a_storm_names_at_most_one_liar(chain_market: ChainMarket):
    faults = answered(chain_market, "/chain/storm", {"seed": 3, "rate": "0.2", "liar": "node_2"}).json()["faults"]
    assert {fault["source"] for fault in faults if fault["kind"] == "lying"} == {"node_2"}


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        ("/faults", {"source": "node_3", "kind": "hang"}, "INVALID_FIELD", "source"),
        ("/faults", {"source": ["node_1", "pyth"], "kind": "hang"}, "INVALID_FIELD", "source"),
        ("/faults", {"source": "node_1", "kind": "null_price"}, "INVALID_FIELD", "kind"),
        ("/faults", {"source": "node_1", "kind": "hang", "methods": ["getMoon"]}, "INVALID_FIELD", "methods"),
        ("/faults", {"source": "node_1", "kind": "lying", "signatures": ["x"]}, "INVALID_FIELD", "signatures"),
        ("/faults", {"source": "node_1", "kind": "lying", "says": "maybe"}, "INVALID_FIELD", "says"),
        ("/faults", {"source": "pyth", "kind": "hang", "methods": ["getSlot"]}, "UNKNOWN_FIELD", "methods"),
        ("/chain/airdrop", {}, "REQUIRED_FIELD", "address"),
        ("/chain/airdrop", {"address": "moon"}, "INVALID_FIELD", "address"),
        ("/chain/airdrop", {"address": "1" * 32, "sol": -1}, "INVALID_FIELD", "sol"),
        ("/chain/airdrop", {"address": PAUPER, "sol": "0.000000001"}, "NOT_TAKEN", "sol"),
        ("/chain/fork", {}, "REQUIRED_FIELD", "signature"),
        ("/chain/fork", {"signature": "moon"}, "NOT_PENDING", "signature"),
        ("/chain/slots", {"count": 0}, "INVALID_FIELD", "count"),
        ("/chain/fees", {}, "REQUIRED_FIELD", "floor"),
        ("/chain/storm", {"liar": "pyth"}, "INVALID_FIELD", "liar"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field_and_changes_nothing(chain_market, path, body, code, field):
    landed = len(chain_market.ledger.landed)
    refused = answered(chain_market, path, body)
    assert refused.status_code in (400, 409)
    assert (refused.json()["code"], refused.json()["field"]) == (code, field)
    assert chain_market.control.state()["faults"] == []
    assert len(chain_market.ledger.landed) == landed
