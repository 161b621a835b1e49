"""The rules of the chain: slots and heights, blockhashes that expire, commitments that lag, fees, what lands."""

from __future__ import annotations

import base64

import pytest
from solders.compute_budget import set_compute_unit_price
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.token import instructions as spl
from spl.token.constants import TOKEN_PROGRAM_ID, WRAPPED_SOL_MINT
from spl.token.models import CloseAccountParams, SyncNativeParams

from apps.sandbox.chain import accounts
from apps.sandbox.chain.ledger import FINALIZED_AFTER, SKIPPED_EVERY, VALID_BLOCKS, Ledger
from apps.sandbox.chain.refused import Refused
from apps.sandbox.chain.rpc import Rpc

SOL = 10**9
FEE = 5_000


@pytest.fixture
def chain() -> Ledger:
    return Ledger(seed=1, now=1_800_000_000.0)


@pytest.fixture
def alice(chain) -> Keypair:
    alice = Keypair()
    chain.airdrop(alice.pubkey(), 10 * SOL)
    return alice


def built(chain: Ledger, payer: Keypair, *steps: Instruction) -> VersionedTransaction:
    message = MessageV0.try_compile(payer.pubkey(), list(steps), [], chain.blockhash("processed")[0])
    return VersionedTransaction(message, [payer])


def paying(chain: Ledger, payer: Keypair, to: Pubkey, lamports: int) -> VersionedTransaction:
    return built(chain, payer, transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)))


def lamports(chain: Ledger, key: Pubkey, commitment: str = "processed") -> int:
    account = chain.account(key, commitment)
    return 0 if account is None else account.lamports


def pass_slots(chain: Ledger, count: int) -> None:
    for _ in range(count):
        chain.tick(chain.now + 0.4)


def ask(chain: Ledger, method: str, *parameters: object) -> dict:
    answer: dict = Rpc(chain).answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})
    return answer


def test_a_transfer_moves_exactly_what_it_says_and_costs_its_signature(chain, alice):
    bob = Keypair().pubkey()
    signature = chain.submit(paying(chain, alice, bob, 3 * SOL), preflight=True)
    assert (lamports(chain, alice.pubkey()), lamports(chain, bob)) == (7 * SOL - FEE, 3 * SOL)
    meta = chain.landed[signature].meta
    assert (meta["fee"], meta["preBalances"][:2], meta["postBalances"][:2]) == (
        FEE,
        [10 * SOL, 0],
        [7 * SOL - FEE, 3 * SOL],
    )


def test_a_priority_fee_is_charged(chain, alice):
    pay = transfer(TransferParams(from_pubkey=alice.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL))
    signature = chain.submit(built(chain, alice, set_compute_unit_price(1_000_000), pay), preflight=True)
    fee = chain.landed[signature].meta["fee"]
    assert fee > FEE
    assert lamports(chain, alice.pubkey()) == 9 * SOL - fee


def test_the_same_bytes_land_once(chain, alice):
    bob = Keypair().pubkey()
    pay = paying(chain, alice, bob, SOL)
    first = chain.submit(pay, preflight=True)
    with pytest.raises(Refused) as refused:
        chain.submit(pay, preflight=True)
    assert (refused.value.code, refused.value.data["err"]) == (-32002, "AlreadyProcessed")
    assert chain.submit(pay, preflight=False) == first
    pass_slots(chain, 3)
    assert chain.submit(pay, preflight=False) == first
    assert lamports(chain, bob) == SOL


def test_a_blockhash_is_taken_for_150_blocks_and_not_longer(chain, alice):
    _, last_height = chain.blockhash("processed")
    in_time, too_late = paying(chain, alice, Keypair().pubkey(), 1 * SOL), paying(chain, alice, Keypair().pubkey(), 2)
    assert last_height == chain.height + VALID_BLOCKS
    while chain.height < last_height:
        pass_slots(chain, 1)
    chain.submit(in_time, preflight=True)
    pass_slots(chain, 1)
    assert chain.height > last_height
    with pytest.raises(Refused) as refused:
        chain.submit(too_late, preflight=True)
    assert refused.value.data["err"] == "BlockhashNotFound"
    chain.submit(too_late, preflight=False)
    assert too_late.signatures[0] not in chain.landed


