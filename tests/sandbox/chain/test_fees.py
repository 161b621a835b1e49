"""What transactions bid, what they are charged for it, and what is told of what landed."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, MessageV1, TransactionConfig, to_bytes_versioned
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.memo.instructions import create_memo
from spl.memo.models import MemoParams

from apps.sandbox.chain.ledger import Ledger
from apps.sandbox.chain.rpc import Rpc

SOL = 10**9


@pytest.fixture
def chain() -> Ledger:
    return Ledger(seed=1, now=1_800_000_000.0)


@pytest.fixture
def alice(chain) -> Keypair:
    alice = Keypair()
    chain.airdrop(alice.pubkey(), 10 * SOL)
    chain.tick(chain.now + 0.4)
    return alice


def ask(chain: Ledger, method: str, *parameters: object) -> Any:
    return Rpc(chain).answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})["result"]


def built(chain: Ledger, payer: Keypair, *steps: Instruction) -> VersionedTransaction:
    message = MessageV0.try_compile(payer.pubkey(), list(steps), [], chain.blockhash("processed")[0])
    return VersionedTransaction(message, [payer])


def paying(alice: Keypair, lamports: int = SOL // 10) -> Instruction:
    return transfer(TransferParams(from_pubkey=alice.pubkey(), to_pubkey=Keypair().pubkey(), lamports=lamports))


@pytest.mark.parametrize(
    ("price", "limit", "memo", "fee"),
    [
        (0, None, False, 5_000),
        (1_000_000, None, False, 11_000),
        (1_000_000, None, True, 211_000),
        (1_234_567, 1_000, False, 6_235),
        (1_000, 10_000_000, False, 6_400),
    ],
)
def test_the_fee_told_before_is_the_fee_charged(chain, alice, price, limit, memo, fee):
    steps = [set_compute_unit_price(price)] if price else []
    steps += [] if limit is None else [set_compute_unit_limit(limit)]
    steps += (
        [create_memo(MemoParams(program_id=MEMO_PROGRAM_ID, signer=alice.pubkey(), message=b"order"))] if memo else []
    )
    bid = built(chain, alice, *steps, paying(alice))
    message = base64.b64encode(to_bytes_versioned(bid.message)).decode()
    assert ask(chain, "getFeeForMessage", message, {"commitment": "processed"})["value"] == fee
    assert chain.landed[chain.submit(bid, preflight=True)].meta["fee"] == fee


def recent(chain: Ledger, *about: Keypair) -> list[int]:
    told = ask(chain, "getRecentPrioritizationFees", [str(each.pubkey()) for each in about])
    assert [each["slot"] for each in told] == list(range(chain.slot - 149, chain.slot + 1))
    return [each["prioritizationFee"] for each in told]


def test_recent_fees_are_the_lowest_that_landed_of_the_accounts_that_were_written(chain, alice):
    bob = Keypair()
    chain.airdrop(bob.pubkey(), SOL)
    chain.tick(chain.now + 0.4)
    for payer, price in ((alice, 900), (alice, 700), (bob, 50)):
        chain.submit(built(chain, payer, set_compute_unit_price(price), paying(payer, SOL // 20)), preflight=True)
    assert recent(chain)[-1] == 50
    assert recent(chain, alice)[-1] == 700
    assert recent(chain, bob)[-1] == 50
    assert recent(chain, Keypair())[-1] == 50
    chain.tick(chain.now + 0.4)
    assert recent(chain, alice)[-2:] == [700, 0]


def test_below_the_floor_nothing_lands_and_above_it_does(chain, alice):
    chain.fees.floor = 5_000
    assert set(recent(chain)) == {5_000}
    low, high = (built(chain, alice, set_compute_unit_price(price), paying(alice)) for price in (4_999, 5_000))
    assert chain.submit(low, preflight=True) == low.signatures[0]
    chain.submit(high, preflight=True)
    assert low.signatures[0] not in chain.landed
    assert high.signatures[0] in chain.landed
    chain.fees.floor = 0
    chain.submit(low, preflight=True)
    assert low.signatures[0] in chain.landed


def test_version_1_lands_and_is_told_with_its_settings(chain, alice):
    message = MessageV1.try_compile(
        alice.pubkey(),
        [paying(alice)],
        chain.blockhash("processed")[0],
        TransactionConfig(priority_fee=1_000, compute_unit_limit=5_000),
    )
    sent = VersionedTransaction(message, [alice])
    assert bytes(sent)[0] == 0x81
    text = base64.b64encode(bytes(sent)).decode()
    signature = ask(chain, "sendTransaction", text, {"encoding": "base64", "preflightCommitment": "processed"})
    config = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 1}
    chain.tick(chain.now + 0.4)
    told = ask(chain, "getTransaction", signature, config)
    assert (told["version"], told["meta"]["err"]) == (1, None)
    assert told["transaction"]["message"]["transactionConfig"]["computeUnitLimit"] == 5_000
    assert "addressTableLookups" not in told["transaction"]["message"]
    refused = Rpc(chain).answer(
        {"id": 1, "method": "getTransaction", "params": [signature, {**config, "maxSupportedTransactionVersion": 0}]}
    )
    assert refused["error"]["code"] == -32015