def test_height_is_not_slot_and_falls_behind_it(chain):
    slot, height = chain.slot, chain.height
    pass_slots(chain, 3 * SKIPPED_EVERY)
    assert chain.slot - slot > chain.height - height == 3 * SKIPPED_EVERY


def test_commitments_lag_for_statuses_and_for_states(chain, alice):
    pass_slots(chain, FINALIZED_AFTER + 1)
    bob = Keypair().pubkey()
    signature = chain.submit(paying(chain, alice, bob, SOL), preflight=True)

    def seen() -> tuple[str, list[int]]:
        (status,) = ask(chain, "getSignatureStatuses", [str(signature)])["result"]["value"]
        levels = ("processed", "confirmed", "finalized")
        return status["confirmationStatus"], [lamports(chain, bob, level) for level in levels]

    assert seen() == ("processed", [SOL, 0, 0])
    pass_slots(chain, 1)
    assert seen() == ("confirmed", [SOL, SOL, 0])
    pass_slots(chain, FINALIZED_AFTER)
    assert seen() == ("finalized", [SOL, SOL, SOL])
    config = {"commitment": "finalized", "maxSupportedTransactionVersion": 0}
    assert ask(chain, "getTransaction", str(signature), config)["result"]["slot"] == chain.landed[signature].slot


def test_what_fails_on_chain_costs_its_fee_and_moves_nothing(chain, alice):
    bob = Keypair().pubkey()
    too_much = paying(chain, alice, bob, 11 * SOL)
    with pytest.raises(Refused) as refused:
        chain.submit(too_much, preflight=True)
    assert refused.value.data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert lamports(chain, alice.pubkey()) == 10 * SOL
    signature = chain.submit(too_much, preflight=False)
    assert chain.landed[signature].error == {"InstructionError": [0, {"Custom": 1}]}
    assert (lamports(chain, alice.pubkey()), lamports(chain, bob)) == (10 * SOL - FEE, 0)


def test_a_failing_step_takes_the_others_back(chain, alice):
    bob, carol = Keypair().pubkey(), Keypair().pubkey()
    steps = [
        transfer(TransferParams(from_pubkey=alice.pubkey(), to_pubkey=to, lamports=amount))
        for to, amount in ((bob, SOL), (carol, 20 * SOL))
    ]
    chain.submit(built(chain, alice, *steps), preflight=False)
    assert (lamports(chain, bob), lamports(chain, carol), lamports(chain, alice.pubkey())) == (0, 0, 10 * SOL - FEE)


def test_a_foreign_or_missing_signature_is_refused(chain, alice):
    pay = paying(chain, alice, Keypair().pubkey(), SOL)
    forged = VersionedTransaction.populate(pay.message, [Keypair().sign_message(b"something else")])
    for preflight in (True, False):
        with pytest.raises(Refused) as refused:
            chain.submit(forged, preflight=preflight)
        assert refused.value.code == -32003
    assert lamports(chain, alice.pubkey()) == 10 * SOL


def test_a_simulation_tells_balances_before_and_after_and_changes_nothing(chain, alice):
    bob = Keypair().pubkey()
    pay = paying(chain, alice, bob, SOL)
    text = base64.b64encode(bytes(pay)).decode()
    told = ask(chain, "simulateTransaction", text, {"encoding": "base64", "sigVerify": True})["result"]["value"]
    assert (told["err"], told["preBalances"][:2], told["postBalances"][1]) == (None, [10 * SOL, 0], SOL)
    assert lamports(chain, bob) == 0
    pass_slots(chain, VALID_BLOCKS + 2)
    replaced = ask(chain, "simulateTransaction", text, {"encoding": "base64", "replaceRecentBlockhash": True})
    assert replaced["result"]["value"]["err"] is None
    assert replaced["result"]["value"]["replacementBlockhash"]["lastValidBlockHeight"] == chain.height + VALID_BLOCKS


def test_a_simulation_shows_the_accounts_it_is_asked_for_as_they_would_be(chain, alice):
    bob, carol = Keypair().pubkey(), Keypair().pubkey()
    chain.airdrop(carol, 7 * SOL)
    wanted = {"encoding": "base64", "addresses": [str(bob), str(carol), str(Keypair().pubkey())]}

    def shown(lamports: int) -> list[int | None]:
        text = base64.b64encode(bytes(paying(chain, alice, bob, lamports))).decode()
        told = ask(chain, "simulateTransaction", text, {"encoding": "base64", "accounts": wanted})["result"]["value"]
        return [None if each is None else each["lamports"] for each in told["accounts"]]

    assert shown(SOL) == [SOL, 7 * SOL, None]
    assert shown(99 * SOL) == [None, None, None]


def test_preflight_of_a_commitment_knows_no_newer_blockhash(chain, alice):
    pass_slots(chain, FINALIZED_AFTER + 1)
    text = base64.b64encode(bytes(paying(chain, alice, Keypair().pubkey(), SOL))).decode()

    def sent(**config: str) -> dict:
        return ask(chain, "sendTransaction", text, {"encoding": "base64", **config})

    for too_early in ({}, {"preflightCommitment": "finalized"}, {"preflightCommitment": "confirmed"}):
        assert sent(**too_early)["error"]["data"]["err"] == "BlockhashNotFound"
    pass_slots(chain, 1)
    assert sent()["error"]["data"]["err"] == "BlockhashNotFound"
    assert "result" in sent(preflightCommitment="confirmed")


def test_sol_is_wrapped_and_unwrapped_to_the_lamport(chain, alice):
    own = spl.get_associated_token_address(alice.pubkey(), WRAPPED_SOL_MINT)
    make = spl.create_idempotent_associated_token_account(
        payer=alice.pubkey(), owner=alice.pubkey(), mint=WRAPPED_SOL_MINT
    )
    fill = transfer(TransferParams(from_pubkey=alice.pubkey(), to_pubkey=own, lamports=SOL))
    sync = spl.sync_native(SyncNativeParams(program_id=TOKEN_PROGRAM_ID, account=own))
    wrapped = chain.submit(built(chain, alice, make, fill, sync), preflight=True)
    assert accounts.token_account(chain.account(own)).amount == SOL
    (token,) = chain.landed[wrapped].meta["postTokenBalances"]
    assert (token["uiTokenAmount"]["amount"], token["owner"]) == (str(SOL), str(alice.pubkey()))
    close = spl.close_account(
        CloseAccountParams(program_id=TOKEN_PROGRAM_ID, account=own, dest=alice.pubkey(), owner=alice.pubkey())
    )
    chain.submit(built(chain, alice, close), preflight=True)
    assert chain.account(own) is None
    assert lamports(chain, alice.pubkey()) == 10 * SOL - 2 * FEE


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        ("getBalance", ["not a key"], -32602),
        ("getBalance", [], -32602),
        ("getBalance", {"address": "x"}, -32602),
        ("getSlot", [{"commitment": "certain"}], -32602),
        ("getSlot", [{"minContextSlot": 10**9}], -32016),
        ("sendTransaction", ["%%%", {"encoding": "base64"}], -32602),
        ("getTokenSupply", ["11111111111111111111111111111111"], -32602),
        ("getSignatureStatuses", [["1"] * 257], -32602),
        ("getAccountInfo", ["1" * 32, {"encoding": "base64", "dataSlice": {"offset": 0}}], -32602),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"size": 3}]}], -32602),
        ("whatever", [], -32601),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_nodes_code(chain, method, parameters, code):
    request = {"jsonrpc": "2.0", "id": 4, "method": method, "params": parameters}
    answer = Rpc(chain).answer(request)
    assert (answer["id"], answer["error"]["code"]) == (4, code)
